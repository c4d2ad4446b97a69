"""Walk a plan: the fused convolutions of ``engine/plan.py``, one call for a whole run of layers.

A step is a row of integers, named below.  For each block of pixels and each panel of channels the walker computes a
tile of sums and then its codes, straight into the buffer that the next layer reads.
"""

from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from . import jit
from .depthwise import make_depthwise
from .finish import make_finish
from .rungs import chosen_rung
from .tile import make_tile

(
    IMAGES, STARTS, SEGMENTS, STRIDE, LENGTH,
    PANELS, PANEL_BYTES, PANEL_COUNT, WIDTH, SECOND_LIMB, TAPS, TAP_OFFSETS,
    TABLE, EXACT_TABLE, TABLE_WIDTH, CHANNEL, RESIDUAL, RESIDUAL_STARTS, RESIDUAL_ZERO,
    CODES, CODE_STARTS, LO, HI, ZERO, PIXELS, BLOCK,
) = range(26)  # fmt: skip
FIELDS = 26

BIAS, MULTIPLIER, SHIFT, RESIDUAL_SHIFT, ADDENDS = range(5)
EXACT_ROWS = 8

RUNG = chosen_rung()
_LANES = RUNG.lanes
_SHAPES = (*RUNG.tiles, *RUNG.tiles, *RUNG.tiles)[:3]
_WIDTHS = tuple(vectors * _LANES for _, vectors in _SHAPES)
_LARGES = tuple(pixels for pixels, _ in _SHAPES)
_W0, _W1, _W2 = _WIDTHS
_L0, _L1, _L2 = _LARGES
_SCRATCH = max(large * width for large, width in zip(_LARGES, _WIDTHS, strict=True))

_large0, _large1, _large2 = (make_tile(RUNG.dot, _LANES, pixels, vectors) for pixels, vectors in _SHAPES)
_less0, _less1, _less2 = (make_tile(RUNG.dot, _LANES, pixels - 1, vectors) for pixels, vectors in _SHAPES)
_one0, _one1, _one2 = (make_tile(RUNG.dot, _LANES, 1, vectors) for _, vectors in _SHAPES)
_finish = make_finish(_LANES)

_CHANNELWISE = 6
_channels_of_some, _channels_of_one = make_depthwise(_LANES, _CHANNELWISE), make_depthwise(_LANES, 1)


def _as_pointer(context, address):
    """An address as something that ``carray`` takes."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


_pointer: Any = intrinsic(_as_pointer)


@jit
def walk(steps, residual_starts, code_starts):
    """Compute every step: int64 (S, FIELDS); the starts of all steps' pixels, int32, one behind the other."""
    sums, high = np.empty(_SCRATCH, np.int32), np.empty(_SCRATCH, np.int32)
    for s in range(steps.shape[0]):
        row = steps[s]
        if row[TAPS]:
            _depthwise(row, residual_starts, code_starts, sums)
            continue
        width = row[WIDTH]
        large = _L0 if width == _W0 else _L1 if width == _W1 else _L2
        for block in range(0, row[PIXELS], row[BLOCK]):
            end = min(row[PIXELS], block + row[BLOCK])
            for number in range(row[PANEL_COUNT]):
                panel = row[PANELS] + number * row[PANEL_BYTES]
                channel = row[CHANNEL] + number * width
                pixel = block
                while pixel < end:
                    count = tile_pixels(end - pixel, large)
                    starts = row[STARTS] + 4 * pixel
                    _sums(width, count, starts, row, panel, sums)
                    if row[SECOND_LIMB]:
                        _sums(width, count, starts, row, panel + row[SECOND_LIMB], high)
                        for index in range(count * width):
                            sums[index] += high[index] << 7
                    for i in range(count):
                        _codes(sums, i, width, row, channel, pixel + i, residual_starts, code_starts)
                    pixel += count


@jit
def _depthwise(row, residual_starts, code_starts, sums):
    """A depthwise convolution: pixel by pixel of each vector of channels."""
    row_bytes = 2 * row[TABLE_WIDTH]
    for channel in range(0, row[TABLE_WIDTH], _LANES):
        images, weights = row[IMAGES] + channel, row[PANELS] + 2 * channel
        pixel = 0
        while pixel < row[PIXELS]:
            starts, to = row[STARTS] + 4 * pixel, sums.ctypes.data
            count = _CHANNELWISE if row[PIXELS] - pixel >= _CHANNELWISE else 1
            if count == 1:
                _channels_of_one(images, starts, row[TAPS], row[TAP_OFFSETS], weights, row_bytes, to)
            else:
                _channels_of_some(images, starts, row[TAPS], row[TAP_OFFSETS], weights, row_bytes, to)
            for i in range(count):
                _codes(sums, i, _LANES, row, channel, pixel + i, residual_starts, code_starts)
            pixel += count


@jit
def tile_pixels(left, large):
    """How many pixels the next tile takes: ``large``, one less, or a single one.

    Tiles of one less come first, as many as make the rest a multiple of ``large``; only a number of pixels that is no
    such sum, below large * (large - 1), ends in single ones.
    """
    fewer = (large - left % large) % large
    if fewer > 0 and left >= fewer * (large - 1):
        return large - 1
    return large if left >= large else 1


@jit
def _sums(width, count, starts, row, panel, sums):
    """One tile of sums, by the tile of that shape."""
    images, segments, stride, length, to = row[IMAGES], row[SEGMENTS], row[STRIDE], row[LENGTH], sums.ctypes.data
    if width == _W0:
        if count == _L0:
            _large0(images, starts, segments, stride, length, panel, to)
        elif count == _L0 - 1:
            _less0(images, starts, segments, stride, length, panel, to)
        else:
            _one0(images, starts, segments, stride, length, panel, to)
    elif width == _W1:
        if count == _L1:
            _large1(images, starts, segments, stride, length, panel, to)
        elif count == _L1 - 1:
            _less1(images, starts, segments, stride, length, panel, to)
        else:
            _one1(images, starts, segments, stride, length, panel, to)
    elif count == _L2:
        _large2(images, starts, segments, stride, length, panel, to)
    elif count == _L2 - 1:
        _less2(images, starts, segments, stride, length, panel, to)
    else:
        _one2(images, starts, segments, stride, length, panel, to)


@jit
def _codes(sums, i, width, row, channel, pixel, residual_starts, code_starts):
    """Codes of the tile's pixel ``i``, which is the step's ``pixel``: ``width`` channels from ``channel`` on."""
    code = row[CODES] + code_starts[row[CODE_STARTS] + pixel] + channel
    residual = 0
    if row[RESIDUAL]:
        residual = row[RESIDUAL] + residual_starts[row[RESIDUAL_STARTS] + pixel] + channel
    if row[EXACT_TABLE]:
        _finish_exactly(sums[i * width : (i + 1) * width], row, channel, residual, code)
    else:
        _finish_pixel(sums.ctypes.data + 4 * i * width, width, row, channel, residual, code)


@jit
def _finish_pixel(sums, width, row, channel, residual, code):
    """Codes of one pixel by the 32-bit rescale."""
    for v in range(0, width, _LANES):
        _finish(
            sums + 4 * v, row[TABLE], row[TABLE_WIDTH], channel + v,
            residual + v if residual else 0, code + v, row[LO], row[HI], row[ZERO],
        )  # fmt: skip


@jit
def _finish_exactly(sums, row, channel, residual, code):
    """Codes of one pixel in 64 bits, for any multiplier, shift and table of addends (``kernels/requantize.py``)."""
    table = carray(_pointer(row[EXACT_TABLE]), (EXACT_ROWS, row[TABLE_WIDTH]), np.int64)
    codes = carray(_pointer(code), sums.size, np.uint8)
    added = carray(_pointer(residual if residual else code), sums.size, np.uint8)
    for v in range(sums.size):
        c = channel + v
        total = (np.int64(sums[v]) + table[BIAS, c]) * table[MULTIPLIER, c]
        if residual:
            total += (np.int64(added[v]) - row[RESIDUAL_ZERO]) << table[RESIDUAL_SHIFT, c]
        column = ((total >> table[SHIFT, c]) & 1) + (2 if total < 0 else 0)
        value = ((total + table[ADDENDS + column, c]) >> table[SHIFT, c]) + row[ZERO]
        codes[v] = min(max(value, row[LO]), row[HI])
