"""The register tile for ARM without a dot product: two rounds' products are added as words, and words to sums.

What ``lane_tile`` computes for a ``signed`` target, half a vector at a time: bytes of 2 channels with those of a pixel
give 8 words (smull), the next round's are added to them (smlal), and neighbouring words are added to sums of 32 bits
(sadalp), two for each channel, which are added up when the tile is done.

    3 instructions for 8 bytes of 2 channels; by ``dot``, which gathers 4 products of a channel at once, 4

Exact: an activation less 128 lies in -128..127 and a weight in -127..127, so that two products are at most
2 * 128 * 127 < 2**15, and their words do not wrap.  Sums wrap in 32 bits, and the bounds of the network (contract A2)
keep the true sum inside.
"""

from collections.abc import Sequence

from llvmlite import ir

from ..instruction_sets import added_pairs, half_products
from ..lanes import ARM, I32, call, repeated, settled, vector
from .lane_tile import LaneTile

CHAINS = 2  # sums that are worked on at a time


class HalfTile(LaneTile):
    """Tiles of one panel, as ``LaneTile``'s, of 4 lanes."""

    PARTS = 2

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """As ``Tile``, both parts of each channel added."""
        builder, kind = self._builder, vector(I32, self._target.lanes)
        return [
            [call(builder, "llvm.aarch64.neon.addp.v4i32", kind, *pair) for pair in zip(p[::2], p[1::2], strict=True)]
            for p in super().sums(pixel, pixels)
        ]

    def _initial_values(self, initial: ir.Value) -> list[ir.Value]:
        """Each channel's value and a 0, side by side: 2 channels a vector."""
        nothing = repeated(0, I32, self._target.lanes)
        return [
            self._builder.shuffle_vector(values, nothing, _lanes(picks))
            for values in super()._initial_values(initial)
            for picks in ((0, 4, 1, 5), (2, 4, 3, 5))
        ]

    def _unrolled(self, count: int, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """Two rounds at a time, where there are as many."""
        builder, lanes = self._builder, self._target.lanes
        loaded = self._loaded(rows, count)
        totals = list(totals)
        for first in range(0, count, 2):
            turns = range(first, min(first + 2, count))
            groups = [self._groups(weights, turn) for turn in turns]
            for i, fours in enumerate(loaded):
                spreads = [builder.shuffle_vector(fours, fours, repeated(n, I32, lanes)) for n in turns]
                for index in range(0, self._vectors * self.PARTS, CHAINS):
                    here = slice(
                        i * self._vectors * self.PARTS + index, i * self._vectors * self.PARTS + index + CHAINS
                    )
                    totals[here] = self._chains(totals[here], spreads, groups, index)
        return totals

    def _chains(
        self, totals: list[ir.Value], spreads: list[ir.Value], groups: list[list[ir.Value]], index: int
    ) -> list[ir.Value]:
        """The sums from ``index`` on of one pixel: their products in turns, so that none waits for the one before."""
        builder, lanes = self._builder, self._target.lanes
        places = [divmod(index + n, self.PARTS) for n in range(len(totals))]
        words = [
            settled(builder, half_products(builder, spreads[0], groups[0][v], part, lanes), ARM) for v, part in places
        ]
        for spread, group in zip(spreads[1:], groups[1:], strict=True):
            more = (half_products(builder, spread, group[v], part, lanes) for v, part in places)
            words = [settled(builder, builder.add(*both), ARM) for both in zip(words, more, strict=True)]
        added = (added_pairs(builder, value, lanes) for value in words)
        return [settled(builder, builder.add(*both), ARM) for both in zip(totals, added, strict=True)]


def _lanes(picks: Sequence[int]) -> ir.Constant:
    return ir.Constant(vector(I32, len(picks)), [ir.Constant(I32, pick) for pick in picks])
