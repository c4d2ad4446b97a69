"""A step of a plan: what the walker does to one tensor, as a row of integers.

A step covers PIXELS pixels and, where it computes, PANEL_COUNT panels of WIDTH channels; a block of BLOCK pixels and
one panel is an item, the unit that threads share out.  Addresses are those of arrays that live as long as the plan.
Tables of starts hold one int32 a pixel: where it begins, in bytes, from the tensor's address.

    KIND                what is done: one of KINDS
    PIXELS, BLOCK       how many pixels (of the images that are in the batch), how many an item has
    PER_IMAGE           pixels of one image: PIXELS is a multiple of it
    WAITS_FOR           the number of steps, from the first, that must be complete before this one begins

    IMAGES, STARTS      the tensor that is read, and where each pixel's window begins
    TAPS, OFFSETS       how many places a window has, and where they lie from its beginning (int32)
    LENGTH              bytes that are read at each place
    LIMBS               how many int8 make a weight
    PANELS, PANEL_BYTES the weights of the first panel, and how far the next one lies
    PANEL_COUNT, WIDTH  panels, and the channels of each
    CHANNEL             the first panel's first channel
    INITIAL             int32 (LIMBS, STORED): what the sums begin with
    SUMS                where accumulators are kept, int32 (PIXELS, STORED); 0: they are not

    STORED, CHANNELS    channels of a pixel that is written, with and without those that fill it up
    TABLE               of the epilogue, for codes straight from registers
    LATER_TABLE         the same, where codes are made from sums in memory: clipped values are counted, or sums lifted
    EXACT_TABLE         int64 (7, STORED): multiplier, shift, residual shift, and the four addends
    ACCUMULATOR_BITS    of a narrow accumulator, which the exact epilogue wraps, or
    SATURATES           clips to its ends
    RESIDUAL, RESIDUAL_STARTS, RESIDUAL_ZERO   the tensor that is added, and what its code 0 is stored as
    CODES, CODE_STARTS  the tensor that is written
    LO, HI, ZERO        the clip, and what code 0 is stored as

Where a kind means something else by a number, that has a name of its own:

    CHAINS, PLACES      CLUSTERS, CROSSED: how many chains, of how many places each
    RUN, PIXEL_BYTES    LOOKUP: pixels of a run that begins at each start, and how far apart they are read
    SOURCE_CHANNELS     LOOKUP: int32 (PANEL_COUNT): which channel is read
    CODE_TABLES         LOOKUP: u8 (PANEL_COUNT, 256): what each byte becomes
    EVENT_TABLES        LOOKUP: u8 like CODE_TABLES: which events each byte counts as, a bit each; or 0

``USED`` says which numbers a step of each kind has; all others are 0.
"""

from llvmlite import ir

from ..lanes import I32, I64, load, number

KINDS = CONV, CLUSTERS, CROSSED, DEPTHWISE, LARGEST, LOOKUP, COPY, FILL = range(8)

(
    KIND, PIXELS, BLOCK, PER_IMAGE, WAITS_FOR,
    IMAGES, STARTS, TAPS, OFFSETS, LENGTH, LIMBS, PANELS, PANEL_BYTES, PANEL_COUNT, WIDTH, CHANNEL, INITIAL, SUMS,
    STORED, CHANNELS, TABLE, LATER_TABLE, EXACT_TABLE, ACCUMULATOR_BITS, SATURATES,
    RESIDUAL, RESIDUAL_STARTS, RESIDUAL_ZERO, CODES, CODE_STARTS, LO, HI, ZERO,
) = range(33)  # fmt: skip
FIELDS = 33

CHAINS, PLACES = TAPS, LENGTH
RUN, PIXEL_BYTES, SOURCE_CHANNELS, CODE_TABLES, EVENT_TABLES = LENGTH, WIDTH, OFFSETS, PANELS, EXACT_TABLE

_EVERY = {KIND, PIXELS, BLOCK, PER_IMAGE, WAITS_FOR, PANEL_COUNT, CODES, CODE_STARTS}
_READING = _EVERY | {IMAGES, STARTS, STORED, CHANNELS}
_SUMMING = _READING | {
    OFFSETS, LIMBS, PANELS, WIDTH, INITIAL, SUMS, TABLE, LATER_TABLE, EXACT_TABLE, ACCUMULATOR_BITS, SATURATES,
    RESIDUAL, RESIDUAL_STARTS, RESIDUAL_ZERO, LO, HI, ZERO,
}  # fmt: skip
USED = {
    CONV: _SUMMING | {TAPS, LENGTH, PANEL_BYTES, CHANNEL},
    CLUSTERS: _SUMMING | {CHAINS, PLACES, PANEL_BYTES, CHANNEL},
    CROSSED: _SUMMING | {CHAINS, PLACES, PANEL_BYTES, CHANNEL},
    DEPTHWISE: _SUMMING | {TAPS},
    LARGEST: _READING | {TAPS, OFFSETS, CHANNEL, WIDTH},
    LOOKUP: _READING | {RUN, PIXEL_BYTES, SOURCE_CHANNELS, CODE_TABLES, EVENT_TABLES},
    COPY: _READING | {LENGTH},
    FILL: _EVERY | {LENGTH, ZERO},
}


def field(builder: ir.IRBuilder, row: ir.Value, name: int) -> ir.Value:
    """One number of a step."""
    return load(builder, builder.add(row, number(8 * name)), I64, 8)


def first_channel(builder: ir.IRBuilder, row: ir.Value, panel: ir.Value) -> ir.Value:
    """The first channel of a step's panel."""
    return builder.add(field(builder, row, CHANNEL), builder.mul(panel, field(builder, row, WIDTH)))


def places(builder: ir.IRBuilder, base: ir.Value, starts: ir.Value, pixel: ir.Value, count: int) -> list[ir.Value]:
    """Addresses of ``count`` pixels from ``pixel`` on: a base and a table of starts."""
    table = builder.add(starts, builder.mul(pixel, number(4)))
    offsets = [load(builder, builder.add(table, number(4 * i)), I32, 4) for i in range(count)]
    return [builder.add(base, builder.sext(offset, I64)) for offset in offsets]
