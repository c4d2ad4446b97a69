"""Tiles of every rung that this processor runs: sums equal NumPy's, extreme bytes and segments included."""

import numpy as np
import pytest
from numba import njit

from refengine.kernels.rungs import runnable
from refengine.kernels.tile import UNROLL, make_tile

CASES = [
    (rung, pixels, vectors) for rung in runnable() for large, vectors in rung.tiles for pixels in (large, large - 1, 1)
]


def aligned(array):
    place = np.empty(array.nbytes + 64, np.uint8)
    copy = place[-place.ctypes.data % 64 :][: array.nbytes].view(array.dtype)
    copy[:] = array.ravel()
    return copy


@pytest.mark.parametrize(("rung", "pixels", "vectors"), CASES, ids=lambda value: getattr(value, "name", value))
def test_a_tile_is_a_matrix_product(rung, pixels, vectors):
    rng = np.random.default_rng(pixels * vectors)
    width, segments, length, stride = vectors * rung.lanes, 3, 2 * 4 * UNROLL, 50
    image = rng.choice([0, 1, 127, 128, 254, 255], 400).astype(np.uint8)
    weights = rng.choice([-128, -127, -1, 0, 1, 127], (segments * length, width)).astype(np.int8)
    starts = rng.integers(0, 200, pixels).astype(np.int32)
    panel = aligned(np.ascontiguousarray(weights.reshape(-1, 4, width).transpose(0, 2, 1)))
    sums = np.zeros((pixels, width), np.int32)
    tile = make_tile(rung.dot, rung.lanes, pixels, vectors)

    @njit
    def call(image, starts, segments, stride, length, panel, sums):
        tile(image, starts, segments, stride, length, panel, sums)

    call(image.ctypes.data, starts.ctypes.data, segments, stride, length, panel.ctypes.data, sums.ctypes.data)
    windows = [np.concatenate([image[s + n * stride :][:length] for n in range(segments)]) for s in starts]
    assert np.array_equal(sums, np.array(windows, np.int64) @ weights.astype(np.int64))
