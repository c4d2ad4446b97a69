"""Accumulators narrower than 32 bits (contract A3, A4)."""

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refengine.errors import RangeError
from refengine.numbers.accumulator import POLICIES, WIDTHS, check_accumulator, confine

sums = arrays(np.int32, (2, 3), elements=st.integers(-(2**31), 2**31 - 1) | st.integers(-40000, 40000))
NARROWING = ("wrap", "saturate")


@pytest.mark.parametrize("policy", NARROWING)
@pytest.mark.parametrize("bits", [16, 17, 18])
def test_all_sums_of_nineteen_bits(bits, policy):
    """Every value -2**18..2**18-1: by compare-and-select, and by keeping the low bits and extending their sign."""
    acc = np.arange(-(2**18), 2**18, dtype=np.int32)
    top = 2 ** (bits - 1)
    low_bits = acc & (2 * top - 1)
    wrapped = np.where(low_bits >= top, low_bits - 2 * top, low_bits)
    saturated = np.where(acc >= top, top - 1, np.where(acc < -top, -top, acc))
    confined, events = confine(acc, bits, policy)
    assert confined.dtype == np.int32
    np.testing.assert_array_equal(confined, wrapped if policy == "wrap" else saturated)
    assert events == 2**19 - 2**bits


@pytest.mark.parametrize("policy", NARROWING)
@given(acc=sums, bits=st.sampled_from(WIDTHS))
@example(acc=np.array([[-(2**31), 2**31 - 1, 0], [2**30, -(2**30), -(2**30) - 1]], np.int32), bits=31)
def test_it_gives_the_integers_of_the_oracle(policy, acc, bits):
    """Any sums, any width, and the number of those that did not fit."""
    confined, events = confine(acc, bits, policy)
    expected = [oracle.confine(int(value), bits, policy) for value in acc.ravel()]
    assert confined.dtype == np.int32
    assert confined.ravel().tolist() == expected
    assert events == sum(not -(2 ** (bits - 1)) <= int(v) < 2 ** (bits - 1) for v in acc.ravel())


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=6), st.sampled_from(range(16, 22)), st.randoms())
def test_wrapping_early_or_late_is_the_same(terms, bits, random):
    """An adder of that width, wrapping at each step in any order, ends where one wrap of the sum ends (A3)."""
    late, _ = confine(np.array([sum(terms)], np.int32), bits, "wrap")
    random.shuffle(terms)
    register = 0
    for term in terms:
        register = oracle.confine(register + term, bits, "wrap")
    assert late.tolist() == [register]


@pytest.mark.parametrize("policy", POLICIES)
def test_thirty_two_bits_change_nothing(policy):
    """Sums are int32 already."""
    acc = np.array([-(2**31), -1, 0, 2**31 - 1], np.int32)
    confined, events = confine(acc, 32, policy)
    assert confined.tolist() == acc.tolist()
    assert events == 0


def test_the_sums_are_left_alone():
    """The array that comes in is not written to."""
    acc = np.array([2**20], np.int32)
    confine(acc, 16, "wrap")
    assert acc.tolist() == [2**20]


@pytest.mark.parametrize("policy", POLICIES)
def test_16_to_32_bits_are_accepted_with_every_policy(policy):
    for bits in WIDTHS:
        check_accumulator(bits, policy)


@pytest.mark.parametrize("bits", [15, 33, 0, -16])
def test_other_widths_are_refused(bits):
    """The message names the range and what was found."""
    with pytest.raises(RangeError, match=rf"^an accumulator has 16 to 32 bits, found {bits}$"):
        check_accumulator(bits, "wrap")


def test_another_policy_is_refused():
    """The message lists the policies."""
    with pytest.raises(RangeError, match=r"^accumulator policy 'clamp' is unknown; available: error, wrap, saturate$"):
        check_accumulator(32, "clamp")


def test_an_accumulator_of_the_policy_error_refuses_a_sum_that_does_not_fit():
    sums = np.array([2**15, -(2**15), -(2**15) - 1], np.int32)
    with pytest.raises(RangeError, match=r"^2 sums do not fit into an accumulator of 16 bits$"):
        confine(sums, 16, "error")
    assert confine(sums, 17, "error")[1] == 0
