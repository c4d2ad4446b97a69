"""The explained rounding is the oracle's, and its words say what the mode's row does."""

from fractions import Fraction

import oracle
from hypothesis import given
from hypothesis import strategies as st

from refengine.analysis.explain_rounding import cut_bits, mode_words, rounded
from refengine.numbers.rounding import ALL, HALF, MODES, NOTHING, ROUNDINGS, UNDER


@given(
    st.integers(-(2**62), 2**62) | st.integers(-70, 70),
    st.integers(0, 62) | st.integers(0, 5),
    st.sampled_from(ROUNDINGS),
    st.integers(0, 2**64 - 1),
)
def test_the_explained_rounding_is_the_oracles(total, shift, mode, bits):
    found = rounded(total, shift, mode, bits)
    assert found.rounded == oracle.round_shift(total, shift, mode, bits) == (total + found.addend) >> shift
    assert found.discarded == Fraction(total, 2**shift) % 1 * 2**shift
    assert found.decision.endswith(
        f"goes up to {found.rounded}" if found.rounded > found.quotient else f"stays at {found.quotient}"
    )
    tie = 2 * found.discarded == 2**shift
    assert ("a tie;" in found.decision) == tie
    if mode == "half_even" and tie:
        assert "is odd)" in found.decision or "is even)" in found.decision


@given(st.integers(-(2**62), 2**62), st.integers(0, 62))
def test_the_bits_are_those_of_the_total(total, shift):
    kept, discarded = cut_bits(total, shift)
    assert len(discarded) == shift
    assert int(kept, 2) - (2 ** len(kept) if kept[0] == "1" else 0) == total >> shift
    assert int("0" + discarded, 2) == total % 2**shift


def test_the_words_of_a_mode_are_read_from_its_row():
    """Every row of addends that a table can have says something of its own."""
    assert len({mode_words(mode) for mode in ROUNDINGS}) == len(ROUNDINGS)
    assert mode_words("half_away") == "goes to the nearest, a tie away from zero"
    assert mode_words("toward_zero") == "goes toward zero: down from 0 on, up below"


def test_a_row_that_has_no_name_is_listed(monkeypatch):
    monkeypatch.setitem(MODES, "odd_one", (HALF, UNDER, HALF, UNDER))
    monkeypatch.setitem(MODES, "strange", (HALF, UNDER, NOTHING, ALL))
    assert mode_words("odd_one") == "goes to the nearest, a tie to the odd one"
    assert mode_words("strange") == (
        "adds a half (0 or more, even), a half less one (0 or more, odd), nothing (below 0, even), "
        "a unit less one (below 0, odd)"
    )
