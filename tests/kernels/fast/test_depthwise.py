"""Depthwise tiles of every instruction set: NumPy's sums by channel, up to the last weight of 16 bits, and codes."""

import numpy as np
import pytest
from kernels_rows import EXTREMES, UNTOUCHED, Row, aligned, compiled, finish_table, name_of, sums_of

from refengine.kernels.fast import step
from refengine.kernels.fast.depthwise import WIDTH, Depthwise, tiles
from refengine.kernels.instruction_sets import runnable

STORED = 48
COUNT = 36
MIDDLE = 1000
TARGETS = pytest.mark.parametrize("target", runnable(), ids=name_of)


class Layer:
    """A step and what it should compute: image u8, weights int16 (taps, STORED), as many taps as are even."""

    def __init__(self, image, starts, offsets, weights, initial):
        self.image, self.starts, self.offsets = aligned(image), starts, offsets
        self.weights, self.initial = weights, initial
        self.fields = {
            step.IMAGES: self.image.ctypes.data + MIDDLE,
            step.STARTS: starts.astype(np.int32),
            step.TAPS: len(offsets),
            step.OFFSETS: offsets.astype(np.int32),
            step.PANELS: weights.astype(np.int16).reshape(-1, 2, STORED).transpose(0, 2, 1),
            step.PANEL_COUNT: STORED // WIDTH,
            step.WIDTH: WIDTH,
            step.INITIAL: initial,
            step.STORED: STORED,
        }

    def wanted(self):
        """int64 (COUNT, STORED)."""
        where = MIDDLE + self.starts[:, None, None] + self.offsets[:, None] + np.arange(STORED)
        return self.initial + np.einsum("ptc,tc->pc", self.image[where].astype(np.int64), self.weights)


def random_layer(taps, weights, initial=(-(2**20), 2**20)):
    rng = np.random.default_rng(taps)
    return Layer(
        rng.choice(EXTREMES, 3000).astype(np.uint8),
        rng.integers(-500, 500, COUNT),
        rng.integers(-400, 400, taps),
        rng.choice(weights, (taps, STORED)).astype(np.int64),
        rng.integers(*initial, STORED).astype(np.int32),
    )


def agree(target, layer, counts=(6,)):
    row, call, wanted = Row(layer.fields), compiled(target, tiles(target), Depthwise, True), layer.wanted()
    assert np.abs(wanted).max() < 2**31
    for count in counts:
        first, panel = count % 5, count % (STORED // WIDTH)
        found = sums_of(call, row, first, first + count, panel, gap=count % 3)
        channels = slice(panel * WIDTH, (panel + 1) * WIDTH)
        assert np.array_equal(found, wanted[first : first + count, channels]), count
    return True


@TARGETS
@pytest.mark.parametrize("taps", [0, 2, 10, 50])
def test_tiles_multiply_channel_by_channel(target, taps):
    layer = random_layer(taps, [-32768, -889, -128, -1, 0, 1, 127, 128, 889, 32767])
    assert agree(target, layer, range(1, 31))


@TARGETS
@pytest.mark.parametrize("weight", [-32768, 32767])
def test_the_largest_sums_of_32_bits(target, weight):
    """256 taps of 255 times the largest weight of 16 bits are as much as 32 bits hold."""
    layer = random_layer(256, [weight], (0, 1))
    layer.image[:] = 255
    assert np.abs(layer.wanted()).min() > 2**31 - 2**24
    assert agree(target, layer)


@TARGETS
def test_a_sum_over_many_taps(target):
    """An average pool over a whole image: weights of 1."""
    assert agree(target, random_layer(4000, [1]))


@TARGETS
@pytest.mark.parametrize("lift", [0, 4])
def test_codes_of_lifted_sums(target, lift):
    """Sums of few bits, as pools have them, are raised before they are multiplied."""
    layer = random_layer(10, [1], (0, 1))
    table = finish_table(np.full(STORED, 29127), 18 + lift, lift=lift)
    codes = np.full((COUNT, STORED), UNTOUCHED, np.uint8)
    row = Row(
        layer.fields
        | {
            step.TABLE: table,
            step.CODES: codes.ctypes.data,
            step.CODE_STARTS: (STORED * np.arange(COUNT)).astype(np.int32),
            step.HI: 255,
        }
    )
    call = compiled(target, tiles(target), Depthwise, True)
    for panel in range(STORED // WIDTH):
        call(row.address, 0, COUNT, panel, 0, 0)
    wanted = np.clip((layer.wanted() * 29127 + (1 << 17)) >> 18, 0, 255)
    assert len(np.unique(wanted)) > 20
    assert np.array_equal(codes, wanted)
