"""Product of two tensors of codes (contract, section Mul): the gates of squeeze and excitation.

    acc[n,y,x,c] = a[n,y,x,c] * b[n,y,x,c]        or, of a b of one pixel,        a[n,y,x,c] * b[n,0,0,c]

=========  =============================  ===============  =============================
operand    shape                          codes            one step is worth
=========  =============================  ===============  =============================
a          (N, H, W, C)                   UINT8 or INT8    2**a.exponent
b          as a, or (N, 1, 1, C)          UINT8 or INT8    2**b.exponent
result     as a                           INT32            2**(a.exponent + b.exponent)
=========  =============================  ===============  =============================
"""

import numpy as np

from ..errors import NetworkError
from .interface import Array, Attribute, Constant, Pair, Shape

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 2
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES: dict[str, Attribute] = {}


def output_shape(a: Shape, b: Shape) -> Shape:
    """Two equal shapes, or (H, W, C) and (1, 1, C) -> the first."""
    if b not in (a, (1, 1, a[-1])) or len(a) != len(b):
        raise NetworkError(f"multiplies {a} by {b}, needed the same shape, or one pixel of as many channels")
    return a


def bound(a: Pair, b: Pair, *, shape: Shape | None = None) -> tuple[Array, Array]:
    """Ends of the products for codes of ranges ``a`` and ``b``, and 0."""
    ends = [0, *(one * other for one in a for other in b)]
    return np.array([min(ends)]), np.array([max(ends)])


def reference(a: Array, b: Array) -> Array:
    """The definition.

    >>> reference(np.array([[[[3, 4]], [[5, 6]]]], np.uint8), np.array([[[[-1, 2]]]], np.int8)).tolist()
    [[[[-3, 8]], [[-5, 12]]]]
    """
    product: Array = a.astype(np.int32) * b.astype(np.int32)
    return product


kernels = reference
