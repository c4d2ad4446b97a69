"""Rounding by an addend and a shift is the definition by cases, for every value and every shift (contract R1-R5).

The functions are those of ``numbers/rounding.py``, run on symbols: value and shift are both any that the stated range
holds.  The definition has 68 bits, where nothing wraps: the floored quotient, twice the remainder, and the mode's case.
"""

import oracle
import pytest
import symbolic
from rounding_cases import GOES_UP
from symbolic import chosen, counterexample, in_symbols, number, outcomes, proved, within, word

from refengine.errors import RangeError
from refengine.numbers import rounding
from refengine.numbers.requantize import MAX_TOTAL
from refengine.numbers.rounding import DOUBLE_ROUND, MAX_SHIFT, MODES, STOCHASTIC, addends

pytestmark = pytest.mark.slow

WIDE = 68
SYMBOLIC = in_symbols(rounding)
LOWEST, HIGHEST = -(2**63), 2**63 - 1

T, SHIFT, BITS = word("t"), word("shift"), word("bits", signed=False)
SHIFTS = within(SHIFT, 0, MAX_SHIFT)


def reach(mode):
    """The highest value to which the mode can add its largest addend, that of the longest shift, within int64."""
    return HIGHEST - int(addends(MAX_SHIFT, mode)[:2].max())


def by_cases(mode, t, shift):
    """The mode's definition: the floored quotient, or one more."""
    t, unit = t.widened(WIDE), number(1, WIDE) << shift.widened(WIDE)
    quotient = t >> shift.widened(WIDE)
    twice = (t - (quotient << shift.widened(WIDE))) << 1
    return quotient + GOES_UP[mode](quotient, twice, unit).as_word(WIDE)


def nearest_away(t, shift):
    """``t / 2**shift`` to nearest, ties away from zero, in the width of ``t``: R6 with a power of two."""
    unit = number(1, t.width) << shift
    magnitude = (((chosen(t < 0, -t, t) << 1) + unit) >> shift) >> 1
    return chosen(t < 0, -magnitude, magnitude)


def two_steps(t, shift):
    """R4: ``t / 2**31``, ties up, and that by the rest of the shift, ties away from zero."""
    first = (t.widened(WIDE) + 2**30) >> 31
    return nearest_away(first, shift.widened(WIDE) - 31)


def rounded(mode, shift=SHIFT, bits=None):
    """The product's result as the one way through it, or what it raises."""
    ((_, result),) = outcomes(lambda: SYMBOLIC.round_shift(T, shift, mode, bits), SHIFTS)
    return result


def test_quotient_and_remainder_are_what_the_definition_takes_them_for():
    unit = number(1, WIDE) << SHIFT.widened(WIDE)
    quotient = T.widened(WIDE) >> SHIFT.widened(WIDE)
    remainder = T.widened(WIDE) - (quotient << SHIFT.widened(WIDE))
    proved((remainder >= 0) & (remainder < unit), SHIFTS)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_its_cases(mode):
    """Every shift, and every value to which the addend can be added: far more than the contract asks for."""
    assert reach(mode) >= MAX_TOTAL
    proved(rounded(mode).widened(WIDE) == by_cases(mode, T, SHIFT), SHIFTS, within(T, LOWEST, reach(mode)))


@pytest.mark.parametrize("mode", [mode for mode in MODES if reach(mode) < HIGHEST])
def test_a_mode_is_not_its_cases_one_value_further(mode):
    claim = rounded(mode).widened(WIDE) == by_cases(mode, T, SHIFT)
    found = counterexample(claim, SHIFTS, within(T, LOWEST, reach(mode) + 1))
    assert (found["t"], found["shift"]) == (reach(mode) + 1, MAX_SHIFT)


def test_some_mode_reaches_just_as_far_as_the_contract_says():
    """R1's 2**62 is the largest bound that all modes share."""
    assert min(map(reach, MODES)) == MAX_TOTAL


def test_a_shift_one_longer_is_refused():
    """The condition on shifts is the function's own: beyond it there is no result that could equal the definition."""
    loose = within(SHIFT, 0, MAX_SHIFT + 1)
    ways = list(outcomes(lambda: SYMBOLIC.round_shift(T, SHIFT, "half_up"), loose))
    refusals = [condition for condition, result in ways if isinstance(result, RangeError)]
    assert len(ways) == 2
    (refusal,) = refusals
    proved(SHIFT == MAX_SHIFT + 1, loose, refusal)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in ("floor", "toward_zero")])
def test_the_addends_of_a_shift_one_longer_would_be_wrong(mode):
    """Beyond 62 the unit itself is no int64: the refusal of a longer shift is needed.

    It is not by ``floor``, which adds nothing, and ``toward_zero``, whose ``unit - 1`` wraps to the right number.
    """
    row = SYMBOLIC.addends(SHIFT, mode)
    column = 2 * (T < 0) + ((T >> SHIFT) & 1)
    claim = ((T + row[column]) >> SHIFT).widened(WIDE) == by_cases(mode, T, SHIFT)
    found = counterexample(claim, SHIFT == MAX_SHIFT + 1, within(T, -MAX_TOTAL, MAX_TOTAL))
    assert found["shift"] == MAX_SHIFT + 1


def test_double_round_is_its_two_steps():
    """R4: half_up up to a shift of 31, the two steps beyond, for every value that the nudge leaves in int64."""
    wanted = chosen(SHIFT > 31, two_steps(T, SHIFT), by_cases("half_up", T, SHIFT))
    claim = rounded(DOUBLE_ROUND).widened(WIDE) == wanted
    assert reach(DOUBLE_ROUND) >= MAX_TOTAL
    proved(claim, SHIFTS, within(T, LOWEST, reach(DOUBLE_ROUND)))
    assert counterexample(claim, SHIFTS, within(T, LOWEST, reach(DOUBLE_ROUND) + 1))["t"] == reach(DOUBLE_ROUND) + 1


@pytest.mark.parametrize("first", [30, 32])
def test_double_round_has_its_second_step_from_a_shift_of_32_on(first):
    """With the two steps beginning one shift earlier or later, some value differs."""
    wanted = chosen(first + 1 <= SHIFT, two_steps(T, SHIFT), by_cases("half_up", T, SHIFT))
    claim = rounded(DOUBLE_ROUND).widened(WIDE) == wanted
    if first == 30:
        proved(claim, SHIFTS, SHIFT != 31, within(T, -MAX_TOTAL, MAX_TOTAL))
    else:
        assert counterexample(claim, SHIFTS, within(T, -MAX_TOTAL, MAX_TOTAL))["shift"] == 32


def test_a_draw_is_the_highest_bits():
    """R5's ``bits >> (64 - s)``, which no shift of 64 bits by 64 has to compute where s is 0."""
    draw = SYMBOLIC.draws(BITS, SHIFT)
    proved(draw.widened(WIDE) == BITS.widened(WIDE) >> (number(64, WIDE) - SHIFT.widened(WIDE)), SHIFTS)


def test_stochastic_rounding_floors_after_adding_the_draw():
    """For every value that leaves room for a draw below the longest shift's unit."""
    draw = BITS.widened(WIDE) >> (number(64, WIDE) - SHIFT.widened(WIDE))
    claim = rounded(STOCHASTIC, bits=BITS).widened(WIDE) == (T.widened(WIDE) + draw) >> SHIFT.widened(WIDE)
    top = HIGHEST - (2**MAX_SHIFT - 1)
    assert top == MAX_TOTAL
    proved(claim, SHIFTS, within(T, LOWEST, top))
    assert counterexample(claim, SHIFTS, within(T, LOWEST, top + 1))["t"] == top + 1


def test_the_definition_is_that_of_plain_integers():
    """The definition by cases in symbols, and the oracle's in fractions, at ties, ends and beside them."""
    for mode in MODES:
        for shift in (0, 1, 2, 31, 62):
            for t in (-(2**62), -(2**shift), -(2**shift >> 1) - 1, -(2**shift >> 1), -1, 0, 1, 3 * (2**shift >> 1)):
                found = symbolic.z3.simplify(by_cases(mode, number(t), number(shift)).term).as_signed_long()
                assert found == oracle.round_shift(t, shift, mode)
