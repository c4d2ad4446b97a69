"""Average over the whole image, as a sum (contract, section Global_avgpool).

    acc[n,0,0,c] = sum_{y,x} x[n,y,x,c]

One step of the result is worth 2**x.exponent / (H*W); the requantization that follows multiplies by 1/(H*W).
"""

import numpy as np

from ..errors import NetworkError
from .interface import Array, Attribute, Constant, Pair, Shape

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 1
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES: dict[str, Attribute] = {}


def output_shape(shape: Shape) -> Shape:
    """(H, W, C) -> (1, 1, C)."""
    if len(shape) != 3:
        raise NetworkError(f"averages an image (H, W, C), found shape {shape}")
    return (1, 1, shape[2])


def bound(codes: Pair, *, shape: Shape) -> tuple[Array, Array]:
    """Ends of the sums for codes in ``codes``."""
    pixels = shape[0] * shape[1]
    return np.array([min(codes[0], 0) * pixels]), np.array([max(codes[1], 0) * pixels])


def reference(x: Array) -> Array:
    """The definition; codes (N, H, W, C) -> int32 (N, 1, 1, C)."""
    return x.astype(np.int64).sum(axis=(1, 2), keepdims=True).astype(np.int32)


kernels = reference
