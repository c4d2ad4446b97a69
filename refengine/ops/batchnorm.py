"""A batch norm that no convolution takes in (contract, section Batchnorm).

    acc[n,..,c] = sign[c] * (x[n,..,c] << CODE_SHIFT) + bias[c]

=========  =================  ===============  ==========================================
operand    shape              codes            one step is worth
=========  =================  ===============  ==========================================
x          (N, ..., C)        UINT8 or INT8    2**x.exponent
sign       (C,)               -1, 0, 1         1: the sign of gamma; 0 makes a constant channel
bias       (C,)               INT32            as the result
result     (N, ..., C)        INT32            2**(x.exponent - CODE_SHIFT)
=========  =================  ===============  ==========================================

The requantization that follows multiplies by |gamma| / sqrt(var + epsilon).
"""

import numpy as np

from ..errors import NetworkError
from ..numbers.formats import INT32, TERNARY
from .interface import Array, Attribute, Constant, Pair, Shape

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 1
CONSTANTS = {"sign": Constant(TERNARY, 1), "bias": Constant(INT32, 1)}
ATTRIBUTES: dict[str, Attribute] = {}
CODE_SHIFT = 8


def output_shape(shape: Shape, *, sign: Array, bias: Array) -> Shape:
    """(..., C) -> (..., C)."""
    if sign.shape != (shape[-1],) or bias.shape != sign.shape:
        raise NetworkError(f"sign {sign.shape} and bias {bias.shape} do not fit the {shape[-1]} channels of its input")
    return shape


def bound(codes: Pair, *, sign: Array, bias: Array, shape: Shape | None = None) -> tuple[Array, Array]:
    """Ends of the accumulators for codes in ``codes`` = (lo, hi) with lo <= 0 <= hi: int64 (C,) twice."""
    lo, hi = ((end << CODE_SHIFT) * sign.astype(np.int64) for end in codes)
    return np.minimum(lo, hi) + np.minimum(bias, 0), np.maximum(lo, hi) + np.maximum(bias, 0)


def reference(x: Array, *, sign: Array, bias: Array) -> Array:
    """The definition.

    >>> reference(np.array([[3, 3]], np.uint8), sign=np.array([1, -1], np.int8), bias=np.array([0, 5], np.int32))
    array([[ 768, -763]], dtype=int32)
    """
    total: Array = sign * (x.astype(np.int32) << CODE_SHIFT) + bias
    return total


kernels = reference
