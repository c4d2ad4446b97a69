"""Coefficient files: read by a small parser written from the vendor's description, and by our own."""

import re

import pytest
from memories import WIDTHS, assert_damage_is_noticed, assert_refused, random_words, round_trip

from refengine.vectors import coe
from refengine.vectors.memory import Memory


def parsed(text):
    """Keywords and values as AMD's memory generator guide has them.

    ``;`` at the start of a line makes a comment; ``keyword = value ;`` otherwise; a vector's values are separated by
    commas or white space; the radix is 2, 10 or 16 and 10 if it is not given first.
    """
    lines = [line for line in text.splitlines() if not line.startswith(";")]
    found = {key.lower(): value for key, value in re.findall(r"(\w+)\s*=\s*([^;]*);", "\n".join(lines))}
    radix = int(found.get("memory_initialization_radix", "10"))
    assert radix in (2, 10, 16)
    return [int(value, radix) for value in re.split(r"[\s,]+", found["memory_initialization_vector"].strip())]


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", [1, 2, 50])
def test_the_text_follows_the_vendors_grammar(bits, count, tmp_path):
    text = round_trip(coe.write, coe.read, bits, count, tmp_path / "w")
    assert parsed(text) == random_words(bits, count)


def test_the_text_is_the_documented_one(tmp_path):
    lines = round_trip(coe.write, coe.read, 12, 2, tmp_path / "w").split("\n")
    assert lines == ["memory_initialization_radix=16;", "memory_initialization_vector=", "000,", "fff;", ""]


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        (b"radix=16", b"radix=10", "has radix 10, needed 16"),
        (b"radix=16", b"radix=8", "line 1 holds radix 8, needed 2, 10 or 16"),
        (b"memory_initialization_vector", b"vector", "line 1 holds 'memory_initialization_radix"),
        (b"fff;", b"fff,", "line 5 holds no semicolon at the end"),
        (b"fff;", b"xxx;", "line 4 holds 'xxx', needed hexadecimal digits"),
        (b"fff;", b"1fff;", "line 4 holds a number of 13 bits, a word has 12"),
        (b"fff;\n", b"fff;\nfff;\n", "line 5 holds 'fff;', needed the end"),
    ],
)
def test_changed_texts_are_refused(old, new, needle, tmp_path):
    text = round_trip(coe.write, coe.read, 12, 2, tmp_path / "w").encode()
    assert old in text
    assert_refused(coe.read, Memory("m", 12, 2), tmp_path / "w", text.replace(old, new), needle)


def test_damage_is_noticed(tmp_path):
    assert_damage_is_noticed(coe.write, coe.read, Memory("m", 9, 20), tmp_path / "w")
