"""Code formats (contract N)."""

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.numbers import formats
from refengine.numbers.formats import CodeFormat, check_codes, signed_bits

TABLE = {
    "TERNARY": ("ternary", -1, 1, np.int8, 2),
    "INT4": ("int4", -7, 7, np.int8, 4),
    "INT8_WEIGHT": ("int8", -127, 127, np.int8, 8),
    "UINT8": ("uint8", 0, 255, np.uint8, 8),
    "INT8": ("int8", -128, 127, np.int8, 8),
    "SCALE": ("scale", 0, 127, np.int8, 7),
    "ENTRY": ("entry", -128, 255, np.int16, 9),
    "INT32": ("int32", -(2**31), 2**31 - 1, np.int32, 32),
}
ALL = [getattr(formats, name) for name in TABLE]


def test_the_formats_are_those_of_the_contract():
    """Every format has its name, ends, storage type and hardware width, and there is no other (N1)."""
    declared = {name: fmt for name, fmt in vars(formats).items() if isinstance(fmt, CodeFormat)}
    assert {name: (f.name, f.lo, f.hi, f.dtype, f.bits) for name, f in declared.items()} == TABLE


@pytest.mark.parametrize("fmt", ALL, ids=list(TABLE))
def test_code_zero_is_a_code(fmt):
    """Real 0 is code 0 in every format (N2)."""
    assert fmt.lo <= 0 <= fmt.hi


@pytest.mark.parametrize("fmt", ALL, ids=list(TABLE))
def test_both_ends_pass_and_the_storage_type_holds_them(fmt):
    """An array of the two ends is accepted."""
    ends = np.array([fmt.lo, fmt.hi], fmt.dtype)
    assert ends.tolist() == [fmt.lo, fmt.hi]
    check_codes(ends, fmt, "here")


@pytest.mark.parametrize("fmt", ALL, ids=list(TABLE))
def test_every_other_integer_of_the_storage_type_is_refused(fmt):
    """One code beyond either end is refused, with the place, the format and what was found."""
    info = np.iinfo(fmt.dtype)
    for beyond in {max(fmt.lo - 1, info.min), min(fmt.hi + 1, info.max)} - {fmt.lo, fmt.hi}:
        with pytest.raises(RangeError) as caught:
            check_codes(np.array([0, beyond], fmt.dtype), fmt, "layer 'a'")
        lo, hi = sorted((0, beyond))
        assert str(caught.value) == f"layer 'a': {fmt.name} codes lie in {fmt.lo}..{fmt.hi}, found {lo}..{hi}"


def test_another_storage_type_is_refused():
    """int16 codes are not uint8 codes, even if they would fit."""
    with pytest.raises(RangeError, match=r"^image: uint8 codes are stored as uint8, found int16$"):
        check_codes(np.array([1], np.int16), formats.UINT8, "image")


def test_an_empty_array_holds_no_wrong_code():
    """No codes, no complaint; the type still counts."""
    check_codes(np.array([], np.int8), formats.TERNARY, "here")
    with pytest.raises(RangeError, match="found float64"):
        check_codes(np.array([]), formats.TERNARY, "here")


def test_lookups_by_name_find_the_format_of_that_side():
    """The name int8 means -127..127 for weights and -128..127 for activations (N1)."""
    assert formats.WEIGHT_FORMATS["int8"].lo == -127
    assert formats.ACTIVATION_FORMATS["int8"].lo == -128
    assert set(formats.WEIGHT_FORMATS) == {"ternary", "int4", "int8"}
    assert set(formats.ACTIVATION_FORMATS) == {"uint8", "int8"}
    assert set(formats.OUTPUT_FORMATS) == {"uint8", "int8", "int32"}


@given(lo=st.integers(-(2**70), 0), hi=st.integers(0, 2**70))
def test_signed_bits_is_the_narrowest_width(lo, hi):
    """The width holds both ends of a range around 0, and one bit less does not (N5)."""
    assert signed_bits(lo, hi) == oracle.signed_bits(lo, hi)


def test_signed_bits_at_the_powers_of_two():
    """-2**(b-1)..2**(b-1)-1 takes b bits, one more at either end takes b + 1."""
    for bits in range(1, 65):
        lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        assert signed_bits(lo, hi) == bits
        assert signed_bits(lo - 1, hi) == signed_bits(lo, hi + 1) == bits + 1
