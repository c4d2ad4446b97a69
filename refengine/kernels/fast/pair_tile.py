"""The register tile for AVX2: two products of bytes by one product of sums, as Winograd's inner product has it.

    a0*w0 + a1*w1  =  (a0 + w1) * (a1 + w0)  -  a0*a1  -  w0*w1

What ``tile`` computes.  A processor that adds words on four ports and multiplies them on two has no time left over: for
4 bytes of a pixel, ``word_tile`` takes two multiplications and two additions, which compete for the ports of the
multiplications, and this tile one multiplication and three additions.  The a0*a1 of a pixel serve all channels and are
summed up beside, the w0*w1 of a channel serve all pixels and are part of what its sums begin with: INITIAL is less by
``paired_products``.

Activations are bytes in memory.  A chunk of each pixel's place is parted once a tile (``chunk_tile``) into the words of
its even and those of its odd bytes; of both, two words at a time are broadcast from there.  Bytes beyond the place are
parted too, but no sum takes them in.

Exact: with 0 <= a <= 255 and |w| <= MOST, a sum of both is a word, because 255 + MOST < 2**15.  ``word_pairs`` adds two
products of words in 32 bits: each is at most 2**30, and all that follows wraps in 32 bits, as does the equation above.
The bounds of the network (contract A2) keep the true sum inside.

A panel holds for every 4 bytes of a place the words (2, width, 2): of each channel w1 and w3, then w0 and w2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from llvmlite import ir

from ..instruction_sets import word_pairs
from ..lanes import I16, I32, Loop, broadcast, call, load, number, repeated, settled, store, vector
from .chunk_tile import CHUNK, ChunkTile

if TYPE_CHECKING:
    from .. import Array

MOST = 127 * 127  # the largest magnitude of a weight: a code times a scale


def paired_products(rows: Array) -> Array:
    """What the sums of each channel begin with too much: int64 (C), of weights int (C, bytes)."""
    pairs = rows.reshape(len(rows), -1, 2).astype(np.int64)
    return (pairs[..., 0] * pairs[..., 1]).sum(axis=1)


class PairTile(ChunkTile):
    """Tiles of one panel, as ``ChunkTile``'s."""

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """As ``Tile``, less what the activations of each pixel have among themselves."""
        builder, lanes = self._builder, self._target.lanes
        self._own = self._room(pixels, 4 * lanes)
        for own in self._own:
            store(builder, repeated(0, I32, lanes), own, 32)
        found = super().sums(pixel, pixels)
        return [self._less(totals, own) for totals, own in zip(found, self._own, strict=True)]

    def _less(self, totals: list[ir.Value], own: ir.Value) -> list[ir.Value]:
        """A pixel's sums without its own products, lanes of which stand at an address."""
        builder, lanes = self._builder, self._target.lanes
        products = load(builder, own, vector(I32, lanes), 32)
        total = broadcast(builder, call(builder, f"llvm.vector.reduce.add.v{lanes}i32", I32, products), lanes)
        return [builder.sub(value, total) for value in totals]

    def _prepare(self, rows: list[ir.Value], size: ir.Value) -> None:
        """Even and odd bytes as words, a vector at a time, the last time beyond ``size``; their products are summed."""
        builder, lanes = self._builder, self._target.lanes
        wide, words = vector(I32, lanes), vector(I16, 2 * lanes)
        low, eight = repeated(0x00FF00FF, I32, lanes), repeated(8, I16, 2 * lanes)
        fours = ir.Constant(wide, [ir.Constant(I32, 4 * lane) for lane in range(lanes)])
        owns = [load(builder, own, wide, 32) for own in self._own]
        loop = Loop(builder, [number(0), *owns])
        k, *owns = loop.values
        loop.leave_unless(builder.icmp_signed("<", k, size))
        left = broadcast(builder, builder.trunc(builder.sub(size, k), I32), lanes)
        inside = builder.sext(builder.icmp_signed("<", fours, left), wide)
        nexts = []
        for row, evens, own in zip(rows, self._words, owns, strict=True):
            found = load(builder, builder.add(row, k), wide)
            even = builder.and_(found, low)
            odd = builder.bitcast(builder.lshr(builder.bitcast(found, words), eight), wide)
            place = builder.add(evens, k)
            store(builder, even, place, 32)
            store(builder, odd, builder.add(place, number(CHUNK)), 32)
            nexts.append(word_pairs(builder, own, builder.and_(even, inside), odd, lanes))
        loop.close([builder.add(k, number(4 * lanes)), *nexts])
        for own, value in zip(self._own, loop.values[1:], strict=True):
            store(builder, value, own, 32)

    def _round(self, turn: int, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """4 bytes of every pixel with 4 weights of every channel, by products of two."""
        builder, lanes, vectors = self._builder, self._target.lanes, self._vectors
        words = vector(I16, 2 * lanes)
        totals = list(totals)
        groups = [[builder.bitcast(g, words) for g in self._groups(weights, 2 * turn + n)] for n in range(2)]
        for i, row in enumerate(rows):
            places = (builder.add(row, number(CHUNK * n + 4 * turn)) for n in range(2))
            spreads = [builder.bitcast(broadcast(builder, load(builder, p, I32), lanes), words) for p in places]
            for v in range(vectors):
                index = i * vectors + v
                first, second = (builder.add(spreads[n], groups[n][v]) for n in range(2))
                totals[index] = settled(builder, word_pairs(builder, totals[index], first, second, lanes))
        return totals
