"""Depthwise tiles against NumPy's sums, for every rung's vectors."""

import numpy as np
import pytest
from numba import njit

from refengine.kernels.depthwise import make_depthwise


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("pixels", [1, 6])
def test_a_tile_multiplies_channel_by_channel(lanes, pixels):
    rng = np.random.default_rng(lanes + pixels)
    taps, channels = 5, 48
    image = rng.choice([0, 1, 128, 255], 900).astype(np.uint8)
    weights = rng.choice([-889, -128, 0, 1, 127, 889], (taps, channels)).astype(np.int16)
    starts = rng.integers(0, 300, pixels).astype(np.int32)
    offsets = rng.integers(0, 400, taps).astype(np.int32)
    sums = np.zeros((pixels, lanes), np.int32)
    tile = make_depthwise(lanes, pixels)

    @njit
    def call(image, starts, taps, offsets, weights, row_bytes, sums):
        tile(image, starts, taps, offsets, weights, row_bytes, sums)

    first = 16
    place = weights.ctypes.data + 2 * first
    call(image.ctypes.data, starts.ctypes.data, taps, offsets.ctypes.data, place, 2 * channels, sums.ctypes.data)
    for i, c in np.ndindex(pixels, lanes):
        wanted = sum(int(image[starts[i] + offsets[t] + c]) * int(weights[t, first + c]) for t in range(taps))
        assert sums[i, c] == wanted
