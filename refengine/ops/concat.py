"""Tensors of one format and one exponent side by side along the channels (contract, section Concat).

Codes pass through.  Inputs of other formats or exponents are requantized first, each by a layer of its own.
"""

import numpy as np

from ..errors import NetworkError
from .interface import Array, Attribute, Constant, Shape

ACCUMULATES = False
MOVES = True
PADS = False
CHANNELWISE = False
INPUTS = None
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES: dict[str, Attribute] = {}


def output_shape(*shapes: Shape) -> Shape:
    """(H, W, C1), (H, W, C2), ... -> (H, W, C1 + C2 + ...)."""
    if len({shape[:-1] for shape in shapes}) != 1:
        raise NetworkError(f"joins images of different sizes: {', '.join(map(str, shapes))}")
    return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))


def reference(*tensors: Array) -> Array:
    """The definition; codes (N, ..., Ci) -> (N, ..., sum of Ci)."""
    return np.concatenate(tensors, axis=-1)


kernels = reference
