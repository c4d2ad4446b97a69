"""From sums to codes: the rescale of ``numbers/requantize.py`` in 32-bit lanes, exactly.

The contract wants, for round half up and an accumulator t,

    code = clip((t * M + (r << R) + 2**(s-1)) >> s)                 in 64 bits

With t = 2**16 * h + l, 0 <= l < 2**16, and 0 <= M < 2**15, R >= 16, s >= 17:

    (t * M) >> 16 = h * M + ((l * M) >> 16)                         no bit is lost: h * M is whole
    (t * M + (r << R) + 2**(s-1)) >> s = ((t * M >> 16) + (r << (R-16)) + 2**(s-17)) >> (s-16)

The second line holds because what is added after the first shift is whole in its unit, and a floor of a floor is the
floor.  h and l are the halves of t's 32 bits, so that h * M and (l * M) >> 16 are what processors offer for 16-bit
lanes.  ``engine/fast/packing.py`` brings M, R and s into these ranges by a common power of two, which M takes as far as
its 15 bits reach and t (its *lift*, a left shift) as far as its bound allows; it checks from the bounds of the network
that each 32-bit sum stays inside, and where they do not fit the exact epilogue of ``plan`` is used.

Codes are stored as bytes, code 0 as ``zero``, which is part of what is added before the last shift; what the residual's
own zero adds is taken out of it there too.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..instruction_sets import Target, packed, word_pairs
from ..lanes import I8, I16, I32, Loop, broadcast, load, number, repeated, store, vector
from . import step
from .step import field, places

ROWS = MULTIPLIER, HALF, SHIFT, RESIDUAL_SHIFT, LIFT = range(5)


class Epilogue:
    """What becomes of the sums of a step's panel: they are stored, or made into codes, or both.

    sums: where the sums of the pixel ``first`` go, int32, a pixel every ``stride`` bytes; or 0.  Codes are made if the
    step has a TABLE, whose lifts count only if ``lifted``.
    """

    def __init__(
        self,
        builder: ir.IRBuilder,
        target: Target,
        row: ir.Value,
        channel: ir.Value,
        first: ir.Value,
        sums: ir.Value,
        stride: ir.Value,
        lifted: bool,
    ) -> None:
        self._builder, self._target, self._lifted = builder, target, lifted
        self._first, self._sums, self._stride = first, sums, stride

        def of(name: int) -> ir.Value:
            return field(builder, row, name)

        self._table, self._residual = of(step.TABLE), of(step.RESIDUAL)
        self._width = of(step.STORED)
        self._rows = builder.add(self._table, builder.mul(channel, number(4)))
        self._codes, self._code_starts = builder.add(of(step.CODES), channel), of(step.CODE_STARTS)
        self._residuals, self._residual_starts = builder.add(self._residual, channel), of(step.RESIDUAL_STARTS)
        self._clip = of(step.LO), of(step.HI)

    def emit(self, pixel: ir.Value, totals: Sequence[Sequence[ir.Value]]) -> None:
        """Sums ``totals[n][vector]`` of the step's pixels from ``pixel`` on."""
        builder, lanes = self._builder, self._target.lanes
        with builder.if_then(builder.icmp_signed("!=", self._sums, number(0))):
            for n, vectors in enumerate(totals):
                line = builder.add(builder.sub(pixel, self._first), number(n))
                place = builder.add(self._sums, builder.mul(self._stride, line))
                for v, total in enumerate(vectors):
                    store(builder, total, builder.add(place, number(4 * lanes * v)), 4)
        with builder.if_then(builder.icmp_signed("!=", self._table, number(0))):
            codes = places(builder, self._codes, self._code_starts, pixel, len(totals))
            with builder.if_else(builder.icmp_signed("!=", self._residual, number(0))) as (then, otherwise):
                with then:
                    residuals = places(builder, self._residuals, self._residual_starts, pixel, len(totals))
                    self._store_codes(totals, codes, residuals)
                with otherwise:
                    self._store_codes(totals, codes, None)

    def _store_codes(
        self, totals: Sequence[Sequence[ir.Value]], codes: list[ir.Value], residuals: list[ir.Value] | None
    ) -> None:
        """Vector by vector, so that each row of the table is read once for all pixels."""
        builder, lanes, count = self._builder, self._target.lanes, len(totals[0])
        columns = []
        for v in range(count):
            table = builder.add(self._rows, number(4 * lanes * v))
            added = residuals and [builder.add(place, number(lanes * v)) for place in residuals]
            column = [vectors[v] for vectors in totals]
            columns.append(rescaled(builder, self._target, column, table, self._width, added, self._lifted))
        for place, values in zip(codes, zip(*columns, strict=True), strict=True):
            store(builder, clipped(builder, self._target, values, *self._clip), place)


def rescaled(
    builder: ir.IRBuilder,
    target: Target,
    totals: Sequence[ir.Value],
    table: ir.Value,
    width: ir.Value,
    residuals: list[ir.Value] | None,
    lifted: bool,
) -> list[ir.Value]:
    """Values before the clip of some pixels in neighbouring channels, from a vector of int32 sums a pixel.

    table: the address of the first channel's entry in int32 (5, width): M, 2**(s-17) + (zero << (s-16)), s-16, R-16 and
    the lift.  residuals: the address of u8 (lanes) a pixel, or None.
    """
    lanes = target.lanes

    def row(index: int) -> ir.Value:
        place = builder.add(table, builder.mul(width, number(4 * index)))
        return load(builder, place, vector(I32, lanes), 4)

    multiplier, half, shift = row(MULTIPLIER), row(HALF), row(SHIFT)
    upper = builder.shl(multiplier, repeated(16, I32, lanes))
    left, lift = (row(index) if used else None for index, used in ((RESIDUAL_SHIFT, residuals), (LIFT, lifted)))
    values = []
    for n, total in enumerate(totals):
        raised = total if lift is None else builder.shl(total, lift)
        value = _add_product_of_upper_halves(builder, target, half, raised, upper)
        value = builder.add(value, _upper_half_of_product(builder, lanes, raised, multiplier))
        if residuals is not None:
            added = builder.zext(load(builder, residuals[n], vector(I8, lanes)), vector(I32, lanes))
            value = builder.add(value, builder.shl(added, left))
        values.append(builder.ashr(value, shift))
    return values


def clipped(builder: ir.IRBuilder, target: Target, values: Sequence[ir.Value], lo: ir.Value, hi: ir.Value) -> ir.Value:
    """One pixel's codes u8, from vectors of int32 side by side: within the ends (int64) as they are stored."""
    count = len(values) * target.lanes
    if target.has_words:
        stored = packed(builder, values, target.lanes)
    else:
        joined = _joined(builder, values)
        zero, top = repeated(0, I32, count), repeated(255, I32, count)
        joined = builder.select(builder.icmp_signed(">", joined, zero), joined, zero)
        joined = builder.select(builder.icmp_signed("<", joined, top), joined, top)
        stored = builder.trunc(joined, vector(I8, count))
    lowest, highest = (broadcast(builder, builder.trunc(end, I8), count) for end in (lo, hi))
    stored = builder.select(builder.icmp_unsigned(">", stored, lowest), stored, lowest)
    return builder.select(builder.icmp_unsigned("<", stored, highest), stored, highest)


def _joined(builder: ir.IRBuilder, values: Sequence[ir.Value]) -> ir.Value:
    joined = values[0]
    for value in values[1:]:
        before, more = joined.type.count, value.type.count
        undefined = ir.Constant(value.type, ir.Undefined)
        size = max(before, more)
        spread = [ir.Constant(I32, n if n < more else 0) for n in range(size)]
        wide = builder.shuffle_vector(value, undefined, ir.Constant(vector(I32, size), spread))
        picks = [*range(before), *range(size, size + more)]
        order = ir.Constant(vector(I32, len(picks)), [ir.Constant(I32, place) for place in picks])
        joined = builder.shuffle_vector(joined, wide, order)
    return joined


def _add_product_of_upper_halves(
    builder: ir.IRBuilder, target: Target, value: ir.Value, total: ir.Value, multiplier: ir.Value
) -> ir.Value:
    """value + h * M; the low halves of ``multiplier`` are 0."""
    lanes = target.lanes
    if target.has_words:
        return word_pairs(builder, value, total, multiplier, lanes)
    sixteen = repeated(16, I32, lanes)
    return builder.add(value, builder.mul(builder.ashr(total, sixteen), builder.ashr(multiplier, sixteen)))


def _upper_half_of_product(builder: ir.IRBuilder, lanes: int, total: ir.Value, multiplier: ir.Value) -> ir.Value:
    """(l * M) >> 16, l the low half of each lane; the high halves meet the zeros above M."""
    halves, wide = vector(I16, 2 * lanes), vector(I32, 2 * lanes)
    low, by = (builder.zext(builder.bitcast(value, halves), wide) for value in (total, multiplier))
    upper = builder.lshr(builder.mul(low, by), repeated(16, I32, 2 * lanes))
    return builder.bitcast(builder.trunc(upper, halves), vector(I32, lanes))


def make_epilogue(target: Target) -> Any:
    """epilogue(row, first, count, channel, sums, stride, counters): codes from sums in memory, clipped values counted.

    Addresses and sizes, int64: the step's ``count`` pixels from ``first`` on, ``lanes`` channels from ``channel`` on.
    sums int32 (lanes), a pixel every ``stride`` bytes; the step's table is its LATER_TABLE; counters int32 (2, lanes)
    receive how many values lay below and above the clip.
    """

    @intrinsic
    def epilogue(
        context: Any,
        row: ir.Value,
        first: ir.Value,
        count: ir.Value,
        channel: ir.Value,
        sums: ir.Value,
        stride: ir.Value,
        counters: ir.Value,
    ) -> Any:
        signature = types.void(*[types.int64] * 7)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
            later = _FromMemory(builder, target, *arguments)
            residual = field(builder, later.row, step.RESIDUAL)
            with builder.if_else(builder.icmp_signed("!=", residual, number(0))) as (then, otherwise):
                with then:
                    later.emit(residual)
                with otherwise:
                    later.emit(None)
            return context.get_dummy_value()

        return signature, generate

    return epilogue


class _FromMemory:
    """The loop of ``make_epilogue`` over pixels."""

    def __init__(
        self,
        builder: ir.IRBuilder,
        target: Target,
        row: ir.Value,
        first: ir.Value,
        count: ir.Value,
        channel: ir.Value,
        sums: ir.Value,
        stride: ir.Value,
        counters: ir.Value,
    ) -> None:
        self._builder, self._target, self.row = builder, target, row
        self._first, self._count, self._channel = first, count, channel
        self._sums, self._stride, self._counters = sums, stride, counters

    def emit(self, residual: ir.Value | None) -> None:
        """One loop, with the counters as its running values; ``residual`` is the tensor's address, or None."""
        builder, target = self._builder, self._target
        wide = vector(I32, target.lanes)
        width, lo, hi = (field(builder, self.row, name) for name in (step.STORED, step.LO, step.HI))
        ends = [broadcast(builder, builder.trunc(end, I32), target.lanes) for end in (lo, hi)]
        entry = builder.mul(self._channel, number(4))
        table = builder.add(field(builder, self.row, step.LATER_TABLE), entry)
        codes, code_starts = field(builder, self.row, step.CODES), field(builder, self.row, step.CODE_STARTS)
        residual_starts = field(builder, self.row, step.RESIDUAL_STARTS)
        none = repeated(0, I32, target.lanes)
        loop = Loop(builder, [number(0), none, none])
        n, *counted = loop.values
        loop.leave_unless(builder.icmp_signed("<", n, self._count))
        pixel = builder.add(self._first, n)
        total = load(builder, builder.add(self._sums, builder.mul(self._stride, n)), wide, 4)
        added = residual and places(builder, builder.add(residual, self._channel), residual_starts, pixel, 1)
        (value,) = rescaled(builder, target, [total], table, width, added, lifted=True)
        beyond = [builder.icmp_signed(sign, value, end) for sign, end in zip("<>", ends, strict=True)]
        nexts = [builder.add(count, builder.zext(more, wide)) for count, more in zip(counted, beyond, strict=True)]
        (place,) = places(builder, builder.add(codes, self._channel), code_starts, pixel, 1)
        store(builder, clipped(builder, target, [value], lo, hi), place)
        loop.close([builder.add(n, number(1)), *nexts])
        for index, count in enumerate(counted):
            store(builder, count, builder.add(self._counters, number(4 * target.lanes * index)), 4)
