"""Copies, fills and largest bytes against NumPy, for short and long runs; and what lies beside them stays."""

import numpy as np
import pytest
from kernels_rows import EXTREMES, UNTOUCHED
from numba import njit, types

from refengine.kernels.fast.move import copy, fill, make_largest

LENGTHS = range(201)
MARGIN = 7


@njit(types.void(*[types.int64] * 3))
def call_copy(to, source, length):
    copy(to, source, length)


@njit(types.void(*[types.int64] * 3))
def call_fill(to, byte, length):
    fill(to, byte, length)


@pytest.mark.parametrize("shift", [0, 1, 5])
def test_copies_write_exactly_their_bytes(shift):
    source = np.random.default_rng(shift).integers(0, 256, 300).astype(np.uint8)
    for length in LENGTHS:
        to = np.full(250, UNTOUCHED, np.uint8)
        call_copy(to.ctypes.data + MARGIN, source.ctypes.data + shift, length)
        assert np.array_equal(to[MARGIN : MARGIN + length], source[shift : shift + length])
        assert (to[:MARGIN] == UNTOUCHED).all()
        assert (to[MARGIN + length :] == UNTOUCHED).all()


@pytest.mark.parametrize("byte", [0, 1, 128, 255])
def test_fills_write_exactly_their_bytes(byte):
    for length in LENGTHS:
        to = np.full(250, UNTOUCHED, np.uint8)
        call_fill(to.ctypes.data + MARGIN, byte, length)
        assert (to[MARGIN : MARGIN + length] == byte).all()
        assert (to[:MARGIN] == UNTOUCHED).all()
        assert (to[MARGIN + length :] == UNTOUCHED).all()


def largest(width):
    """``make_largest`` as a function."""
    own = make_largest(width)

    @njit(types.void(*[types.int64] * 4))
    def call(window, taps, offsets, codes):
        own(window, taps, offsets, codes)

    return call


@pytest.mark.parametrize("width", [16, 64])
def test_the_largest_bytes_of_a_window(width):
    """Bytes are unsigned, taps lie on both sides of the window's beginning, and none at all leave zeros."""
    rng, call, middle = np.random.default_rng(width), largest(width), 400
    for taps in (*range(12), 49, 200):
        image = rng.choice(EXTREMES[: 2 + taps % 5], 1000).astype(np.uint8)
        offsets = rng.integers(-400, 500, taps).astype(np.int32)
        codes = np.full(width + 2, UNTOUCHED, np.uint8)
        call(image.ctypes.data + middle, taps, offsets.ctypes.data, codes.ctypes.data + 1)
        wanted = image[middle + offsets[:, None] + np.arange(width)].max(axis=0, initial=0)
        assert codes.tolist() == [UNTOUCHED, *wanted.tolist(), UNTOUCHED]
