"""Memory initialization files: read by a small parser written from the vendor's description, and by our own."""

import re

import pytest
from memories import WIDTHS, assert_damage_is_noticed, assert_refused, random_words, round_trip

from refengine.vectors import mif
from refengine.vectors.memory import Memory

RADIX = {"BIN": 2, "OCT": 8, "DEC": 10, "UNS": 10, "HEX": 16}


def parsed(text):
    """(width, words) as Intel's description of the format has them.

    ``--`` and ``% %`` are comments; WIDTH, DEPTH, ADDRESS_RADIX and DATA_RADIX; between CONTENT BEGIN and END lines of
    ``address : value;`` or ``[first..last] : value;``; capitals do not matter.
    """
    text = re.sub(r"--[^\n]*|%[^%]*%", " ", text).upper()
    head, content = re.split(r"CONTENT\s+BEGIN", text)
    keys = dict(re.findall(r"(\w+)\s*=\s*(\w+)\s*;", head))
    body, end = content.split("END;")
    assert end.strip() == ""
    words = [None] * int(keys["DEPTH"])
    for statement in filter(None, map(str.strip, body.split(";"))):
        place, value = map(str.strip, statement.split(":"))
        ends = [int(number, RADIX[keys["ADDRESS_RADIX"]]) for number in place.strip("[]").split("..")]
        for address in range(ends[0], ends[-1] + 1):
            assert words[address] is None
            words[address] = int(value, RADIX[keys["DATA_RADIX"]])
    return int(keys["WIDTH"]), words


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_the_text_follows_the_vendors_grammar(bits, count, tmp_path):
    text = round_trip(mif.write, mif.read, bits, count, tmp_path / "w")
    assert parsed(text) == (bits, random_words(bits, count))


def test_the_text_is_the_documented_one(tmp_path):
    lines = round_trip(mif.write, mif.read, 12, 17, tmp_path / "w").split("\n")
    assert lines[:5] == ["WIDTH = 12;", "DEPTH = 17;", "ADDRESS_RADIX = HEX;", "DATA_RADIX = HEX;", "CONTENT BEGIN"]
    assert lines[-4:] == ["0f : 000;", "10 : fff;", "END;", ""]


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        (b"WIDTH = 12", b"WIDTH = 13", "has width, depth and radix (13, 2, 16), needed WIDTH = 12;"),
        (b"DEPTH = 2", b"DEPTH = 3", "has width, depth and radix (12, 3, 16)"),
        (b"DEPTH = 2;\n", b"", "line 1 holds 'WIDTH = 12;"),
        (b"DATA_RADIX = HEX", b"DATA_RADIX = OCT", "needed radices BIN, DEC, UNS, HEX"),
        (b"1 : fff;", b"2 : fff;", "line 7 comes after '@2', needed the next address, 1"),
        (b"fff;", b"ffg;", "line 7 holds 'ffg', needed hexadecimal digits"),
        (b"fff;", b"1fff;", "line 7 holds a number of 13 bits, a word has 12"),
        (b"1 : fff;", b"[1 : fff;", "line 7 holds '[', needed address : word;"),
        (b"END;\n", b"", "line 8 the file ends here"),
        (b"END;\n", b"END;\nfff\n", "line 9 holds 'fff', needed the end"),
    ],
)
def test_changed_texts_are_refused(old, new, needle, tmp_path):
    text = round_trip(mif.write, mif.read, 12, 2, tmp_path / "w").encode()
    assert old in text
    assert_refused(mif.read, Memory("m", 12, 2), tmp_path / "w", text.replace(old, new), needle)


def test_damage_is_noticed(tmp_path):
    assert_damage_is_noticed(mif.write, mif.read, Memory("m", 9, 20), tmp_path / "w")
