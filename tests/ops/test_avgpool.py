"""Average of a window, as a sum (contract, section Avgpool)."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.numbers.formats import INT8
from refengine.numbers.requantize import Requantize, requantize
from refengine.numbers.rescale import multiplier_and_shift
from refengine.ops import avgpool

BOTH = pytest.mark.parametrize("run", [avgpool.reference, avgpool.kernels], ids=["reference", "kernels"])


@BOTH
@given(case=strategies.pool_cases())
def test_it_gives_the_integers_of_the_oracle(run, case):
    """L times the mean of the valid pixels, exactly."""
    x, window = case
    acc = run(x, **window)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == avgpool.output_shape(x.shape[1:], **window)
    assert dict(np.ndenumerate(acc)) == oracle.avgpool(x, **window)


@BOTH
@given(case=strategies.pool_cases())
def test_an_image_does_not_see_its_neighbours(run, case):
    """Batches of one equal the batch (P1)."""
    x, window = case
    whole = run(x, **window)
    for n in range(len(x)):
        np.testing.assert_array_equal(run(x[n : n + 1], **window)[0], whole[n])


@given(strategies.pool_cases())
def test_counts_and_their_common_multiple(case):
    """The sum over an image of ones is the count; L is the smallest number that all counts divide."""
    x, window = case
    counts, common = avgpool.counts(x.shape[1:], **window), avgpool.common_count(x.shape[1:], **window)
    ones = oracle._pool(np.ones((1, *x.shape[1:3], 1)), **window)
    assert {(0, *index, 0): count for index, count in np.ndenumerate(counts)} == {i: sum(c) for i, c in ones}
    assert common == math.lcm(*counts.ravel().tolist())


@BOTH
@given(case=strategies.pool_cases(), code=st.integers(-128, 127))
def test_an_even_image_keeps_its_value(run, case, code):
    """Everywhere L times the code, at the border as inside: fewer pixels do not darken it."""
    x, window = case
    even = np.full(x.shape, code, np.int8)
    assert set(run(even, **window).ravel().tolist()) == {code * avgpool.common_count(x.shape[1:], **window)}


@given(strategies.pool_cases())
def test_bound_holds_and_is_reached(case):
    """L times the ends of the format (A2)."""
    x, window = case
    codes = (-128, 127) if x.dtype == np.int8 else (0, 255)
    lo, hi = avgpool.bound(codes, shape=x.shape[1:], **window)
    acc = avgpool.reference(x, **window)
    assert (lo <= acc).all()
    assert (acc <= hi).all()
    for code, end in zip(codes, (lo, hi), strict=True):
        assert set(avgpool.reference(np.full_like(x, code), **window).ravel().tolist()) == set(end.tolist())


@given(strategies.pool_cases())
def test_the_average_is_rounded_once(case):
    """With a multiplier of 31 bits for 1/L the code is the mean, rounded half up, whenever it is no near tie."""
    x, window = case
    common = avgpool.common_count(x.shape[1:], **window)
    multiplier, shift = multiplier_and_shift(Fraction(1, common), 31)
    p = Requantize(np.array([multiplier]), np.array([shift]), None, "half_up", INT8, "none", -128, 127)
    acc = avgpool.reference(x, **window)
    for total, code in zip(acc.ravel().tolist(), requantize(acc, p).ravel().tolist(), strict=True):
        mean = Fraction(total, common)
        if mean % 1 != Fraction(1, 2):
            assert code == min(oracle.ROUNDINGS["half_up"](mean), 127)


def test_windows_without_a_pixel_are_refused():
    """By output_shape, before anything runs."""
    window = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 0, 2, 0), "ceil_mode": False}
    with pytest.raises(NetworkError, match="hold no pixel"):
        avgpool.output_shape((4, 4, 1), **window)


def test_bound_holds_0_where_no_code_is_0():
    window = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": False}
    assert [int(end[0]) for end in avgpool.bound((4, 9), shape=(4, 4, 1), **window)] == [0, 36]
    assert [int(end[0]) for end in avgpool.bound((-9, -4), shape=(4, 4, 1), **window)] == [-36, 0]


def test_the_largest_common_count_is_allowed_and_the_next_is_not(monkeypatch):
    """Windows of 1 to 3 rows and columns: their counts have the multiple 36."""
    window = {"kernel_shape": (3, 3), "strides": (1, 1), "pads": (2, 2, 2, 2), "ceil_mode": False}
    monkeypatch.setattr(avgpool, "LARGEST_COMMON_COUNT", 36)
    assert avgpool.common_count((4, 4, 1), **window) == 36
    monkeypatch.setattr(avgpool, "LARGEST_COMMON_COUNT", 35)
    with pytest.raises(NetworkError, match=r"windows of \d x \d sizes have a common count beyond 2\*\*23"):
        avgpool.common_count((4, 4, 1), **window)
