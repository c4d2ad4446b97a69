"""The register tile of a depthwise convolution: sums for a few pixels and 16 channels.

    sum[i, c] = sum over taps t of activation[pixel i, t, c] * weight[t, c]                     int32

Each channel meets its own weights alone, so there is nothing to broadcast.  Two taps are taken at a time: their bytes,
interleaved and widened to words, times a vector of weights in the same order, neighbours added.  Average pools are
depthwise convolutions whose weights are 1.

Exact: an activation is at most 255 and a weight's magnitude at most 2**15, so two products sum up to at most
2 * 255 * 2**15 < 2**24; the totals wrap, and the bounds of the network (contract A2) keep the true sum inside.
"""

from llvmlite import ir

from ..instruction_sets import Target, word_pairs
from ..lanes import I8, I16, I32, I64, Loop, every_other, load, number, vector
from . import step
from .step import field, first_channel, places

WIDTH = 16


def tiles(target: Target) -> tuple[tuple[int, int], ...]:
    """(pixels, vectors) of the tile: 16 channels, whatever the lanes."""
    return ((6, WIDTH // target.lanes),)


class Depthwise:
    """Tiles of one panel, WIDTH channels; TAPS is even, and weights are int16 (TAPS / 2, STORED, 2)."""

    def __init__(
        self, builder: ir.IRBuilder, target: Target, vectors: int, row: ir.Value, first: ir.Value, panel: ir.Value
    ) -> None:
        self._builder, self._target, self._vectors = builder, target, vectors
        channel = first_channel(builder, row, panel)
        self._images = builder.add(field(builder, row, step.IMAGES), channel)
        self._weights = builder.add(field(builder, row, step.PANELS), builder.mul(channel, number(4)))
        initial = builder.add(field(builder, row, step.INITIAL), builder.mul(channel, number(4)))
        self._begun = self._vectors_at(initial)
        self._starts, self._taps, self._offsets = (
            field(builder, row, name) for name in (step.STARTS, step.TAPS, step.OFFSETS)
        )
        self._row_bytes = builder.mul(field(builder, row, step.STORED), number(4))

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """One loop over pairs of taps, with the sums of the pixels as its running values."""
        builder, vectors = self._builder, self._vectors
        begins = places(builder, self._images, self._starts, pixel, pixels)
        loop = Loop(builder, [number(0), self._weights, *self._begun * pixels])
        tap, weights, *totals = loop.values
        loop.leave_unless(builder.icmp_signed("<", tap, self._taps))
        offsets = builder.add(self._offsets, builder.mul(tap, number(4)))
        taps = [builder.sext(load(builder, builder.add(offsets, number(4 * n)), I32, 4), I64) for n in range(2)]
        factors = self._vectors_at(weights)
        nexts = list(totals)
        for i, begin in enumerate(begins):
            words = self._words(*(builder.add(begin, offset) for offset in taps))
            for v, factor in enumerate(factors):
                nexts[i * vectors + v] = self._products(nexts[i * vectors + v], words[v], factor)
        loop.close([builder.add(tap, number(2)), builder.add(weights, self._row_bytes), *nexts])
        return [totals[n * vectors : (n + 1) * vectors] for n in range(pixels)]

    def _vectors_at(self, address: ir.Value) -> list[ir.Value]:
        """4 bytes for each channel of the panel: a vector each for as many as there are lanes."""
        builder, lanes = self._builder, self._target.lanes
        places = [builder.add(address, number(4 * lanes * v)) for v in range(self._vectors)]
        return [load(builder, place, vector(I32, lanes), 4) for place in places]

    def _words(self, *taps: ir.Value) -> list[ir.Value]:
        """The bytes at two taps, as vectors of words, those of each channel side by side."""
        builder, lanes = self._builder, self._target.lanes
        both = [load(builder, tap, vector(I8, WIDTH)) for tap in taps]
        words = []
        for first in range(0, WIDTH, lanes):
            order = [ir.Constant(I32, first + n // 2 + WIDTH * (n % 2)) for n in range(2 * lanes)]
            side_by_side = builder.shuffle_vector(*both, ir.Constant(vector(I32, 2 * lanes), order))
            words.append(builder.zext(side_by_side, vector(I16, 2 * lanes)))
        return words

    def _products(self, total: ir.Value, words: ir.Value, factors: ir.Value) -> ir.Value:
        """The total and both products of each channel."""
        builder, lanes = self._builder, self._target.lanes
        if self._target.has_words:
            return word_pairs(builder, total, words, factors, lanes)
        wide = vector(I32, 2 * lanes)
        by = builder.sext(builder.bitcast(factors, vector(I16, 2 * lanes)), wide)
        products = builder.mul(builder.zext(words, wide), by)
        return builder.add(total, builder.add(*(every_other(builder, products, lanes, n) for n in range(2))))
