"""Register tiles whose activations are prepared before they are multiplied: a chunk of each place at a time.

What ``tile`` computes, in rounds that read words where ``tile`` reads bytes.  A chunk of every pixel's place is brought
into the form of the rounds once a tile, next to the stack's top (``_prepare``), and broadcast from there.  Weights are
words in their panel.
"""

from __future__ import annotations

from llvmlite import ir

from ..lanes import I32, I64, Loop, number, vector
from .tile import UNROLL, Tile

CHUNK = 512  # bytes of a place that are prepared at a time: as words, those of 6 pixels fill 6 KiB


class ChunkTile(Tile):
    """Tiles of one panel.  The step is as for ``Tile``, with one limb; places may be read CHUNK bytes at a time."""

    WEIGHT_BYTES = 2

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """As ``Tile``, with room for the words of the tile's pixels."""
        self._words = self._room(pixels, 2 * CHUNK)
        return super().sums(pixel, pixels)

    def _prepare(self, rows: list[ir.Value], size: ir.Value) -> None:
        """Make words of ``size`` bytes of each row, at ``_words``."""
        raise NotImplementedError

    def _room(self, pixels: int, size: int) -> list[ir.Value]:
        """Addresses of ``size`` bytes for each pixel, taken once when the function begins."""
        kind = ir.ArrayType(vector(I32, self._target.lanes), pixels * size // (4 * self._target.lanes))
        with self._builder.goto_entry_block():
            room = self._builder.alloca(kind)
            room.align = 64
        first = self._builder.ptrtoint(room, I64)
        return [self._builder.add(first, number(size * n)) for n in range(pixels)]

    def _place(self, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """One place, chunk by chunk: running values weights, totals."""
        builder = self._builder
        loop = Loop(builder, [number(0), weights, *totals])
        first, *running = loop.values
        loop.leave_unless(builder.icmp_signed("<", first, self._length))
        rest = builder.sub(self._length, first)
        size = builder.select(builder.icmp_signed("<", rest, number(CHUNK)), rest, number(CHUNK))
        self._prepare([builder.add(row, first) for row in rows], size)
        running = [number(0), *running]
        for rounds in (UNROLL, 1):
            running = self._turns(rounds, self._words, running, size)
        loop.close([builder.add(first, number(CHUNK)), *running[1:]])
        return loop.values[1:]
