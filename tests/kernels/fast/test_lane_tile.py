"""Tiles of 64-bit ARM, with and without a dot product: sums are NumPy's products in 64 bits.

On ARM as the tests of other tiles.  Elsewhere each is compiled for its processor, linked to a C program that holds one
layer, and run by an emulator, where compiler and emulator are installed.
"""

import numpy as np
import pytest
from emulated_tiles import PANELS, WEIGHTS, LaneLayer, c_program, emulated, needs_emulator, random_layer
from kernels_rows import FIRST_CHANNEL, compiled, name_of, sums_of, wrapped

from refengine.kernels.fast import step
from refengine.kernels.fast.plan import TILES
from refengine.kernels.fast.tile import UNROLL
from refengine.kernels.instruction_sets import HALVES, LANES, TARGETS, runnable

SHAPES = [(target, shape) for target in runnable() if target.dense in (LANES, HALVES) for shape in target.tiles]
LENGTHS = [4, 12, 4 * UNROLL, 4 * UNROLL + 4, 12 * UNROLL + 8]
ARM = [target for target in TARGETS if target.dense in (LANES, HALVES)]


@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)
def test_tiles_are_a_matrix_product(target, shape, length, limbs):
    """Any number of pixels, wherever they begin; initial values are anything, and sums wrap as 32 bits do."""
    layer = random_layer(target, shape[1] * target.lanes, limbs, length)
    call = compiled(target, target.tiles, TILES[target.dense])
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
    layer = LaneLayer(
        target, np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial
    )
    wanted = layer.wanted(0, 9, 0)
    assert 2**31 - 2**24 < np.abs(wanted).max() < 2**31
    assert np.array_equal(sums_of(compiled(target, target.tiles, TILES[target.dense]), layer.row, 0, 9, 0), wanted)


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
    layer = LaneLayer(
        target, np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial
    )
    wanted = bias - int(initial[-1, 0]) + layer.wanted(0, 9, 0)
    assert np.abs(wanted).max() < 2**31
    assert np.array_equal(sums_of(compiled(target, target.tiles, TILES[target.dense]), layer.row, 0, 9, 0), wanted)


@pytest.mark.parametrize("target", dict(SHAPES), ids=name_of)
def test_a_window_without_places_is_what_it_begins_with(target):
    layer = random_layer(target, target.widths[0], 1, 8, places=1)
    layer.row.numbers[step.TAPS] = 0
    found = sums_of(compiled(target, target.tiles, TILES[target.dense]), layer.row, 0, 7, 1)
    channel = FIRST_CHANNEL + target.widths[0]
    assert np.array_equal(found, np.tile(layer.begun[0, channel : channel + target.widths[0]], (7, 1)))


@pytest.mark.slow
@needs_emulator
@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize("target", ARM, ids=name_of)
def test_emulated_tiles_are_a_matrix_product(target, limbs, tmp_path):
    """Any number of pixels, bytes in fours of rounds and in what is left, all ends; the processor has nothing more."""
    layer = random_layer(target, target.widths[0], limbs, 12 * UNROLL + 8)
    calls = [(count % 6, count % 6 + count, count % PANELS) for count in range(1, 31)]
    found = emulated(target, c_program(layer, calls), tmp_path)
    wanted = [wrapped(layer.wanted(*call)).ravel() for call in calls]
    assert np.array_equal(found, np.concatenate(wanted))


@pytest.mark.slow
@needs_emulator
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("target", ARM, ids=name_of)
@pytest.mark.parametrize("activation", [0, 255])
def test_emulated_tiles_at_the_ends_of_words(target, sign, activation, tmp_path):
    """All activations and all weights at one end: less 128, two products are 2 * 128 * 127."""
    width, length, places = target.widths[0], 256, 9
    image, weights = np.full(1000, activation, np.uint8), np.full((places * length, 1, width), sign * 127)
    initial = np.zeros((1, FIRST_CHANNEL + width), np.int32)
    layer = LaneLayer(target, image, np.arange(9), np.zeros(places, int), length, weights, initial)
    found = emulated(target, c_program(layer, [(0, 9, 0)]), tmp_path)
    assert np.array_equal(found, wrapped(layer.wanted(0, 9, 0)).ravel())
