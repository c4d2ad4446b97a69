"""Code formats: which integers a tensor may hold (contract, section Formats).

Code 0 is real 0 in every format, so padding with zeros adds nothing and there are no zero points.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import RangeError


@dataclass(frozen=True)
class CodeFormat:
    """The integers ``lo..hi``, and the NumPy type that stores them."""

    name: str
    lo: int
    hi: int
    dtype: type

    @property
    def bits(self) -> int:
        """Width of the format in hardware: the smallest that holds ``lo..hi``."""
        return signed_bits(self.lo, self.hi) if self.lo < 0 else self.hi.bit_length()


TERNARY = CodeFormat("ternary", -1, 1, np.int8)
INT4 = CodeFormat("int4", -7, 7, np.int8)
INT8_WEIGHT = CodeFormat("int8", -127, 127, np.int8)
UINT8 = CodeFormat("uint8", 0, 255, np.uint8)
INT8 = CodeFormat("int8", -128, 127, np.int8)
SCALE = CodeFormat("scale", 0, 127, np.int8)
ENTRY = CodeFormat("entry", -128, 255, np.int16)  # of a table of codes, of UINT8 ones or of INT8 ones
INT32 = CodeFormat("int32", -(2**31), 2**31 - 1, np.int32)

WEIGHT_FORMATS = {fmt.name: fmt for fmt in (TERNARY, INT4, INT8_WEIGHT)}
ACTIVATION_FORMATS = {fmt.name: fmt for fmt in (UINT8, INT8)}
OUTPUT_FORMATS = {**ACTIVATION_FORMATS, INT32.name: INT32}


def signed_bits(lo: int, hi: int) -> int:
    """The narrowest two's-complement width that holds ``lo..hi``.

    >>> signed_bits(-128, 127), signed_bits(-128, 128), signed_bits(0, 0)
    (8, 9, 1)
    """
    return max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length() if hi > 0 else 0) + 1


def check_codes(codes: np.ndarray, fmt: CodeFormat, where: str) -> None:
    """Refuse an array that is not of ``fmt``'s type or holds a code outside it (RangeError)."""
    if codes.dtype != fmt.dtype:
        raise RangeError(f"{where}: {fmt.name} codes are stored as {np.dtype(fmt.dtype)}, found {codes.dtype}")
    if codes.size and (int(codes.min()) < fmt.lo or int(codes.max()) > fmt.hi):
        raise RangeError(
            f"{where}: {fmt.name} codes lie in {fmt.lo}..{fmt.hi}, found {int(codes.min())}..{int(codes.max())}"
        )
