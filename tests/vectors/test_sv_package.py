"""SystemVerilog packages: the text, and what is refused; tests/golden/test_simulators.py has them compiled."""

import re

import pytest
from memories import WIDTHS, assert_damage_is_noticed, assert_refused, random_words, round_trip

from refengine.vectors import sv_package
from refengine.vectors.memory import Memory


@pytest.mark.parametrize("bits", WIDTHS)
def test_round_trip(bits, tmp_path):
    for count in (1, 2, 64, 65, 200):
        text = round_trip(sv_package.write, sv_package.read, bits, count, tmp_path / "w")
        words = [int(digits, 16) for digits in re.findall(rf"{bits}'h([0-9a-f]+)", text)]
        assert words == random_words(bits, count)
        assert max(map(len, text.splitlines())) < 6000
        assert f"localparam logic [{bits - 1}:0] DATA [0:{count - 1}] = " in text


def test_the_text_is_the_documented_one(tmp_path):
    text = round_trip(sv_package.write, sv_package.read, 12, 3, tmp_path / "w")
    assert re.match(r"`define l0_name_code_row_0 12'h\w{3}, 12'h000, 12'hfff\n", text)
    assert "\npackage l0_name_code_pkg;\n  localparam int WORDS = 3;\n  localparam int WORD_BITS = 12;\n" in text
    assert text.endswith("endpackage\n`undef l0_name_code_row_0\n")


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        (b"12'hfff", b"12'hffx", "line 1 holds 'ffx', needed hexadecimal digits"),
        (b"12'hfff", b"13'hfff", 'line 1 holds "13\'hfff", needed "12\'h" and digits'),
        (b"12'hfff", b"12'h1fff", "line 1 holds a number of 13 bits"),
        (b", 12'hfff", b"", "line 1 holds"),
        (b"WORDS = 2", b"WORDS = 3", "line 4 holds"),
        (b"endpackage", b"endmodule", "needed 'endpackage'"),
        (b"`undef l0_name_code_row_0\n", b"", "the file ends here"),
    ],
)
def test_changed_texts_are_refused(old, new, needle, tmp_path):
    text = round_trip(sv_package.write, sv_package.read, 12, 2, tmp_path / "w").encode()
    assert old in text
    assert_refused(sv_package.read, Memory("l0_name_code", 12, 2), tmp_path / "w", text.replace(old, new), needle)


def test_damage_is_noticed(tmp_path):
    assert_damage_is_noticed(sv_package.write, sv_package.read, Memory("m", 200, 80), tmp_path / "w")
