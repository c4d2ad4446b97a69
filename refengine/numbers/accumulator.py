"""What happens to a sum in an accumulator narrower than 32 bits (contract, section Accumulators).

error      the network was refused when it was built; a sum cannot leave its range
wrap       the sum mod 2**bits, in two's complement; the order of the additions does not matter
saturate   the sum clipped once, after it is complete
"""

import numpy as np

from ..errors import RangeError

POLICIES = ("error", "wrap", "saturate")
WIDTHS = range(16, 33)


def check_accumulator(bits: int, policy: str) -> None:
    """RangeError unless the width is 16..32 and the policy is one of POLICIES."""
    if bits not in WIDTHS:
        raise RangeError(f"an accumulator has 16 to 32 bits, found {bits}")
    if policy not in POLICIES:
        raise RangeError(f"accumulator policy {policy!r} is unknown; available: {', '.join(POLICIES)}")


def confine(acc: np.ndarray, bits: int, policy: str) -> tuple[np.ndarray, int]:
    """The accumulator as ``bits`` bits hold it, and how many sums did not fit (contract A3, A4).

    acc int32, any shape -> (int32 like acc, count).  RangeError where a sum does not fit and the policy is ``error``.

    >>> confine(np.array([32767, 32768, -32769], np.int32), 16, "wrap")
    (array([ 32767, -32768,  32767], dtype=int32), 2)
    """
    top = np.int64(1) << (bits - 1)
    wide = acc.astype(np.int64)
    events = int(np.count_nonzero((wide < -top) | (wide >= top)))
    if not events:
        return acc, 0
    if policy == "error":
        raise RangeError(f"{events} sums do not fit into an accumulator of {bits} bits")
    confined = (wide + top) % (2 * top) - top if policy == "wrap" else np.clip(wide, -top, top - 1)
    return confined.astype(np.int32), events
