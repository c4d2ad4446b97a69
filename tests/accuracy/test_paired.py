"""Paired outcomes: exact fractions as oracle, and an interval that holds what it promises."""

from fractions import Fraction
from itertools import product

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
def test_mcnemar_counts_coins(n, k):
    """Of all 2**n throws, those at least as uneven."""
    uneven = abs(2 * k - n)
    extreme = sum(abs(2 * sum(coins) - n) >= uneven for coins in product([0, 1], repeat=n))
    assert Paired(20, k, n - k).p == pytest.approx(float(Fraction(extreme, 2**n)))


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
