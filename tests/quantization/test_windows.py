"""Windows of a layer's input: every one is where it should be, and their covariance is that of the definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.quantization import windows as module
from refengine.quantization.windows import Windows, likeness, positions, windows


@given(st.integers(1, 300_000), st.sampled_from([1, 9, 16, 144, 576, 4608]))
def test_positions_rise_and_are_spread_evenly(count, taps):
    chosen = positions(count, taps)
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0
    assert chosen[-1] < count
    if len(chosen) < count:
        share = np.arange(1, len(chosen) + 1) * count / len(chosen)
        assert np.all(chosen < share)
        assert np.all(chosen >= share - count / len(chosen) - 1)


def test_positions_see_every_column_of_rows_that_fit_into_the_stride():
    chosen = positions(2**20, 9)
    seen = np.bincount(chosen % 32, minlength=32)
    assert seen.min() > 0.5 * seen.mean()


@given(st.integers(0, 10_000), st.sampled_from([(1, 1), (3, 3), (2, 3)]), st.integers(1, 2), st.integers(0, 1))
def test_windows_are_those_of_the_definition(seed, kernel, stride, pad):
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, (2, 5, 6, 3)).astype(np.int8)
    high, wide = (5 + 2 * pad - kernel[0]) // stride + 1, (6 + 2 * pad - kernel[1]) // stride + 1
    chosen = np.unique(rng.integers(0, 2 * high * wide, 7))
    seen = windows(x, kernel, (stride, stride), (pad,) * 4, chosen, 0.25)
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    for row, number in zip(seen.columns + seen.mean, chosen, strict=True):
        n, rest = divmod(int(number), high * wide)
        y, column = divmod(rest, wide)
        part = padded[n, y * stride : y * stride + kernel[0], column * stride : column * stride + kernel[1]]
        assert np.allclose(row, 0.25 * part.transpose(2, 0, 1).ravel(), atol=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 2))
def test_taps_lie_apart(seed, down, across):
    """Those of a plain window that is as large, at every so-manieth row and column."""
    x = np.random.default_rng(seed).integers(-9, 10, (2, 8, 7, 2)).astype(np.int8)
    chosen = np.arange(2)
    seen = windows(x, (3, 2), (1, 1), (0,) * 4, chosen, 1.0, apart=(down, across))
    large = windows(x, (2 * down + 1, across + 1), (1, 1), (0,) * 4, chosen, 1.0)
    taps = (large.columns + large.mean).reshape(2, 2, 2 * down + 1, across + 1)[..., ::down, ::across]
    assert np.allclose(seen.columns + seen.mean, taps.reshape(2, -1), atol=1e-5)


@given(st.integers(1, 2000), st.integers(1, 300), st.integers(64, 300), st.integers(64, 300))
def test_windows_of_large_images_count_as_the_mean_of_their_number_and_the_images(images, each, height, width):
    count = images * each
    seen = Windows(np.zeros((count, 1), np.float32), np.zeros(1), 1, likeness(count, (images, height, width, 3)))
    assert seen.count == pytest.approx(math.sqrt(count * images))
    assert likeness(count, (images, 63, width, 3)) == likeness(count, (images, height, 63, 3)) == 1


def test_covariances_are_those_of_numpy():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 255, (40, 4, 4, 2)).astype(np.uint8)
    seen = windows(x, (1, 1), (1, 1), (0,) * 4, np.arange(640), 1.0)
    target = (rng.standard_normal((640, 3)) * 10 + 100).astype(np.float32)
    both = np.cov(np.concatenate([x.reshape(-1, 2), target], axis=1).T.astype(float), bias=True)
    assert np.allclose(seen.covariance, both[:2, :2], rtol=1e-4)
    assert np.allclose(seen.covariance_with(target), both[2:, :2], rtol=1e-3, atol=1e-2 * abs(both[2:, :2]).max())


@pytest.mark.parametrize("taps", [9, 576, 4608])
def test_memory_is_bounded(taps):
    assert len(positions(2**40, taps)) * taps * 4 <= module._BYTES
