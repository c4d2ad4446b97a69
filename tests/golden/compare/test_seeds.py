"""Seeds: each changes what it says, keeps type and shape, and knows what cannot happen."""

import numpy as np
import pytest

from refengine.golden.compare.seeds import SEEDS

BLOCK = np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_changes_a_copy(name):
    for dtype in (np.uint8, np.int8, np.int32, np.int64):
        block = BLOCK.astype(dtype)
        changed = SEEDS[name].change(block)
        assert changed.dtype == block.dtype
        assert (changed.shape == block.shape) == (name != "last_image_missing")
        assert changed.shape != block.shape or not np.array_equal(changed, block)
        np.testing.assert_array_equal(block, BLOCK.astype(dtype))


@pytest.mark.parametrize("name", ["channels_swapped", "rows_swapped", "images_swapped", "channels_reversed", "nchw"])
def test_an_exchange_keeps_the_values(name):
    assert np.array_equal(np.sort(SEEDS[name].change(BLOCK), axis=None), np.sort(BLOCK, axis=None))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("channels_swapped", (2, 4, 4, 1)),
        ("channels_reversed", (2, 1)),
        ("rows_swapped", (2, 1, 4, 3)),
        ("rows_swapped", (2, 4)),
        ("nchw", (2, 1, 1, 3)),
        ("nchw", (2, 3)),
        ("stale_tile", (2, 1)),
    ],
)
def test_a_seed_that_cannot_happen_changes_nothing(name, shape):
    assert SEEDS[name].change(np.zeros(shape, np.uint8)) is None


def test_neighbours_that_differ_are_exchanged():
    block = np.array([[0, 0, 0, 5]], np.uint8)
    assert SEEDS["channels_swapped"].change(block).tolist() == [[0, 0, 5, 0]]


def test_numbers_wrap_as_in_a_memory():
    block = np.array([[255, 0]], np.uint8)
    assert SEEDS["off_by_one"].change(block).tolist() == [[0, 1]]
    assert SEEDS["sign_flipped"].change(block).tolist() == [[1, 0]]
    assert SEEDS["sign_flipped"].change(np.array([[-128]], np.int8)).tolist() == [[-128]]
