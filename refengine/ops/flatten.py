"""Flatten an image in the order C, H, W (contract, section Flatten).

    out[n, (c*H + y)*W + x] = x[n,y,x,c]

Codes pass through; the order is ONNX's and PyTorch's, so that the weights of the next fc keep theirs.
"""

import math

import numpy as np

from .interface import Array, Attribute, Constant, Shape

ACCUMULATES = False
MOVES = True
PADS = False
CHANNELWISE = False
INPUTS = 1
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES: dict[str, Attribute] = {}


def output_shape(shape: Shape) -> Shape:
    """(H, W, C) -> (C*H*W,)."""
    return (math.prod(shape),)


def reference(x: Array) -> Array:
    """The definition; codes (N, H, W, C) or (N, K) -> (N, K).

    >>> reference(np.array([[[[1, 2], [3, 4]]]], np.uint8))
    array([[1, 3, 2, 4]], dtype=uint8)
    """
    return np.moveaxis(x, -1, 1).reshape(len(x), -1)


kernels = reference
