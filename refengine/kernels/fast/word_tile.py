"""The register tile for processors without a dot product of bytes: weights and activations as 16-bit words.

    sum[i, o] = sum over places p, bytes k of  activation[pixel i, p, k] * weight[p, k, o]              int32

What ``tile`` computes, with the instruction that multiplies words and adds neighbours (``word_pairs``), half as many
products as a dot product of bytes has.  Weights are words in their panel, so none needs two limbs.  Activations are
bytes in memory: a chunk of each pixel's place is widened to words once a tile, next to the stack's top, and broadcast
from there two at a time.  Widening them in registers instead takes an instruction for every two broadcast; here it is
one for every 8 (``widened``), which other ports store.

Exact: an activation is at most 255 and a weight's magnitude at most 2**15, so two products sum up to less than 2**24;
the totals wrap in 32 bits, and the bounds of the network (contract A2) keep the true sum inside.  ``byte_pairs``, which
multiplies bytes as they stand, saturates at 16 bits: 2 * 255 * 127 is 64770.

A panel holds for every 4 bytes of a place the words (2, width, 2): the first two of each channel, then the other two.
"""

from llvmlite import ir

from ..instruction_sets import word_pairs
from ..lanes import I8, I16, I32, I64, Loop, broadcast, load, number, settled, store, vector
from .tile import UNROLL, Tile

CHUNK = 512  # bytes of a place that are widened at a time: those of 6 pixels fill 6 KiB


class WordTile(Tile):
    """Tiles of one panel.  The step is as for ``Tile``, with one limb; places may be read CHUNK bytes at a time."""

    WEIGHT_BYTES = 2
    ROW_BYTES = 2

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """As ``Tile``, with room for the words of the tile's pixels."""
        self._words = self._room(pixels)
        return super().sums(pixel, pixels)

    def _room(self, pixels: int) -> list[ir.Value]:
        """Addresses of 2 * CHUNK bytes for each pixel, taken once when the function begins."""
        kind = ir.ArrayType(vector(I32, self._target.lanes), pixels * 2 * CHUNK // (4 * self._target.lanes))
        with self._builder.goto_entry_block():
            room = self._builder.alloca(kind)
        room.align = 64
        first = self._builder.ptrtoint(room, I64)
        return [self._builder.add(first, number(2 * CHUNK * n)) for n in range(pixels)]

    def _place(self, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """One place, chunk by chunk: running values weights, totals."""
        builder = self._builder
        loop = Loop(builder, [number(0), weights, *totals])
        first, *running = loop.values
        loop.leave_unless(builder.icmp_signed("<", first, self._length))
        rest = builder.sub(self._length, first)
        whole = builder.icmp_signed("<", rest, number(CHUNK))
        size = builder.select(whole, rest, number(CHUNK))
        self._widen([builder.add(row, first) for row in rows], size)
        running = [number(0), *running]
        for rounds in (UNROLL, 1):
            running = self._turns(rounds, self._words, running, size)
        loop.close([builder.add(first, number(CHUNK)), *running[1:]])
        return loop.values[1:]

    def _widen(self, rows: list[ir.Value], size: ir.Value) -> None:
        """Bytes to words, a vector at a time, the last time beyond ``size``."""
        builder, step = self._builder, 2 * self._target.lanes
        loop = Loop(builder, [number(0)])
        (k,) = loop.values
        loop.leave_unless(builder.icmp_signed("<", k, size))
        for row, words in zip(rows, self._words, strict=True):
            found = load(builder, builder.add(row, k), vector(I8, step))
            store(builder, builder.zext(found, vector(I16, step)), builder.add(words, builder.shl(k, number(1))), 32)
        loop.close([builder.add(k, number(step))])

    def _round(self, turn: int, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """4 words of every pixel with 4 weights of every channel, two at a time."""
        builder, lanes, vectors = self._builder, self._target.lanes, self._vectors
        totals = list(totals)
        for pair in (2 * turn, 2 * turn + 1):
            groups = self._groups(weights, pair)
            for i, row in enumerate(rows):
                spread = broadcast(builder, load(builder, builder.add(row, number(4 * pair)), I32), lanes)
                for v, group in enumerate(groups):
                    index = i * vectors + v
                    totals[index] = settled(builder, word_pairs(builder, totals[index], spread, group, lanes))
        return totals
