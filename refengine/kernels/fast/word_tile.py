"""The register tile for processors without a dot product of bytes: weights and activations as 16-bit words.

    sum[i, o] = sum over places p, bytes k of  activation[pixel i, p, k] * weight[p, k, o]              int32

What ``tile`` computes, with the instruction that multiplies words and adds neighbours (``word_pairs``), half as many
products as a dot product of bytes has.  Weights are words in their panel, so none needs two limbs.  Activations are
bytes in memory: a chunk of each pixel's place is widened to words once a tile (``chunk_tile``), and broadcast from
there two at a time.  Widening them in registers instead takes an instruction for every two broadcast; here it is
one for every 8 (``widened``), which other ports store.

Exact: an activation is at most 255 and a weight's magnitude at most 2**15, so two products sum up to less than 2**24;
the totals wrap in 32 bits, and the bounds of the network (contract A2) keep the true sum inside.  ``byte_pairs``, which
multiplies bytes as they stand, saturates at 16 bits: 2 * 255 * 127 is 64770.

A panel holds for every 4 bytes of a place the words (2, width, 2): the first two of each channel, then the other two.
"""

from llvmlite import ir

from ..instruction_sets import word_pairs
from ..lanes import I8, I16, I32, Loop, broadcast, load, number, settled, store, vector
from .chunk_tile import ChunkTile


class WordTile(ChunkTile):
    """Tiles of one panel, as ``ChunkTile``'s."""

    ROW_BYTES = 2

    def _prepare(self, rows: list[ir.Value], size: ir.Value) -> None:
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
