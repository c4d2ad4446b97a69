"""Real factors as multiplier and shift (contract S)."""

from fractions import Fraction

import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.numbers.rescale import (
    MULTIPLIER_BITS,
    check_multiplier_bits,
    multiplier_and_shift,
    power_of_two,
    smallest_exponent,
)

widths = st.sampled_from(MULTIPLIER_BITS)
factors = st.builds(
    lambda numerator, denominator, exponent: Fraction(numerator, denominator) * Fraction(2) ** exponent,
    st.integers(0, 2**40),
    st.integers(1, 2**40),
    st.integers(-70, 10),
)


@given(factor=factors, bits=widths)
@example(factor=Fraction(0), bits=8)
@example(factor=Fraction(511, 512), bits=8)
@example(factor=Fraction(1, 2**63), bits=8)
@example(factor=Fraction(255), bits=8)
@example(factor=Fraction(511, 2), bits=8)
@example(factor=Fraction(510, 2), bits=8)
@example(factor=Fraction(3, 2), bits=1)
@example(factor=Fraction(2**31 - 1), bits=31)
def test_it_gives_the_integers_of_the_oracle(factor, bits):
    """The longest shift whose nearest multiplier still fits, or a refusal where there is none."""
    expected = oracle.multiplier_and_shift(factor, bits)
    if expected is None:
        with pytest.raises(RangeError, match="exceeds the largest multiplier"):
            multiplier_and_shift(factor, bits)
    else:
        assert multiplier_and_shift(factor, bits) == expected


@given(factor=factors, bits=widths, max_shift=st.integers(0, 62))
def test_a_shorter_longest_shift(factor, bits, max_shift):
    """The same choice among fewer shifts (S3)."""
    expected = oracle.multiplier_and_shift(factor, bits, max_shift)
    if expected is None:
        with pytest.raises(RangeError, match="exceeds the largest multiplier"):
            multiplier_and_shift(factor, bits, max_shift)
    else:
        assert multiplier_and_shift(factor, bits, max_shift) == expected


@given(factor=factors, bits=widths)
def test_normal_range_and_nearest(factor, bits):
    """Multipliers lie in 2**(bits-1) .. 2**bits - 1 unless the shift is at its end, and no other one is nearer."""
    try:
        multiplier, shift = multiplier_and_shift(factor, bits)
    except RangeError:
        assert factor >= 2**bits - Fraction(1, 2)
        return
    assert 0 <= shift <= 62
    assert 0 <= multiplier < 2**bits
    assert multiplier >= 2 ** (bits - 1) or shift == 62 or factor == 0
    assert abs(Fraction(multiplier, 2**shift) - factor) <= Fraction(1, 2 ** (shift + 1))


@pytest.mark.parametrize("bits", MULTIPLIER_BITS)
def test_what_is_exact_is_found(bits):
    """Every multiplier of the normal range (samples of it for wide ones), with every shift, comes back as it is."""
    step = max(1, 2 ** (bits - 1) // 40)
    for multiplier in {*range(2 ** (bits - 1), 2**bits, step), 2**bits - 1}:
        for shift in range(63):
            assert multiplier_and_shift(Fraction(multiplier, 2**shift), bits) == (multiplier, shift)


@pytest.mark.parametrize("bits", MULTIPLIER_BITS)
def test_ties_go_up_and_the_top_one_renormalises(bits):
    """Half-way between two multipliers the larger is taken; 2**bits becomes 2**(bits-1) with one shift less (S2)."""
    low = 2 ** (bits - 1)
    assert multiplier_and_shift(Fraction(2 * low + 1, 2 * 2**20), bits) == ((low + 1, 20) if bits > 1 else (1, 19))
    assert multiplier_and_shift(Fraction(2 * 2**bits - 1, 2 * 2**20), bits) == (low, 19)


@pytest.mark.parametrize("bits", MULTIPLIER_BITS)
def test_the_smallest_factors(bits):
    """At shift 62 the multiplier leaves its normal range, down to 0 (S3)."""
    assert multiplier_and_shift(Fraction(1, 2**62), bits) == (1, 62)
    assert multiplier_and_shift(Fraction(1, 2**63), bits) == (1, 62)
    assert multiplier_and_shift(Fraction(1, 2**63) - Fraction(1, 2**200), bits) == (0, 62)
    assert multiplier_and_shift(Fraction(0), bits) == (0, 0)


@pytest.mark.parametrize("bits", MULTIPLIER_BITS)
def test_the_largest_factors(bits):
    """Up to the largest multiplier with shift 0; from half a step above it, a refusal that says so (S3)."""
    assert multiplier_and_shift(Fraction(2**bits - 1), bits) == (2**bits - 1, 0)
    assert multiplier_and_shift(2**bits - Fraction(1, 2) - Fraction(1, 2**99), bits) == (2**bits - 1, 0)
    for factor in (2**bits - Fraction(1, 2), Fraction(2**bits), Fraction(10**30)):
        with pytest.raises(RangeError) as caught:
            multiplier_and_shift(factor, bits)
        message = f"the factor {factor} exceeds the largest multiplier of {bits} bits, {2**bits - 1}"
        assert str(caught.value) == message


def test_a_negative_factor_is_refused():
    """The sign belongs into the codes (F2)."""
    with pytest.raises(RangeError, match=r"^a multiplier is unsigned, found the factor -1/3$"):
        multiplier_and_shift(Fraction(-1, 3), 8)


@pytest.mark.parametrize("bits", [0, -1, 16, 30, 32])
def test_other_widths_are_refused(bits):
    """1 to 15 and 31."""
    for refused in (lambda: check_multiplier_bits(bits), lambda: multiplier_and_shift(Fraction(1), bits)):
        with pytest.raises(RangeError, match=rf"^a multiplier has 1 to 15 or 31 bits, found {bits}$"):
            refused()


def test_a_legal_width_is_returned():
    """check_multiplier_bits hands back what it has checked."""
    assert [check_multiplier_bits(bits) for bits in (*range(1, 16), 31)] == list(MULTIPLIER_BITS)


@given(st.integers(-200, 200))
def test_powers_of_two_are_exact_for_either_sign(exponent):
    """Exact for either sign."""
    assert power_of_two(exponent) == Fraction(2) ** exponent


@given(value=factors.filter(bool), top=st.sampled_from([1, 7, 127, 128, 255, 2**15]))
@example(value=Fraction(127), top=127)
@example(value=Fraction(127) + Fraction(1, 2**99), top=127)
@example(value=Fraction(5e-324), top=255)
def test_the_smallest_exponent_holds_and_the_one_below_does_not(value, top):
    """It holds the value, and the one below does not (N4)."""
    e = smallest_exponent(value, top)
    assert value <= top * Fraction(2) ** e
    assert value > top * Fraction(2) ** (e - 1)
