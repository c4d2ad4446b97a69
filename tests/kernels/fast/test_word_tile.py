"""Word tiles of every instruction set here: sums are NumPy's products in 64 bits, at the ends of all ranges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_rows import EXTREMES, FIRST_CHANNEL, DenseLayer, compiled, name_of, sums_of, wrapped

from refengine.kernels.fast.chunk_tile import CHUNK
from refengine.kernels.fast.word_tile import WordTile
from refengine.kernels.instruction_sets import runnable

TILES = {16: ((6, 4), (6, 2), (6, 1)), 8: ((3, 4), (6, 2))}  # by lanes; AVX2 has them, but is faster by other tiles
SHAPES = [(target, shape) for target in runnable() if target.pairs for shape in TILES[target.lanes]]
LENGTHS = [4, 12, 16, 36, CHUNK - 4, CHUNK, CHUNK + 4, 2 * CHUNK + 28]
WEIGHTS = [-(2**15), -16383, -129, -128, -127, -1, 0, 1, 127, 128, 16383, 2**15 - 1]

each_shape = pytest.mark.parametrize(("target", "shape"), SHAPES, ids=name_of)


def words(weights, limbs):
    """Weights (bytes, panels, width) -> int16 (panels, bytes / 4, 2, width, 2)."""
    assert limbs == 1
    length, panels, width = weights.shape
    twos = weights.reshape(length // 4, 2, 2, panels, width).transpose(3, 0, 1, 4, 2)
    return np.ascontiguousarray(twos).astype(np.int16)


def layer_of(width, length, places, pixels, seed=0, panels=2):
    rng = np.random.default_rng(seed)
    return DenseLayer(
        rng.choice(EXTREMES, 3000 + length).astype(np.uint8),
        rng.integers(-300, 300, pixels),
        rng.integers(-200, 100, places),
        length,
        rng.choice(WEIGHTS, (places * length, panels, width)),
        rng.integers(-(2**31), 2**31, (1, FIRST_CHANNEL + panels * width + 16)).astype(np.int32),
        words,
    )


def agree(target, layer, first, count, panel):
    found = sums_of(
        compiled(target, TILES[target.lanes], WordTile), layer.row, first, first + count, panel, gap=count % 3
    )
    assert np.array_equal(found, wrapped(layer.wanted(first, first + count, panel)))


@pytest.mark.parametrize("length", LENGTHS)
@each_shape
def test_word_tiles_are_a_matrix_product(target, shape, length):
    """Any number of pixels, wherever they begin, in chunks and in what is left; sums wrap as 32 bits do."""
    layer = layer_of(shape[1] * target.lanes, length, 2, 36)
    for count in range(1, 31):
        agree(target, layer, count % 6, count, count % 2)


@pytest.mark.skipif(not SHAPES, reason="no instruction set that this processor has multiplies words")
@given(
    data=st.data(), place=st.integers(0, max(0, len(SHAPES) - 1)), fours=st.integers(1, CHUNK), places=st.integers(1, 9)
)
def test_word_tiles_of_any_size(data, place, fours, places):
    target, (_, vectors) = SHAPES[place]
    pixels = data.draw(st.integers(1, 20))
    layer = layer_of(vectors * target.lanes, 4 * fours, places, pixels, data.draw(st.integers(0, 2**32)), panels=1)
    agree(target, layer, 0, pixels, 0)


@pytest.mark.parametrize("sign", [1, -1])
@each_shape
def test_the_largest_sums_of_words(target, shape, sign):
    """All activations 255 and all weights 127, as many products as 32 bits hold: bytes would saturate."""
    width, length, places = shape[1] * target.lanes, 256, 259
    weights = np.full((places * length, 1, width), sign * 127)
    initial = np.zeros((1, FIRST_CHANNEL + width), np.int32)
    layer = DenseLayer(
        np.full(1000, 255, np.uint8), np.arange(9), np.zeros(places, int), length, weights, initial, words
    )
    assert 2**31 - 2**24 < np.abs(layer.wanted(0, 9, 0)).max() < 2**31
    agree(target, layer, 0, 9, 0)
