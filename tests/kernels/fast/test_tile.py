"""Tiles of every instruction set here: sums are NumPy's products in 64 bits, at the ends of all ranges."""

import numpy as np
import pytest
from kernels_rows import EXTREMES, FIRST_CHANNEL, DenseLayer, compiled, name_of, packed, sums_of, wrapped

from refengine.kernels.fast import step
from refengine.kernels.fast.tile import UNROLL, Tile
from refengine.kernels.instruction_sets import DOT, runnable

SHAPES = [(target, shape) for target in runnable() if target.dense == DOT for shape in target.tiles]
LENGTHS = [4, 12, 4 * UNROLL, 4 * UNROLL + 4, 12 * UNROLL + 8]
WEIGHTS = {
    1: [-128, -127, -1, 0, 1, 127],
    2: [-889, -888, -129, -128, -65, -64, -1, 0, 63, 64, 127, 128, 888, 889],
}
PIXELS = 36
PANELS = 3


def random_layer(width, limbs, length, places=3):
    rng = np.random.default_rng(width + limbs + length)
    return DenseLayer(
        rng.choice(EXTREMES, 1000).astype(np.uint8),
        rng.integers(-300, 300, PIXELS),
        rng.integers(-200, 100, places),
        length,
        rng.choice(WEIGHTS[limbs], (places * length, PANELS, width)),
        rng.integers(-(2**31), 2**31, (limbs, FIRST_CHANNEL + PANELS * width + 16)).astype(np.int32),
        packed,
    )


@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_tiles_are_a_matrix_product(target, shape, length, limbs):
    """Any number of pixels, wherever they begin; initial values are anything, and sums wrap as 32 bits do."""
    layer = random_layer(shape[1] * target.lanes, limbs, length)
    call = compiled(target, target.tiles, Tile)
    for count in range(1, 31):
        first, panel = count % 6, count % PANELS
        found = sums_of(call, layer.row, first, first + count, panel, gap=count % 3)
        assert np.array_equal(found, wrapped(layer.wanted(first, first + count, panel))), count


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("limbs", "top", "places"), [(1, 127, 259), (2, 889, 37)])
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_the_largest_sums_of_32_bits(target, shape, limbs, top, places, sign):
    """All activations 255 and all weights alike, as many as 32 bits hold of them."""
    width, length = shape[1] * target.lanes, 256
    weights = np.full((places * length, 1, width), sign * top)
    initial = np.zeros((limbs, FIRST_CHANNEL + width), np.int32)
    layer = DenseLayer(
        np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial, packed
    )
    wanted = layer.wanted(0, 9, 0)
    assert 2**31 - 2**24 < np.abs(wanted).max() < 2**31
    assert np.array_equal(sums_of(compiled(target, target.tiles, Tile), layer.row, 0, 9, 0), wanted)


@pytest.mark.parametrize("bias", [2**31 + 5, 3 * 2**31, -(2**31) - 1])
@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_a_bias_beyond_32_bits_ends_right_where_the_sum_does(target, shape, limbs, bias):
    width, length, top = shape[1] * target.lanes, 64, WEIGHTS[limbs][-1]
    weights = np.full((length, 1, width), -top if bias > 0 else top)
    places = abs(bias) // (255 * top * length)
    weights = np.tile(weights, (places, 1, 1))
    initial = np.zeros((limbs, FIRST_CHANNEL + width), np.int32)
    initial[-1] = wrapped(bias)
    layer = DenseLayer(
        np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial, packed
    )
    wanted = bias - int(initial[-1, 0]) + layer.wanted(0, 9, 0)
    assert np.abs(wanted).max() < 2**31
    assert np.array_equal(sums_of(compiled(target, target.tiles, Tile), layer.row, 0, 9, 0), wanted)


@pytest.mark.parametrize("target", dict(SHAPES), ids=name_of)
def test_a_window_without_places_is_what_it_begins_with(target):
    layer = random_layer(target.widths[0], 1, 8, places=1)
    layer.row.numbers[step.TAPS] = 0
    found = sums_of(compiled(target, target.tiles, Tile), layer.row, 0, 7, 1)
    channel = FIRST_CHANNEL + target.widths[0]
    assert np.array_equal(found, np.tile(layer.initial[0, channel : channel + target.widths[0]], (7, 1)))
