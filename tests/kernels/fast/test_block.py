"""Blocks: every pixel is computed once and lands where its step says, whatever their number and a panel's width."""

import numpy as np
import pytest
from kernels_rows import UNTOUCHED, Given, Row, compiled, finish_table, name_of, sums_of
from numba import njit, types
from numba.extending import intrinsic

from refengine.kernels.fast import step
from refengine.kernels.fast.block import deal
from refengine.kernels.instruction_sets import runnable
from refengine.kernels.lanes import number, store

SHAPES = [(target, shape) for target in runnable() for shape in target.tiles]
LARGE = range(2, 9)
PIXELS = 40
PANELS = 2
FIRST_CHANNEL = 16


@intrinsic
def deal_to_each(context, pixels, to):
    """To int64 (LARGE, 3): tiles of large - 1 pixels, of large and of one."""

    def generate(context, builder, signature, arguments):
        pixels, to = arguments
        counts = [count for large in LARGE for count in deal(builder, pixels, large)]
        for n, count in enumerate(counts):
            store(builder, count, builder.add(to, number(8 * n)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), generate


@njit
def deal_all(to):
    for pixels in range(to.shape[0]):
        deal_to_each(pixels, to[pixels].ctypes.data)


def test_tiles_add_up_and_pixels_go_alone_only_where_they_must():
    """Where they are not a sum of tiles of the two sizes, as (large - 1) * (large - 2) pixels and more are."""
    found = np.full((201, len(LARGE), 3), -1, np.int64)
    deal_all(found)
    for pixels, n in np.ndindex(201, len(LARGE)):
        less, many, alone = found[pixels, n].tolist()
        large = LARGE[n]
        assert min(less, many, alone) >= 0
        assert less * (large - 1) + many * large + alone == pixels
        assert alone < large
        assert (alone == 0) == any((pixels - n * (large - 1)) % large == 0 for n in range(pixels // (large - 1) + 1))
        assert alone == 0 or pixels < (large - 1) * (large - 2)


def filled_in(shape, target):
    """A step of given sums, and those: int32 (PIXELS, STORED)."""
    width = shape[1] * target.lanes
    stored = FIRST_CHANNEL + PANELS * width + 16
    sums = np.random.default_rng(width).integers(-(2**31), 2**31, (PIXELS, stored)).astype(np.int32)
    visits = np.zeros(PIXELS, np.int32)
    fields = {
        step.WIDTH: width,
        step.CHANNEL: FIRST_CHANNEL,
        step.STORED: stored,
        step.IMAGES: sums,
        step.PANELS: visits.ctypes.data,
    }
    return fields, sums, visits


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_every_pixel_is_computed_once(target, shape, gap):
    """Sums of pixels that begin anywhere, in panels of each width, with and without a gap between."""
    fields, sums, visits = filled_in(shape, target)
    row, call = Row(fields), compiled(target, target.tiles, Given)
    width = fields[step.WIDTH]
    for count in range(31):
        first, panel = count % 7, count % PANELS
        visits[:] = 0
        found = sums_of(call, row, first, first + count, panel, gap)
        channel = FIRST_CHANNEL + panel * width
        assert np.array_equal(found, sums[first : first + count, channel : channel + width])
        assert visits.tolist() == [int(first <= pixel < first + count) for pixel in range(PIXELS)]


@pytest.mark.parametrize("keeps_sums", [False, True])
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_codes_go_where_the_step_says(target, shape, keeps_sums):
    """Pixels in any order and place, one panel's channels of each; and nothing else is written."""
    fields, sums, _ = filled_in(shape, target)
    width, stored = fields[step.WIDTH], fields[step.STORED]
    codes = np.full((PIXELS, stored), UNTOUCHED, np.uint8)
    order = np.random.default_rng(1).permutation(PIXELS)
    base = codes.ctypes.data + 5 * stored
    row = Row(
        fields
        | {
            step.TABLE: finish_table(np.full(stored, 1 << 10), 33),
            step.CODES: base,
            step.CODE_STARTS: ((order - 5) * stored).astype(np.int32),
            step.HI: 255,
        }
    )
    call = compiled(target, target.tiles, Given)
    wanted = np.clip((sums.astype(np.int64) + (1 << 22)) >> 23, 0, 255)
    for count in range(31):
        first, panel = count % 7, count % PANELS
        channel = FIRST_CHANNEL + panel * width
        channels, pixels = slice(channel, channel + width), slice(first, first + count)
        codes[:] = UNTOUCHED
        if keeps_sums:
            assert np.array_equal(sums_of(call, row, first, first + count, panel), sums[pixels, channels])
        else:
            call(row.address, first, first + count, panel, 0, 0)
        whole = np.full_like(codes, UNTOUCHED)
        whole[order[pixels], channels] = wanted[pixels, channels]
        assert np.array_equal(codes, whole)


@pytest.mark.parametrize("target", runnable(), ids=name_of)
def test_a_width_that_no_tile_has_is_left_alone(target):
    fields, _, visits = filled_in((6, 3), target)
    found = sums_of(compiled(target, target.tiles, Given), Row(fields), 0, 9, 0)
    assert (found == UNTOUCHED).all()
    assert not visits.any()
