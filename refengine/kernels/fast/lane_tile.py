"""The register tile for ARM: four rounds' activations are loaded at once, and each dot product picks its lane of them.

What ``tile`` computes, by the dot product that takes its activations from one lane of a register: 16 bytes of a pixel
are one load for four rounds, and nothing is broadcast.  A tile of 5 pixels and 4 vectors keeps 20 vectors of sums, 5 of
activations and the weights of the moment in 32 registers.

A ``signed`` target multiplies signed bytes.  128 is taken from each activation by flipping its top bit, where it is
loaded, and the sums begin with 128 times the sum of each channel's weights (``beginning``): that holds whatever the
bytes are, those of a border and those beyond the weights included, whose weights are 0.

Exact: products of signed bytes are summed in 32 bits, which wrap, and the bounds of the network (contract A2) keep the
true sum inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir

from ..lanes import I32, load, repeated, vector
from .tile import Tile

if TYPE_CHECKING:
    from .. import Array

_TOP_BITS = -0x7F7F7F80  # 0x80808080, of four bytes
_TAKEN = 128


def beginning(rows: Array) -> Array:
    """What sums of activations less 128 begin with: int64 (C), of weights int (C, bytes)."""
    return _TAKEN * rows.sum(axis=1, dtype=np.int64)


class LaneTile(Tile):
    """Tiles of one panel, as ``Tile``'s."""

    def _unrolled(self, count: int, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """As many rounds as a load has lanes."""
        builder, target, vectors = self._builder, self._target, self._vectors
        loaded = self._loaded(rows, count)
        totals = list(totals)
        for turn in range(count):
            picks = repeated(turn, I32, target.lanes)
            groups = self._groups(weights, turn)
            for i, fours in enumerate(loaded):
                spread = builder.shuffle_vector(fours, fours, picks)
                for v, group in enumerate(groups):
                    index = i * vectors + v
                    totals[index] = target.dot(builder, totals[index], spread, group, target.lanes)
        return totals

    def _loaded(self, rows: list[ir.Value], count: int) -> list[ir.Value]:
        """4 bytes of each pixel for every round, as ``dot`` takes them."""
        loaded = [load(self._builder, row, vector(I32, count)) for row in rows]
        if not self._target.signed:
            return loaded
        return [self._builder.xor(fours, repeated(_TOP_BITS, I32, count)) for fours in loaded]
