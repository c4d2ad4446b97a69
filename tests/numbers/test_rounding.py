"""Rounding of integers by a right shift (contract R1-R4).

Two independent opinions: Fractions (the oracle), and the literature's own two-step program for ``double_round``.  A
third one, by cases on the remainder, is in tests/proofs: for every int16 by enumeration, for every int64 by a solver.
"""

from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.numbers.rounding import (
    DOUBLE_ROUND,
    MAX_SHIFT,
    MODES,
    ROUNDINGS,
    STOCHASTIC,
    addends,
    check_rounding,
    round_shift,
)

EDGES = [
    sign * (power + offset)
    for power in (2**31, 2**53, 2**62)
    for offset in (-1, 0, 1)
    for sign in (-1, 1)
    if power + offset <= 2**62
]
values = st.integers(-(2**62), 2**62) | st.sampled_from(EDGES) | st.integers(-70, 70)


def test_every_mode_has_an_oracle():
    """A mode without a twin in the oracle is not tested, hence not allowed."""
    assert set(MODES) == set(oracle.ROUNDINGS)
    assert (*MODES, STOCHASTIC, DOUBLE_ROUND) == ROUNDINGS
    assert (STOCHASTIC, DOUBLE_ROUND) == ("stochastic", "double_round")


@pytest.mark.parametrize("mode", MODES)
@given(t=values, shift=st.integers(0, MAX_SHIFT))
@example(t=-6, shift=2)
@example(t=2**62, shift=62)
@example(t=-(2**62), shift=62)
@example(t=2**62 - 1, shift=1)
def test_round_shift_is_the_fraction_rounded(mode, t, shift):
    """Wide values at any shift, against exact Fractions."""
    assert round_shift(t, shift, mode) == oracle.ROUNDINGS[mode](Fraction(t, 2**shift))


@pytest.mark.parametrize("mode", MODES)
def test_the_edges_at_every_shift(mode):
    """2**31, 2**53 and 2**62, one more and one less, with either sign: where floats and 32 bits give up."""
    for edge in EDGES:
        expected = [oracle.round_shift(edge, shift, mode) for shift in range(MAX_SHIFT + 1)]
        assert round_shift(np.full(MAX_SHIFT + 1, edge), np.arange(MAX_SHIFT + 1), mode).tolist() == expected, edge


@pytest.mark.parametrize("rounding", [*MODES, DOUBLE_ROUND])
@given(t=values)
def test_shift_zero_changes_nothing(rounding, t):
    """Dividing by one leaves nothing to round."""
    assert round_shift(t, 0, rounding) == t


@pytest.mark.parametrize("mode", MODES)
@given(t=values, shift=st.integers(0, MAX_SHIFT))
def test_what_is_exact_stays_exact(mode, t, shift):
    """A multiple of the unit gives its quotient in every mode."""
    multiple = t >> shift << shift
    assert round_shift(multiple, shift, mode) == t >> shift


@pytest.mark.parametrize("mode", MODES)
@given(t=values, shift=st.integers(0, MAX_SHIFT))
def test_negation_mirrors_every_mode(mode, t, shift):
    """Negating the value mirrors the rounding: up becomes down; away, toward zero and even stay what they are."""
    pairs = {"floor": "ceil", "half_up": "half_down"}
    mirror = (pairs | {v: k for k, v in pairs.items()}).get(mode, mode)
    assert round_shift(-t, shift, mode) == -round_shift(t, shift, mirror)


@given(v=st.integers(-(2**31), 2**31 - 1), m=st.integers(0, 2**31 - 1), shift=st.integers(0, 62))
@example(v=-1, m=2**30, shift=62)
@example(v=2**31 - 1, m=2**31 - 1, shift=32)
@example(v=-(2**31), m=2**31 - 1, shift=62)
def test_double_round_is_the_two_step_rounding(v, m, shift):
    """gemmlowp's high multiply and division by a power of two, and TOSA's one formula, give the same integer (R4)."""
    two_steps = oracle.rdbp(oracle.srdhm(v << max(31 - shift, 0), m), max(shift - 31, 0))
    one_formula = (v * m + oracle.tosa_addend(v, shift)) >> shift
    assert round_shift(v * m, shift, DOUBLE_ROUND) == two_steps == one_formula


@given(t=values, shift=st.integers(0, MAX_SHIFT))
@example(t=-(2**62), shift=62)
@example(t=-(2**30), shift=32)
@example(t=-1, shift=62)
def test_double_round_of_any_total(t, shift):
    """A total with a residual in it is no product; the two steps are then taken of the total itself."""
    assert round_shift(t, shift, DOUBLE_ROUND) == oracle.double_round(t, shift)


@pytest.mark.parametrize("shift", [32, 33, 34, 40])
def test_double_round_differs_from_a_single_rounding(shift):
    """Around a tie of the second step the two roundings part; a table that forgot the nudge would not show it."""
    tie = 2 ** (shift - 1)
    near = np.arange(tie - 2**30 - 2, tie - 2**30 + 3)
    two, one = round_shift(near, shift, DOUBLE_ROUND), round_shift(near, shift, "half_up")
    assert two.tolist() == [0, 0, 1, 1, 1]
    assert one.tolist() == [0, 0, 0, 0, 0]


@given(t=st.lists(values, min_size=6, max_size=6), shift=st.lists(st.integers(0, 62), min_size=3, max_size=3))
@pytest.mark.parametrize("rounding", [*MODES, DOUBLE_ROUND])
def test_a_shift_for_each_channel(rounding, t, shift):
    """The last axis of the values runs with the shifts."""
    rounded = round_shift(np.array(t).reshape(2, 3), np.array(shift), rounding)
    expected = [oracle.round_shift(value, shift[i % 3], rounding) for i, value in enumerate(t)]
    assert rounded.dtype == np.int64
    assert rounded.ravel().tolist() == expected


@pytest.mark.parametrize("mode", [*MODES, DOUBLE_ROUND])
@given(t=values, shift=st.integers(0, MAX_SHIFT))
def test_adding_the_addend_and_shifting_is_the_rounding(mode, t, shift):
    """The table that is handed to kernels gives the same integer as the function (R3)."""
    addend = int(addends(shift, mode)[2 * (t < 0) + ((t >> shift) & 1)])
    assert (t + addend) >> shift == oracle.round_shift(t, shift, mode)
    assert -(2**63) <= t + addend < 2**63


def test_addends_have_one_row_a_shift():
    """Four addends for each shift: value not negative / negative, quotient even / odd."""
    assert addends(np.array([0, 1, 4]), "half_even").tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [7, 8, 7, 8]]
    assert addends(np.array([31, 32]), DOUBLE_ROUND).tolist() == [
        [2**30] * 4,
        [2**31 + 2**30] * 2 + [2**31 - 2**30] * 2,
    ]


@pytest.mark.parametrize("shift", [-1, 63])
def test_a_shift_out_of_range_is_refused(shift):
    """0..62, nothing else."""
    with pytest.raises(RangeError, match=rf"^a shift lies in 0\.\.62, found {shift}\.\.{shift}$"):
        round_shift(1, shift, "floor")
    with pytest.raises(RangeError, match=r"found -?\d+\.\.\d+$"):
        round_shift([1, 1], [5, shift], "floor")


@pytest.mark.parametrize("name", ["round", "HALF_UP", ""])
def test_an_unknown_rounding_is_refused_with_the_known_ones(name):
    """The message lists what there is."""
    listed = "; available: " + ", ".join(ROUNDINGS)
    for refused in (lambda: check_rounding(name), lambda: round_shift(1, 1, name)):
        with pytest.raises(RangeError) as caught:
            refused()
        assert str(caught.value) == f"rounding {name!r} is unknown{listed}"


def test_a_known_rounding_is_returned():
    """check_rounding hands back what it has checked."""
    assert [check_rounding(name) for name in ROUNDINGS] == list(ROUNDINGS)


def test_stochastic_needs_bits():
    """Without random bits there is nothing to draw from."""
    with pytest.raises(RangeError, match=r"^stochastic rounding needs random bits, found none$"):
        round_shift(1, 1, STOCHASTIC)
