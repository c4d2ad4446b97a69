"""Channels in another order, some of them, or some more than once (contract, section Gather_channels).

    out[n,..,c] = x[n,..,order[c]]

Codes pass through: parts of a split, a shuffle of groups, a choice of channels.
"""

from ..errors import NetworkError
from ..numbers.formats import INT32
from .interface import Array, Attribute, Constant, Shape

ACCUMULATES = False
MOVES = True
PADS = False
CHANNELWISE = False
INPUTS = 1
CONSTANTS = {"order": Constant(INT32, 1)}
ATTRIBUTES: dict[str, Attribute] = {}


def output_shape(shape: Shape, *, order: Array) -> Shape:
    """(..., C) -> (..., entries of order)."""
    lowest, highest = int(order.min()), int(order.max())
    if lowest < 0 or highest >= shape[-1]:
        raise NetworkError(f"order names channels {lowest}..{highest}, its input has 0..{shape[-1] - 1}")
    return (*shape[:-1], len(order))


def reference(x: Array, *, order: Array) -> Array:
    """The definition.

    >>> import numpy as np
    >>> reference(np.array([[5, 6, 7]], np.uint8), order=np.array([2, 0], np.int32))
    array([[7, 5]], dtype=uint8)
    """
    moved: Array = x.take(order, axis=-1)
    return moved


kernels = reference
