"""From uint8 pixels to accumulators of the normalised image (contract, section Input).

    acc[n,y,x,c] = (pixel[n,y,x,c'] << PIXEL_SHIFT) + bias[c]         c' = C-1-c where the channels are flipped, else c

=========  ============  =======  =============================================
operand    shape         codes    one step is worth
=========  ============  =======  =============================================
pixel      (N, H, W, C)  uint8    1
bias       (C,)          int32    2**-PIXEL_SHIFT pixels: minus the mean
result     (N, H, W, C)  int32    2**-PIXEL_SHIFT pixels
=========  ============  =======  =============================================

The requantization that follows multiplies by 1/std, so that code 0 is the normalised 0 and zero padding is right.
"""

import numpy as np

from ..errors import NetworkError
from ..numbers.formats import INT32
from .interface import FLAG, Array, Constant, Pair, Shape

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = False
INPUTS = 0
CONSTANTS = {"bias": Constant(INT32, 1)}
ATTRIBUTES = {"flip": FLAG}
PIXEL_SHIFT = 8


def output_shape(shape: Shape, *, bias: Array, flip: bool) -> Shape:
    """(H, W, C) -> (H, W, C)."""
    if shape[-1] != len(bias):
        raise NetworkError(f"images have {shape[-1]} channels, the network wants {len(bias)}")
    return shape


def bound(pixels: Pair, *, bias: Array, flip: bool, shape: Shape | None = None) -> tuple[Array, Array]:
    """Ends of the accumulators over all pixels ``pixels`` = (lo, hi)."""
    lo, hi = ((end << PIXEL_SHIFT) for end in pixels)
    return lo + np.minimum(bias.astype(np.int64), 0), hi + np.maximum(bias.astype(np.int64), 0)


def reference(pixel: Array, *, bias: Array, flip: bool) -> Array:
    """The definition.

    >>> reference(np.array([[[[7, 0]]]], np.uint8), bias=np.array([0, -256], np.int32), flip=True).ravel().tolist()
    [0, 1536]
    """
    ordered = pixel[..., ::-1] if flip else pixel
    total: Array = (ordered.astype(np.int32) << PIXEL_SHIFT) + bias
    return total


kernels = reference
