"""Paired outcomes: exact fractions as oracle, and an interval that holds what it promises."""

from fractions import Fraction
from itertools import product
from math import comb, erfc, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.accuracy.paired import Paired, paired
from refengine.errors import RangeError

outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def columns(pairs):
    first, second = zip(*pairs, strict=True)
    return np.array(first, bool), np.array(second, bool)


@given(outcomes)
def test_counts_and_difference(pairs):
    found = paired(*columns(pairs))
    assert (found.first_only, found.second_only) == (pairs.count((True, False)), pairs.count((False, True)))
    shares = [sum(column) for column in zip(*pairs, strict=True)]
    assert found.difference == pytest.approx((shares[0] - shares[1]) / len(pairs))
    low, high = found.interval
    assert -1 <= low <= high <= 1


@given(outcomes)
def test_the_other_way_round(pairs):
    first, second = columns(pairs)
    one, other = paired(first, second), paired(second, first)
    assert one.difference == -other.difference
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    assert one.p == other.p


@pytest.mark.parametrize(("n", "k"), [(0, 0), (1, 0), (5, 0), (9, 3), (12, 6), (14, 11)])
def test_mcnemar_is_the_share_of_coin_throws_at_least_as_uneven(n, k):
    """Of all 2**n throws, those at least as uneven."""
    uneven = abs(2 * k - n)
    extreme = sum(abs(2 * sum(coins) - n) >= uneven for coins in product([0, 1], repeat=n))
    assert Paired(20, k, n - k).p == pytest.approx(float(Fraction(extreme, 2**n)))


def exact(n, k):
    """The same by sums of binomials."""
    return min(Fraction(1), Fraction(2 * sum(comb(n, i) for i in range(k + 1)), 2**n))


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_sum_of_binomials(one, other):
    wanted = exact(one + other, min(one, other))
    assert Paired(1000, one, other).p == pytest.approx(float(wanted), rel=1e-12, abs=0)


@pytest.mark.parametrize(("one", "other"), [(700, 720), (400, 1200), (1000, 1000)])
def test_mcnemar_of_hundreds_of_pairs_is_the_exact_sum(one, other):
    """Far down, and where 2**n is no float."""
    wanted = exact(one + other, min(one, other))
    logarithm = log10(wanted.numerator) - log10(wanted.denominator)
    assert log10(Paired(20000, one, other).p or 1e-308) == pytest.approx(max(-308, logarithm), abs=1e-9)


def test_mcnemar_of_a_million_is_a_number():
    assert Paired(2_000_000, 500_000, 500_000).p == 1
    assert Paired(2_000_000, 499_000, 501_000).p == pytest.approx(erfc(1999 / 1000 / 2**0.5), rel=1e-4)
    assert Paired(2_000_000, 0, 1_000_000).p == 0


def test_the_interval_is_the_published_one():
    """By hand: n = 100, 20 and 5: shares 21/102 and 6/102."""
    low, high = Paired(100, 20, 5).interval
    half = 1.959963984540054 * ((27 / 102 - (15 / 102) ** 2) / 102) ** 0.5
    assert (low, high) == pytest.approx((15 / 102 - half, 15 / 102 + half))


def test_the_interval_covers():
    """In 95 of 100 draws, give or take: 2000 draws of 60 images with known probabilities."""
    rng = np.random.default_rng(0)
    held = 0
    for draw in rng.choice(4, size=(2000, 60), p=[0.6, 0.2, 0.12, 0.08]):
        low, high = paired(draw < 2, (draw == 0) | (draw == 2)).interval
        held += low <= 0.2 - 0.12 <= high
    assert 1850 <= held <= 1960


def test_other_images_are_refused():
    with pytest.raises(RangeError, match="needed one length"):
        paired(np.zeros(3, bool), np.zeros(4, bool))
    with pytest.raises(RangeError, match="at least 1"):
        paired(np.zeros(0, bool), np.zeros(0, bool))
