"""Counting differences: exact against plain Python, whatever the type and however the blocks are cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.golden.dumps.difference import Element, Tally, as_binary, as_hex, bit_lengths, class_name, distances

TYPES = {np.uint8: 8, np.int8: 8, np.int32: 32, np.int64: 64}


@st.composite
def pairs(draw):
    """Two arrays of one shape that agree in most places, with extreme values among the others."""
    dtype = draw(st.sampled_from([*TYPES]))
    limits = np.iinfo(dtype)
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=4)))
    size = int(np.prod(shape))
    values = st.one_of(st.sampled_from([limits.min, limits.max, 0, 1]), st.integers(limits.min, limits.max))
    wanted = draw(st.lists(values, min_size=size, max_size=size))
    got = [draw(values) if draw(st.integers(0, 3)) == 0 else value for value in wanted]
    return np.array(wanted, dtype).reshape(shape), np.array(got, dtype).reshape(shape)


def tally(wanted, got, cuts=(), bits=None):
    limits = np.iinfo(wanted.dtype)
    made = Tally(int(limits.min), int(limits.max), bits or TYPES[wanted.dtype.type])
    edges = [0, *sorted(cuts), len(wanted)]
    for start, stop in pairwise(edges):
        made.add(start, wanted[start:stop], got[start:stop])
    return made.end()


@given(pairs(), st.data())
def test_counts_are_those_of_plain_python(pair, data):
    wanted, got = pair
    cuts = data.draw(st.lists(st.integers(0, len(wanted)), max_size=3))
    found = tally(wanted, got, cuts)
    both = [(index, int(wanted[index]), int(got[index])) for index in np.ndindex(wanted.shape)]
    wrong = [(index, w, g) for index, w, g in both if w != g]
    limits = np.iinfo(wanted.dtype)
    assert (found.values, found.different) == (len(both), len(wrong))
    assert found.largest == max((abs(w - g) for _, w, g in wrong), default=0)
    assert found.first == (Element(*wrong[0], TYPES[wanted.dtype.type]) if wrong else None)
    classes = {}
    for _, w, g in wrong:
        smallest = 2 ** (abs(g - w).bit_length() - 1) * (1 if g > w else -1)
        classes[smallest] = classes.get(smallest, 0) + 1
    assert found.histogram == tuple(sorted(classes.items()))
    ends = [sum(item[side] == end for item in wrong) for side in (1, 2) for end in (limits.min, limits.max)]
    assert found.ends == tuple(ends)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_distances_do_not_overflow(one, other):
    pair = np.array([one]), np.array([other])
    assert distances(*pair).tolist() == [abs(one - other)]
    assert bit_lengths(distances(*pair)).tolist() == [abs(one - other).bit_length()]


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from([32, 33, 64]))
def test_bits_are_twos_complement(value, bits):
    unsigned = value % 2**bits
    assert int(as_hex(value, bits), 16) == unsigned
    assert len(as_hex(value, bits)) == 2 + -(-bits // 4)
    digits = as_binary(value, bits).replace("_", "")
    assert (int(digits, 2), len(digits)) == (unsigned, bits)


@given(st.integers(-128, 255), st.integers(-128, 255))
def test_xor_says_which_bits_differ(wanted, got):
    assert Element((0,), wanted, got, 8).xor == (wanted % 256) ^ (got % 256)


def test_a_value_beyond_the_width_is_shown_wider():
    """A narrow accumulator that was not wrapped does not fit into its own bits."""
    found = tally(np.array([[5]], np.int32), np.array([[2**20]], np.int32), bits=18)
    assert found.first.bits == 36


def test_unknown_bits_above_the_width_are_shown():
    seen = Tally(0, 255, 8)
    seen.add(0, np.array([[6]]), np.array([[6]]), np.array([[0xFF00]], np.uint64))
    first = seen.end().first
    assert (first.bits, first.unknown) == (16, 0xFF00)
    assert as_hex(first.got, first.bits, first.unknown) == "0xxx06"


@pytest.mark.parametrize(("smallest", "name"), [(1, "+1"), (-2, "-3..-2"), (64, "+64..+127")])
def test_class_names(smallest, name):
    assert class_name(smallest) == name
