"""The nearest integer to a rational (contract R6) and the codes of real weights (R7)."""

import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.numbers.formats import INT4, INT8, INT8_WEIGHT, SCALE, TERNARY, UINT8
from refengine.numbers.nearest import nearest_codes
from refengine.numbers.rounding import nearest

FORMATS = [TERNARY, INT4, INT8_WEIGHT, UINT8, INT8, SCALE]
NAMES = ["ternary", "int4", "int8_weight", "uint8", "int8", "scale"]


@given(numerator=st.integers(-(2**80), 2**80), denominator=st.integers(1, 2**80))
@example(numerator=-(2**53 + 1), denominator=2)
def test_nearest_is_half_away(numerator, denominator):
    """Any rational, against exact Fractions."""
    assert nearest(numerator, denominator) == oracle.ROUNDINGS["half_away"](Fraction(numerator, denominator))


def test_nearest_of_small_rationals():
    """All n/d with |n| <= 60, d <= 12: no other integer is nearer, and a tie goes to the larger magnitude."""
    for d in range(1, 13):
        for n in range(-60, 61):
            found, x = nearest(n, d), Fraction(n, d)
            assert abs(found - x) <= Fraction(1, 2)
            if abs(found - x) == Fraction(1, 2):
                assert abs(found) > abs(x)


@pytest.mark.parametrize("power", [31, 53, 62])
def test_nearest_does_not_pass_through_a_float(power):
    """Halves next to powers of two, where a float has no bit left for them."""
    assert nearest(2 ** (power + 1) + 1, 2) == 2**power + 1
    assert nearest(2 ** (power + 1) - 1, 2) == 2**power
    assert nearest(-(2 ** (power + 1)) - 1, 2) == -(2**power) - 1
    assert nearest(2 * (2**power) + 1, 4) == 2 ** (power - 1)


@pytest.mark.parametrize("fmt", FORMATS, ids=NAMES)
def test_every_half_and_its_neighbours(fmt):
    """Each half-integer up to one beyond the ends, and the floats just beside it."""
    halves = np.arange(2 * fmt.lo - 3, 2 * fmt.hi + 4) / 2
    for values in (halves, np.nextafter(halves, -np.inf), np.nextafter(halves, np.inf)):
        expected = [min(max(round(Fraction(v)), fmt.lo), fmt.hi) for v in values.tolist()]
        codes = nearest_codes(values, fmt)
        assert codes.dtype == fmt.dtype
        assert codes.tolist() == expected


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=5), st.sampled_from(FORMATS))
@example([1e300, -1e300, 2.0**63, -(2.0**63), 5e-324], INT4)
def test_any_finite_value_gives_its_nearest_code(values, fmt):
    """Beyond the format a value saturates, however large."""
    expected = [min(max(round(Fraction(v)), fmt.lo), fmt.hi) for v in values]
    assert nearest_codes(np.array(values), fmt).tolist() == expected


def test_infinities_saturate_and_the_shape_stays():
    """The shape of the values is the shape of the codes."""
    codes = nearest_codes(np.array([[math.inf, -math.inf], [-0.0, 0.5]]), INT4)
    assert codes.tolist() == [[7, -7], [0, 0]]
