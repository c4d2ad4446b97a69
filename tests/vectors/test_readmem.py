"""$readmemh and $readmemb: the text is what Verilog's standard says, and nothing else is read as a word."""

import pytest
from memories import WIDTHS, as_integers, assert_damage_is_noticed, assert_refused, random_words, round_trip

from refengine.vectors import readmem
from refengine.vectors.memory import Memory

BOTH = [(readmem.write_hex, readmem.read_hex), (readmem.write_binary, readmem.read_binary)]
FOUR = Memory("m", 8, 4)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", [1, 2, 50])
def test_a_word_a_line(bits, count, tmp_path):
    words = random_words(bits, count)
    text = round_trip(readmem.write_hex, readmem.read_hex, bits, count, tmp_path / "w")
    assert text == "".join(f"{word:0{-(-bits // 4)}x}\n" for word in words)
    text = round_trip(readmem.write_binary, readmem.read_binary, bits, count, tmp_path / "w")
    assert text == "".join(f"{word:0{bits}b}\n" for word in words)


def test_what_simulators_write_is_read(tmp_path):
    """Comments, addresses without a gap, several words a line, underscores, capitals."""
    (tmp_path / "w").write_text("// 0x00000000\n0A b_B /* two\nlines */ @2 cc // dd\n@00000003\n\ndd\n")
    assert as_integers(readmem.read_hex(tmp_path / "w", FOUR)) == [0x0A, 0xBB, 0xCC, 0xDD]
    (tmp_path / "w").write_text("1 /**/ 10 /*/ 11 */ 11//\n@3 100")
    assert as_integers(readmem.read_binary(tmp_path / "w", FOUR)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("content", "needle"),
    [
        (b"00\n11\n2x\n33\n", "line 3 holds '2x', needed hexadecimal digits"),
        (b"00\n11\nzz\n33\n", "line 3 holds 'zz'"),
        (b"00\n11\n100\n33\n", "line 3 holds a number of 9 bits, a word has 8"),
        (b"00\n11\n22\n", "holds 3 words, needed 4"),
        (b"00\n11\n22\n33\n44\n", "line 5 begins word 5, needed are 4 words"),
        (b"00\n11\n@3\n33\n", "line 4 comes after '@3', needed the next address, 2"),
        (b"00\n11\n@\n33\n", "line 3 holds '', needed hexadecimal digits"),
        (b"00\n11\n/* 22\n33\n", "line 5 is within a comment that does not end"),
        (b"00 11 22 / 33", "line 1 holds '/'"),
        (b"\x00\xff\n", "line 1 holds"),
        (b"00\n0x11\n22\n33\n", "line 2 holds '0x11', needed hexadecimal digits"),
        (b"00\n# no\n11 22 33\n", "line 2 holds a comment after '#'"),
        (b"\xef\xbb\xbf00 11 22 33\n", "line 1 holds a byte order mark"),
        (b"00 11 22 @ 3 33\n", "line 1 holds a blank after '@'"),
        (b"00 _ 11 22\n", "line 1 holds '_'"),
        (b"", "holds 0 words, needed 4"),
    ],
)
def test_malformed_words_are_refused(content, needle, tmp_path):
    assert_refused(readmem.read_hex, FOUR, tmp_path / "w", content, needle)


@pytest.mark.parametrize(("write", "read"), BOTH)
def test_damage_is_noticed(write, read, tmp_path):
    assert_damage_is_noticed(write, read, Memory("m", 9, 20), tmp_path / "w", same=(b"\n",))
