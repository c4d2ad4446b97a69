"""Decimal files: numbers as C and VHDL read them, signed where a word is one number."""

import pytest
from memories import WIDTHS, assert_refused, random_words, round_trip, written

from refengine.vectors.decimal import read, write
from refengine.vectors.memory import Memory


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("word_bits", WIDTHS)
def test_what_is_written_is_read(word_bits, numbers, tmp_path):
    text = round_trip(write, read, word_bits, 70, tmp_path / "words.dat", numbers)
    signs = numbers or word_bits == 64
    signed = [word - (word >> (word_bits - 1) << word_bits) * signs for word in random_words(word_bits, 70)]
    assert [int(line) for line in text.splitlines()] == signed


@pytest.mark.parametrize(
    ("line", "numbers"),
    [("128", True), ("-129", True), ("256", False), ("-1", False), ("+1", True), ("01", True), ("1 ", True),
     ("0x1", True), ("1.0", False), ("", True), ("9" * 2000, True), ("1_0", False)],
)  # fmt: skip
def test_anything_else_is_refused_with_its_line(line, numbers, tmp_path):
    memory = Memory("name", 8, 3, numbers)
    assert_refused(read, memory, tmp_path / "words.dat", f"0\n{line}\n0\n".encode(), "line 2 holds", "needed a decimal")


@pytest.mark.parametrize(("lines", "message"), [(2, "holds 2 words, needed 3"), (4, "begins word 4, needed are 3")])
def test_another_count_is_refused(lines, message, tmp_path):
    assert_refused(read, Memory("name", 8, 3), tmp_path / "words.dat", b"7\n" * lines, message)


def test_the_ends_of_a_word(tmp_path):
    assert written(write, Memory("name", 8, 5, True), [127, 128, 255, 0, 1]) == b"127\n-128\n-1\n0\n1\n"
    assert written(write, Memory("name", 8, 5), [127, 128, 255, 0, 1]) == b"127\n128\n255\n0\n1\n"
