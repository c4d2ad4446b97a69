"""Tiles of paired products, of every instruction set here: sums are NumPy's products in 64 bits, at all ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_rows import EXTREMES, FIRST_CHANNEL, DenseLayer, aligned, compiled, name_of, sums_of, wrapped

from refengine.kernels.fast import step
from refengine.kernels.fast.chunk_tile import CHUNK
from refengine.kernels.fast.pair_tile import MOST, PairTile, paired_products
from refengine.kernels.instruction_sets import runnable

TILES = {16: ((4, 2), (4, 1)), 8: ((4, 2),)}  # by lanes
SHAPES = [(target, shape) for target in runnable() if target.pairs for shape in TILES[target.lanes]]
LENGTHS = [4, 12, 16, 28, 36, CHUNK - 4, CHUNK, CHUNK + 4, 2 * CHUNK + 28]
WEIGHTS = [-MOST, -129, -128, -127, -1, 0, 1, 127, 128, MOST]

each_shape = pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)


def pairs(weights, limbs):
    """Weights (bytes, panels, width) -> int16 (panels, bytes / 4, 2, width, 2)."""
    assert limbs == 1
    length, panels, width = weights.shape
    fours = weights.reshape(length // 4, 4, panels, width).transpose(2, 0, 3, 1)
    return np.ascontiguousarray(np.stack([fours[..., [1, 3]], fours[..., [0, 2]]], axis=2)).astype(np.int16)


class PairedLayer(DenseLayer):
    """A layer whose step begins with less, as this tile wants it."""

    def __init__(self, image, starts, offsets, length, weights, initial):
        super().__init__(image, starts, offsets, length, weights, initial, pairs)
        begun = initial.astype(np.int64)
        own = paired_products(weights.reshape(len(weights), -1).T)
        begun[0, FIRST_CHANNEL : FIRST_CHANNEL + own.size] -= own
        self.begun = aligned(wrapped(begun))
        self.row.numbers[step.INITIAL] = self.begun.ctypes.data


def layer_of(width, length, places, pixels, seed=0, panels=2):
    rng = np.random.default_rng(seed)
    return PairedLayer(
        rng.choice(EXTREMES, 3000 + length).astype(np.uint8),
        rng.integers(-300, 300, pixels),
        rng.integers(-200, 100, places),
        length,
        rng.choice(WEIGHTS, (places * length, panels, width)),
        rng.integers(-(2**31), 2**31, (1, FIRST_CHANNEL + panels * width + 16)).astype(np.int32),
    )


def agree(target, layer, first, count, panel):
    found = sums_of(
        compiled(target, TILES[target.lanes], PairTile), layer.row, first, first + count, panel, gap=count % 3
    )
    assert np.array_equal(found, wrapped(layer.wanted(first, first + count, panel)))


@pytest.mark.parametrize("length", LENGTHS)
@each_shape
def test_paired_tiles_are_a_matrix_product(target, shape, length):
    """Any number of pixels, wherever they begin, in chunks and in what is left; sums wrap as 32 bits do."""
    layer = layer_of(shape[1] * target.lanes, length, 2, 36)
    for count in range(1, 31):
        agree(target, layer, count % 6, count, count % 2)


@pytest.mark.skipif(not SHAPES, reason="no instruction set that this processor has multiplies words")
@given(
    data=st.data(), place=st.integers(0, max(0, len(SHAPES) - 1)), fours=st.integers(1, CHUNK), places=st.integers(1, 9)
)
def test_paired_tiles_of_any_size(data, place, fours, places):
    target, (_, vectors) = SHAPES[place]
    pixels = data.draw(st.integers(1, 20))
    layer = layer_of(vectors * target.lanes, 4 * fours, places, pixels, data.draw(st.integers(0, 2**32)), panels=1)
    agree(target, layer, 0, pixels, 0)


@pytest.mark.parametrize("sign", [1, -1])
@each_shape
def test_the_largest_sums_of_pairs(target, shape, sign):
    """All activations 255 and all weights 127, as many products as 32 bits hold: bytes would saturate."""
    width, length, places = shape[1] * target.lanes, 256, 259
    weights = np.full((places * length, 1, width), sign * 127)
    initial = np.zeros((1, FIRST_CHANNEL + width), np.int32)
    layer = PairedLayer(np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial)
    assert 2**31 - 2**24 < np.abs(layer.wanted(0, 9, 0)).max() < 2**31
    agree(target, layer, 0, 9, 0)
