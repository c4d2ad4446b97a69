"""Names for C: legal, unique, and safe inside comments and strings."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.interop.c.identifiers import LONGEST, check_name, check_stem, comment_text, layer_identifiers, name_from

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@given(st.lists(st.text(max_size=80), max_size=12))
def test_layer_identifiers_are_unique_whatever_the_case_and_fit_after_a_prefix(names):
    made = layer_identifiers(names)
    assert len({one.lower() for one in made}) == len(names)
    assert all(IDENTIFIER.fullmatch(f"layer_{one}") and one[0].isdigit() for one in made)


def test_a_name_that_equals_the_second_of_two_equal_ones_stays_apart():
    assert layer_identifiers(["001_a.b", "001_a-b", "001_a_b_2"]) == ["001_a_b", "001_a_b_2", "001_a_b_2_2"]


@given(st.text(max_size=100))
def test_a_name_from_a_file_is_always_accepted(text):
    assert check_name(name_from(text)) == name_from(text)


@pytest.mark.parametrize("name", ["", "8bit", "a-b", "a b", "_a", "while", "ä", "a" * (LONGEST + 1), "a\n"])
def test_a_name_that_c_cannot_have_is_refused(name):
    with pytest.raises(NetworkError, match="is no C identifier"):
        check_name(name)


@given(st.text(st.characters() | st.sampled_from('*/\\"?\n'), max_size=40))
def test_no_text_ends_a_comment_or_a_string(text):
    line = comment_text(text)
    assert line.isascii()
    assert line.isprintable()
    assert not re.search(r'\*/|/\*|"|\\|\?\?', line)


@pytest.mark.parametrize("stem", ["", 'a"b', "a\\b", "ä", "a\nb"])
def test_a_file_that_cannot_be_included_is_refused(stem):
    with pytest.raises(NetworkError, match="cannot be included in C"):
        check_stem(stem)
    assert check_stem("resnet-20 v2") == "resnet-20 v2"


def test_a_file_that_would_hide_a_header_of_c_is_refused():
    with pytest.raises(NetworkError, match=r"would hide the header string\.h"):
        check_stem("string")
