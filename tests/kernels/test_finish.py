"""The 32-bit rescale against plain integers of unbounded size, at the edges of what it accepts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from refengine.kernels.finish import make_finish

LANES = 8
finish = make_finish(LANES)


@njit
def call(sums, table, width, channel, residual, code, lo, hi, zero):
    finish(sums, table, width, channel, residual, code, lo, hi, zero)


def codes_of(total, multiplier, shift, residual_shift, residual, lo, hi, zero, lift=0):
    sums = np.full(LANES, total, np.int32)
    added = 0 if residual is None else 1 << (residual_shift - 16)
    rows = (0, multiplier, 1 << (shift - 17), shift - 16, added, lift)
    table = np.repeat(np.array(rows, np.int32)[:, None], LANES, axis=1)
    residuals = np.full(LANES, residual or 0, np.uint8)
    codes = np.zeros(LANES, np.uint8)
    address = 0 if residual is None else residuals.ctypes.data
    call(sums.ctypes.data, table.ctypes.data, LANES, 0, address, codes.ctypes.data, lo, hi, zero)
    assert len(set(codes.tolist())) == 1
    return int(codes[0])


@given(
    total=st.one_of(
        st.integers(-(2**31) + 2**16, 2**31 - 2**16), st.sampled_from([0, -1, 32767, 32768, -32768, -32769, 65535])
    ),
    multiplier=st.one_of(st.integers(0, 2**15 - 1), st.sampled_from([1, 2**15 - 1])),
    shift=st.integers(17, 47),
    residual=st.one_of(st.none(), st.integers(0, 255)),
    zero=st.sampled_from([0, 128]),
)
def test_the_rescale_is_the_contracts(total, multiplier, shift, residual, zero):
    residual_shift = min(30, shift)
    whole = total * multiplier + (0 if residual is None else residual << residual_shift) + (1 << (shift - 1))
    if abs(whole) >> 16 >= 2**31:
        return
    wanted = min(max((whole >> shift) + zero, 0), 255)
    assert codes_of(total, multiplier, shift, residual_shift, residual, 0, 255, zero) == wanted


@pytest.mark.parametrize("lift", [0, 3, 10])
@pytest.mark.parametrize("total", [-5000, -1, 0, 77, 5000])
def test_a_lift_is_a_larger_shift(total, lift):
    wanted = min(max((total * 300 + (1 << 13)) >> 14, 0), 255)
    assert codes_of(total, 300 << 3, 17 + lift, 30, None, 0, 255, 0, lift) == wanted


@pytest.mark.parametrize("total", [-300, -2, -1, 0, 1, 2, 3, 300])
def test_the_clip(total):
    assert codes_of(total << 17, 1, 17, 16, None, 3, 9, 2) == min(max(total + 2, 3), 9)
