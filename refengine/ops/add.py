"""Sum of two tensors of codes (contract, section Add).

    acc = (a << shifts[0]) + (b << shifts[1])

=========  ============  ===============  ==========================================
operand    shape         codes            one step is worth
=========  ============  ===============  ==========================================
a, b       (N, H, W, C)  UINT8 or INT8    2**a.exponent, 2**b.exponent
result     (N, H, W, C)  INT32            2**min(a.exponent, b.exponent)
=========  ============  ===============  ==========================================

Both are shifted left to the finer exponent, so nothing is lost before the one rounding of the requantization.
"""

import numpy as np

from ..errors import NetworkError
from .interface import Array, Attribute, Constant, Pair, Shape

MAX_SHIFT = 22
ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 2
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES = {"shifts": Attribute(0, MAX_SHIFT, count=2)}


def output_shape(a: Shape, b: Shape, *, shifts: Pair) -> Shape:
    """Two equal shapes -> the same shape."""
    if a != b:
        raise NetworkError(f"adds tensors of different shapes, {a} and {b}")
    return a


def bound(a: Pair, b: Pair, *, shifts: Pair, shape: Shape | None = None) -> tuple[Array, Array]:
    """Ends of the sum for codes of ranges ``a`` and ``b``."""
    lo = (min(a[0], 0) << shifts[0]) + (min(b[0], 0) << shifts[1])
    hi = (max(a[1], 0) << shifts[0]) + (max(b[1], 0) << shifts[1])
    return np.array([lo]), np.array([hi])


def reference(a: Array, b: Array, *, shifts: Pair) -> Array:
    """The definition.

    >>> reference(np.array([[3]], np.uint8), np.array([[-1]], np.int8), shifts=(2, 0))
    array([[11]], dtype=int32)
    """
    total: Array = (a.astype(np.int32) << shifts[0]) + (b.astype(np.int32) << shifts[1])
    return total


kernels = reference
