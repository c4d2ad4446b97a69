"""A table of 256 entries, addressed by the 8 bits of a code (contract, section Lookup): activations of any shape.

    acc[n,..,c] = table[c, x[n,..,c] & 255]

=========  =================  ==============================  =======================
operand    shape              codes                           one step is worth
=========  =================  ==============================  =======================
x          (N, ..., C)        UINT8 or INT8                   2**x.exponent
table      (C or 1, 256)      UINT8 or INT8, of the result    as the result
result     (N, ..., C)        INT32                           2**result.exponent
=========  =================  ==============================  =======================

The requantization that follows is the identity, so that a code goes in and an entry comes out.
"""

import numpy as np

from ..errors import NetworkError
from ..numbers.formats import ENTRY
from .interface import Array, Attribute, Constant, Pair, Shape

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 1
CONSTANTS = {"table": Constant(ENTRY, 2)}
ATTRIBUTES: dict[str, Attribute] = {}
ENTRIES = 256


def output_shape(shape: Shape, *, table: Array) -> Shape:
    """(..., C) -> (..., C)."""
    if table.shape not in ((1, ENTRIES), (shape[-1], ENTRIES)):
        raise NetworkError(f"table has shape {table.shape}, needed (1, {ENTRIES}) or ({shape[-1]}, {ENTRIES})")
    return shape


def bound(codes: Pair, *, table: Array, shape: Shape | None = None) -> tuple[Array, Array]:
    """The lowest and the highest entry of codes in ``codes``, and 0: int64 (C or 1) twice."""
    if codes[1] - codes[0] >= ENTRIES:
        raise NetworkError(f"reads integers in {codes[0]}..{codes[1]}, a table has {ENTRIES} entries")
    entries = table[:, np.arange(codes[0], codes[1] + 1) & (ENTRIES - 1)].astype(np.int64)
    return np.minimum(entries.min(axis=1), 0), np.maximum(entries.max(axis=1), 0)


def reference(x: Array, *, table: Array) -> Array:
    """The definition.

    >>> negated = np.array([[-(a - 256 if a > 127 else a) for a in range(256)]], np.int16)
    >>> reference(np.array([[3, -4, -128]], np.int8), table=negated)
    array([[ -3,   4, 128]], dtype=int32)
    """
    channel = np.arange(x.shape[-1]) % len(table)
    found: Array = table[channel, x.astype(np.int64) & (ENTRIES - 1)].astype(np.int32)
    return found


kernels = reference
