"""The register tile: sums of products for a few pixels and up to 64 output channels, kept in registers throughout.

    sum[i, o] = sum over places p, bytes k of  activation[pixel i, p, k] * weight[p, k, o]              int32

A pixel's window is a list of places.  In an N H W C image a row of KW pixels is one run of bytes, so a place is a
kernel row and no window is ever copied.  A table of starts says where each pixel's window begins; padding, strides and
row ends are in the table and not in the loop.

Weights lie in panels: for every 4 consecutive bytes of a place, the 4 weights of each of the panel's channels.  One
round of the loop broadcasts 4 activation bytes and feeds them, with a vector of 4-weight groups, to the dot product of
the instruction set: 4 products added to each lane.  A tile of 6 pixels and 4 vectors keeps 24 vectors of
sums; each round loads 4 weight vectors and 6 broadcasts for 24 dot products, which is what keeps the unit busy.

A weight beyond int8 is 128 * high + low, two limbs of int8.  The panel holds all highs, then all lows, and the sums of
the first are shifted left by 7 before the second are added to them.

While it works, a tile asks for 1/2**AHEAD_BITS of the weights of the next panel, so that they have come from far memory
when their turn is; asking for too much, or beyond the last panel, does no harm.

Everything is exact: products of u8 and s8 are summed in 32 bits, which wrap, and the bounds of the network (contract
A2) keep the true sum inside.
"""

from llvmlite import ir

from ..instruction_sets import Target
from ..lanes import I32, I64, LINE, Loop, broadcast, load, number, prefetch, repeated, vector
from . import step
from .step import field, first_channel, places

UNROLL = 4
LIMB_BITS = 7
AHEAD_BITS = 3


class Tile:
    """Tiles of one panel: what they share is where windows, weights and initial values lie.

    The step's LENGTH is a multiple of 4.
    """

    WEIGHT_BYTES = 1  # of each weight in its panel
    ROW_BYTES = 1  # of each activation where a round reads it
    PARTS = 1  # vectors of sums for each vector of the panel

    def __init__(
        self, builder: ir.IRBuilder, target: Target, vectors: int, row: ir.Value, first: ir.Value, panel: ir.Value
    ) -> None:
        self._builder, self._target, self._vectors, self._first = builder, target, vectors, first
        self._images, self._starts, self._count, self._offsets, self._length, self._limbs = (
            field(builder, row, name)
            for name in (step.IMAGES, step.STARTS, step.TAPS, step.OFFSETS, step.LENGTH, step.LIMBS)
        )
        self._panel_bytes = field(builder, row, step.PANEL_BYTES)
        self._weights = builder.add(field(builder, row, step.PANELS), builder.mul(panel, self._panel_bytes))
        channel_bytes = builder.mul(first_channel(builder, row, panel), number(4))
        self._initial = builder.add(field(builder, row, step.INITIAL), channel_bytes)
        self._next_initial = builder.mul(field(builder, row, step.STORED), number(4))

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """``sums[pixel][vector]``: loops over limbs and places, with the sums as their running values."""
        builder, vectors = self._builder, self._vectors * self.PARTS
        self._ahead = self._part_of_next_panel(builder.udiv(builder.sub(pixel, self._first), number(pixels)))
        begins = places(builder, self._images, self._starts, pixel, pixels)
        over_limbs = Loop(
            builder, [number(1), self._initial, self._weights, *self._initial_values(self._initial) * pixels]
        )
        limb, initial, weights, *totals = over_limbs.values
        weights, totals = self._all_places(begins, weights, totals)
        over_limbs.leave_unless(builder.icmp_signed("<", limb, self._limbs))
        initial = builder.add(initial, self._next_initial)
        lanes = self._target.lanes
        raised = [builder.shl(total, repeated(LIMB_BITS, I32, lanes)) for total in totals]
        begun = zip(raised, self._initial_values(initial) * pixels, strict=True)
        nexts = [builder.add(total, start) for total, start in begun]
        over_limbs.close([builder.add(limb, number(1)), initial, weights, *nexts])
        return [totals[i * vectors : (i + 1) * vectors] for i in range(pixels)]

    def _initial_values(self, initial: ir.Value) -> list[ir.Value]:
        """What the sums of one limb begin with, a vector for each of the panel's."""
        lanes = self._target.lanes
        places = [self._builder.add(initial, number(4 * lanes * v)) for v in range(self._vectors)]
        return [load(self._builder, place, vector(I32, lanes), 4) for place in places]

    def _all_places(
        self, begins: list[ir.Value], weights: ir.Value, totals: list[ir.Value]
    ) -> tuple[ir.Value, list[ir.Value]]:
        """Every place of the window: its bytes in turns of UNROLL rounds, what is left over in single rounds."""
        builder = self._builder
        over_places = Loop(builder, [number(0), weights, *totals])
        place, weights, *totals = over_places.values
        over_places.leave_unless(builder.icmp_signed("<", place, self._count))
        offset = load(builder, builder.add(self._offsets, builder.mul(place, number(4))), I32, 4)
        rows = [builder.add(begin, builder.sext(offset, I64)) for begin in begins]
        over_places.close([builder.add(place, number(1)), *self._place(rows, weights, totals)])
        return weights, totals

    def _place(self, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """One place: running values weights, totals."""
        running = [number(0), weights, *totals]
        for rounds in (UNROLL, 1):
            running = self._turns(rounds, rows, running, self._length)
        return running[1:]

    def _turns(self, rounds: int, rows: list[ir.Value], running: list[ir.Value], length: ir.Value) -> list[ir.Value]:
        """Turns of some rounds, while there are as many bytes: running values k, weights, totals."""
        builder = self._builder
        loop = Loop(builder, running)
        k, weights, *totals = loop.values
        after = builder.add(k, number(4 * rounds))
        loop.leave_unless(builder.icmp_signed("<=", after, length))
        here = [builder.add(row, builder.mul(k, number(self.ROW_BYTES))) for row in rows]
        size = 4 * self._target.lanes * self._vectors * rounds * self.WEIGHT_BYTES
        self._ask_ahead(weights, size)
        totals = self._unrolled(rounds, here, weights, totals)
        loop.close([after, builder.add(weights, number(size)), *totals])
        return loop.values

    def _unrolled(self, count: int, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """Some rounds, one after the other."""
        for turn in range(count):
            totals = self._round(turn, rows, weights, totals)
        return totals

    def _part_of_next_panel(self, tile: ir.Value) -> ir.Value:
        """Where the part of the next panel begins that this tile asks for."""
        builder = self._builder
        part = builder.mul(tile, builder.lshr(self._panel_bytes, number(AHEAD_BITS)))
        return builder.add(builder.add(self._weights, self._panel_bytes), part)

    def _ask_ahead(self, weights: ir.Value, size: int) -> None:
        """Ask for as much of that part as ``size`` bytes from ``weights`` on are of this panel."""
        builder = self._builder
        done = builder.lshr(builder.sub(weights, self._weights), number(AHEAD_BITS))
        for line in range(0, size >> AHEAD_BITS, LINE):
            prefetch(builder, builder.add(builder.add(self._ahead, done), number(line)))

    def _round(self, turn: int, rows: list[ir.Value], weights: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        """4 bytes of every pixel with 4 weights of every channel."""
        builder, lanes, vectors = self._builder, self._target.lanes, self._vectors
        groups = self._groups(weights, turn)
        totals = list(totals)
        for i, row in enumerate(rows):
            spread = broadcast(builder, load(builder, builder.add(row, number(4 * turn)), I32), lanes)
            for v, group in enumerate(groups):
                totals[i * vectors + v] = self._target.dot(builder, totals[i * vectors + v], spread, group, lanes)
        return totals

    def _groups(self, weights: ir.Value, turn: int) -> list[ir.Value]:
        """The weights of a turn, a vector for each of the panel's."""
        lanes, vectors = self._target.lanes, self._vectors
        places = [self._builder.add(weights, number(4 * lanes * (vectors * turn + v))) for v in range(vectors)]
        return [load(self._builder, place, vector(I32, lanes), 4 * lanes) for place in places]
