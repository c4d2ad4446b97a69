"""Walk a plan: one call computes all steps, whichever thread calls.

A step is a row of integers (``step.py``).  Its items, a block of pixels and a panel of channels each, are computed one
by one, or shared out between threads (``turns.py``).  Convolutions go tile by tile through registers to the buffer that
the next step reads; what the tiles' 32-bit epilogue does not cover becomes codes here, in 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from .. import jit
from ..instruction_sets import DOT, HALVES, LANES, PAIRED, WORDS, chosen_target
from . import depthwise, turns
from .block import make_block
from .cluster_tile import ClusterTile, CrossedTile
from .epilogue import make_epilogue
from .half_tile import HalfTile
from .lane_tile import LaneTile
from .move import copy, fill, make_largest
from .pair_tile import PairTile
from .step import (
    ACCUMULATOR_BITS,
    BLOCK,
    CHANNEL,
    CHANNELS,
    CLUSTERS,
    CODE_STARTS,
    CODE_TABLES,
    CODES,
    CONV,
    COPY,
    CROSSED,
    DEPTHWISE,
    EVENT_TABLES,
    EXACT_TABLE,
    FILL,
    HI,
    IMAGES,
    KIND,
    LARGEST,
    LATER_TABLE,
    LENGTH,
    LO,
    LOOKUP,
    OFFSETS,
    PANEL_COUNT,
    PER_IMAGE,
    PIXEL_BYTES,
    PIXELS,
    RESIDUAL,
    RESIDUAL_STARTS,
    RESIDUAL_ZERO,
    RUN,
    SATURATES,
    SOURCE_CHANNELS,
    STARTS,
    STORED,
    SUMS,
    TABLE,
    TAPS,
    WAITS_FOR,
    WIDTH,
    ZERO,
)  # fmt: skip
from .tile import Tile
from .word_tile import WordTile

if TYPE_CHECKING:
    from .. import Array

EXACT_ROWS = MULTIPLIER, SHIFT, RESIDUAL_SHIFT, ADDENDS = range(4)
EXACT_HEIGHT = ADDENDS + 4

EVENTS = BELOW, ABOVE, OVERFLOWED = range(3)

TARGET = chosen_target()
_LANES = TARGET.lanes
BLOCK_PIXELS = 96
_SCRATCH = BLOCK_PIXELS * max(TARGET.widths)

TILES = {DOT: Tile, WORDS: WordTile, PAIRED: PairTile, LANES: LaneTile, HALVES: HalfTile}

_conv = make_block(TARGET, TARGET.tiles, TILES[TARGET.dense])
_clusters = make_block(TARGET, TARGET.cluster_tiles, ClusterTile)
_crossed = make_block(TARGET, TARGET.crossed_tiles, CrossedTile)
_depthwise = make_block(TARGET, depthwise.tiles(TARGET), depthwise.Depthwise, lifted=True)
_epilogue = make_epilogue(TARGET)

LARGEST_WIDTHS = (64, 16)
_largest_of_64, _largest_of_16 = (make_largest(width) for width in LARGEST_WIDTHS)


def _as_pointer(context: Any, address: ir.Value) -> Any:
    """An address as something that ``carray`` takes."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


_pointer: Any = intrinsic(_as_pointer)


@jit
def walk(steps: Array, events: Array, counters: int, threads: int) -> None:
    """Compute every step, or a thread's share of it.

    steps int64 (S, FIELDS).  events int64 (S, 3), this thread's own: how many values were clipped below and above, and
    how many sums left their accumulator, is added to it.  counters: address of int64 (S, turns.COUNTERS), all 0 when
    the first of ``threads`` threads begins; not looked at if there is only one.
    """
    sums, clipped = np.empty(_SCRATCH, np.int32), np.zeros((2, _LANES), np.int32)
    complete = 0
    for s in range(steps.shape[0]):
        row = steps[s]
        items = _items(row)
        if threads == 1:
            for item in range(items):
                _item(row, item, sums, clipped, events[s])
            continue
        while complete < row[WAITS_FOR]:
            turns.wait(counters + 8 * turns.COUNTERS * complete, _items(steps[complete]))
            complete += 1
        here = counters + 8 * turns.COUNTERS * s
        item = turns.take(here)
        while item < items:
            _item(row, item, sums, clipped, events[s])
            turns.complete(here)
            item = turns.take(here)
    if threads > 1:
        for s in range(complete, steps.shape[0]):
            turns.wait(counters + 8 * turns.COUNTERS * s, _items(steps[s]))


@jit
def _items(row: Array) -> int:
    return (row[PIXELS] + row[BLOCK] - 1) // row[BLOCK] * row[PANEL_COUNT]


@jit
def _item(row: Array, item: int, sums: Array, clipped: Array, events: Array) -> None:
    """One block of pixels of one panel."""
    first, panel = item // row[PANEL_COUNT] * row[BLOCK], item % row[PANEL_COUNT]
    end = min(row[PIXELS], first + row[BLOCK])
    kind = row[KIND]
    if kind <= DEPTHWISE:
        to, stride = _sums_place(row, first, panel, sums)
        address = row.ctypes.data
        if kind == CONV:
            _conv(address, first, end, panel, to, stride)
        elif kind == CLUSTERS:
            _clusters(address, first, end, panel, to, stride)
        elif kind == CROSSED:
            _crossed(address, first, end, panel, to, stride)
        else:
            _depthwise(address, first, end, panel, to, stride)
        _epilogue_from_memory(row, first, end - first, panel, to, stride, clipped, events)
    elif kind == LARGEST:
        _largest(row, first, end, panel)
    elif kind == LOOKUP:
        _lookup(row, first, end, panel, events)
    elif kind == COPY:
        for n in range(first, end):
            copy(row[CODES] + _start(row[CODE_STARTS], n), row[IMAGES] + _start(row[STARTS], n), row[LENGTH])
    elif kind == FILL:
        for n in range(first, end):
            fill(row[CODES] + _start(row[CODE_STARTS], n), row[ZERO], row[LENGTH])


@jit
def _start(table: int, n: int) -> np.int64:
    return np.int64(carray(_pointer(table), n + 1, np.int32)[n])


# ------------------------------------------------------------------------------------------------ steps that move bytes


@jit
def _largest(row: Array, first: int, end: int, panel: int) -> None:
    """OFFSETS int32 (PER_IMAGE, TAPS): the places of each pixel's window, none of them outside the image."""
    channel = row[CHANNEL] + panel * row[WIDTH]
    for n in range(first, end):
        window = row[IMAGES] + _start(row[STARTS], n) + channel
        offsets = row[OFFSETS] + 4 * row[TAPS] * (n % row[PER_IMAGE])
        codes = row[CODES] + _start(row[CODE_STARTS], n) + channel
        if row[WIDTH] == LARGEST_WIDTHS[0]:
            _largest_of_64(window, row[TAPS], offsets, codes)
        else:
            _largest_of_16(window, row[TAPS], offsets, codes)


@jit
def _lookup(row: Array, first: int, end: int, channel: int, events: Array) -> None:
    """A run of RUN pixels at each start: each byte of a channel becomes what its table says, STORED bytes apart."""
    table = _bytes_at(row[CODE_TABLES] + 256 * channel, 256)
    length, width, stored = row[RUN], row[PIXEL_BYTES], row[STORED]
    for n in range(first, end):
        source = _bytes_at(row[IMAGES] + _start(row[STARTS], n) + _start(row[SOURCE_CHANNELS], channel), length * width)
        codes = _bytes_at(row[CODES] + _start(row[CODE_STARTS], n) + channel, length * stored)
        for x in range(length):
            codes[x * stored] = table[source[x * width]]
        if row[EVENT_TABLES]:
            flags = _bytes_at(row[EVENT_TABLES] + 256 * channel, 256)
            for x in range(length):
                flag = flags[source[x * width]]
                for event in range(events.size):
                    events[event] += flag >> event & 1


@jit
def _bytes_at(address: int, count: int) -> Array:
    return carray(_pointer(address), count, np.uint8)


# ----------------------------------------------------------------------------------------------- steps that accumulate


@jit
def _sums_place(row: Array, pixel: int, panel: int, scratch: Array) -> tuple[np.int64, np.int64]:
    """Where a tile leaves its sums, and how far apart its pixels are: kept, left for the epilogue, or (0) nowhere."""
    if row[SUMS]:
        channel = row[CHANNEL] + panel * row[WIDTH]
        return row[SUMS] + 4 * (pixel * row[STORED] + channel), 4 * row[STORED]
    if row[TABLE]:
        return np.int64(0), np.int64(0)
    return np.int64(scratch.ctypes.data), 4 * row[WIDTH]


@jit
def _epilogue_from_memory(
    row: Array, pixel: int, count: int, panel: int, sums: int, stride: int, clipped: Array, events: Array
) -> None:
    """Codes from the sums that a tile has left, where it did not make them itself."""
    channel = row[CHANNEL] + panel * row[WIDTH]
    if row[ACCUMULATOR_BITS] < 32:
        for i in range(count):
            _confine(row, channel, _lanes_at(sums + i * stride, row[WIDTH]), events)
    if row[LATER_TABLE]:
        for v in range(0, row[WIDTH], _LANES):
            _counting_epilogue(row, pixel, count, channel + v, sums + 4 * v, stride, clipped, events)
    if row[EXACT_TABLE]:
        for i in range(count):
            _exact_epilogue(row, pixel + i, channel, _lanes_at(sums + i * stride, row[WIDTH]), events)


@jit
def _lanes_at(address: int, count: int) -> Array:
    return carray(_pointer(address), count, np.int32)


@jit
def _code_and_residual(row: Array, pixel: int, channel: int) -> tuple[np.int64, np.int64]:
    """Addresses of a pixel's codes and of its residual (0: none), from a channel on."""
    code = row[CODES] + _start(row[CODE_STARTS], pixel) + channel
    if row[RESIDUAL] == 0:
        return code, np.int64(0)
    return code, row[RESIDUAL] + _start(row[RESIDUAL_STARTS], pixel) + channel


@jit
def _counting_epilogue(
    row: Array, pixel: int, count: int, channel: int, sums: int, stride: int, clipped: Array, events: Array
) -> None:
    """One vector of channels of some pixels by the 32-bit rescale, clipped values counted."""
    _epilogue(row.ctypes.data, pixel, count, channel, sums, stride, clipped.ctypes.data)
    for c in range(min(_LANES, row[CHANNELS] - channel)):
        events[BELOW] += clipped[0, c]
        events[ABOVE] += clipped[1, c]


@jit
def _confine(row: Array, channel: int, sums: Array, events: Array) -> None:
    """What an accumulator of ACCUMULATOR_BITS holds of each sum (``numbers/accumulator.py``)."""
    spare = 32 - row[ACCUMULATOR_BITS]
    for c in range(sums.size):
        wrapped = np.int32(sums[c] << spare) >> spare
        if wrapped != sums[c]:
            if channel + c < row[CHANNELS]:
                events[OVERFLOWED] += 1
            top = np.int32((1 << (row[ACCUMULATOR_BITS] - 1)) - 1)
            sums[c] = wrapped if not row[SATURATES] else top if sums[c] > 0 else -top - 1


@jit
def _exact_epilogue(row: Array, pixel: int, channel: int, sums: Array, events: Array) -> None:
    """Codes of one pixel in 64 bits, for any multiplier, shift and table of addends (``kernels/requantize.py``)."""
    table = carray(_pointer(row[EXACT_TABLE]), (EXACT_HEIGHT, row[STORED]), np.int64)
    code, residual = _code_and_residual(row, pixel, channel)
    codes = carray(_pointer(code), sums.size, np.uint8)
    added = carray(_pointer(residual if residual else code), sums.size, np.uint8)
    for v in range(min(sums.size, row[CHANNELS] - channel)):
        c = channel + v
        total = np.int64(sums[v]) * table[MULTIPLIER, c]
        if residual:
            total += (np.int64(added[v]) - row[RESIDUAL_ZERO]) << table[RESIDUAL_SHIFT, c]
        column = ((total >> table[SHIFT, c]) & 1) + (2 if total < 0 else 0)
        value = ((total + table[ADDENDS + column, c]) >> table[SHIFT, c]) + row[ZERO]
        if value < row[LO]:
            value = row[LO]
            events[BELOW] += 1
        elif value > row[HI]:
            value = row[HI]
            events[ABOVE] += 1
        codes[v] = value
