"""Tables of C: every code comes back from the packed words, and no line is too long."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refengine.interop.c.tables import LOG2_BITS, packed, packed_table, table
from refengine.numbers.formats import WEIGHT_FORMATS


@given(st.sampled_from(sorted(WEIGHT_FORMATS)), st.integers(1, 70), st.data())
def test_packed_codes_come_back(name, count, data):
    fmt, bits = WEIGHT_FORMATS[name], 1 << LOG2_BITS[name]
    codes = data.draw(arrays(np.int8, count, elements=st.integers(fmt.lo, fmt.hi)))
    number = sum(int(word) << 32 * place for place, word in enumerate(packed(codes, LOG2_BITS[name])))
    fields = [number >> bits * place & 2**bits - 1 for place in range(count)]
    assert [field - 2**bits if field >= 2 ** (bits - 1) else field for field in fields] == codes.tolist()
    assert number >> bits * count == 0


def test_every_weight_format_has_its_width():
    assert LOG2_BITS.keys() == WEIGHT_FORMATS.keys()
    assert all(fmt.bits <= 1 << LOG2_BITS[name] for name, fmt in WEIGHT_FORMATS.items())


@pytest.mark.parametrize("count", [1, 16, 17, 1000])
def test_a_table_holds_its_numbers_and_says_how_many_bytes_they_take(count):
    values = np.random.default_rng(count).integers(-(2**31), 2**31, count).astype(np.int32)
    made = table("int32_t", "bias", values)
    assert [int(text) for text in re.findall(r"-?\d+", made.text.partition("{")[2])] == values.tolist()
    assert made.bytes == 4 * count
    assert max(map(len, made.text.splitlines())) <= 120
    assert packed_table("weight", np.zeros(count, np.int8), 1).bytes == 4 * -(-count // 16)
