"""Zero channels before and after (contract, section Pad_channels): the shortcut of a ResNet without parameters.

Codes pass through; code 0 is real 0 in every format.
"""

import numpy as np

from ..errors import NetworkError
from .interface import Array, Attribute, Constant, Shape

ACCUMULATES = False
MOVES = True
PADS = True
CHANNELWISE = False
INPUTS = 1
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES = {"before": Attribute(0), "after": Attribute(0)}


def output_shape(shape: Shape, *, before: int, after: int) -> Shape:
    """(H, W, C) -> (H, W, before + C + after)."""
    if len(shape) != 3:
        raise NetworkError(f"pads the channels of an image (H, W, C), found shape {shape}")
    return (*shape[:2], before + shape[2] + after)


def reference(x: Array, *, before: int, after: int) -> Array:
    """The definition.

    >>> reference(np.array([[[[7]]]], np.int8), before=1, after=2).ravel()
    array([0, 7, 0, 0], dtype=int8)
    """
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (before, after)))


kernels = reference
