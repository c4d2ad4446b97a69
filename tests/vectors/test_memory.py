"""Words and digits, the lines of a file, and the errors that name them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memories import WIDTHS, as_array, as_integers, random_words

from refengine.errors import FileError
from refengine.vectors.memory import (
    BINARY,
    HEXADECIMAL,
    Lines,
    Memory,
    binary_digits,
    gathered,
    hex_digits,
    identifier,
    number_of,
    numbered,
    rows,
    with_last,
)


@pytest.mark.parametrize("bits", WIDTHS)
def test_digits_are_those_of_python(bits):
    words = random_words(bits, 9)
    array = as_array(words, bits)
    hexadecimal = [f"{word:0{-(-bits // 4)}x}" for word in words]
    assert rows(hex_digits(array, bits), b"\n").decode().split() == hexadecimal
    assert rows(binary_digits(array, bits), b"\n").decode().split() == [f"{word:0{bits}b}" for word in words]


@given(st.integers(0, 10**9), st.integers(1, 20))
def test_addresses_are_numbered_without_gaps(first, count):
    digits = len(f"{first + count:x}") + 1
    text = rows(numbered(first, count, digits), b" ").decode().split()
    assert text == [f"{n:0{digits}x}" for n in range(first, first + count)]


def test_rows_stand_side_by_side():
    column = np.frombuffer(b"abc", np.uint8)[:, None]
    assert rows(b"<", column, b">", column) == b"<a>a<b>b<c>c"


def test_the_last_chunk_is_known():
    chunks = [np.zeros((n, 1), np.uint8) for n in (0, 2, 0, 3)]
    assert [(first, len(words), last) for first, words, last in with_last(chunks, 5)] == [(0, 2, False), (2, 3, True)]


def test_identifiers_are_accepted_by_languages():
    assert identifier("000_ö-*.b/code") == "l000_____b_code"
    assert identifier("logits") == "logits"


def lines_of(tmp_path, content):
    path = tmp_path / "words"
    path.write_bytes(content)
    return Lines(path)


def test_errors_name_the_line(tmp_path):
    with lines_of(tmp_path, b"one\r\ntwo\nthree") as lines:
        lines.expect("one", "two")
        with pytest.raises(FileError, match="words: line 3 holds 'three', needed 'four'"):
            lines.expect("four")
        lines.expect_end()
        with pytest.raises(FileError, match="words: line 4 the file ends here, more was needed"):
            lines.next()


def test_text_after_the_end_is_refused(tmp_path):
    with lines_of(tmp_path, b"x") as lines, pytest.raises(FileError, match="line 1 holds 'x', needed the end"):
        lines.expect_end()


def test_a_line_without_end(tmp_path):
    with lines_of(tmp_path, b"0" * 10**6) as lines, pytest.raises(FileError, match="line 1 is longer than 65535"):
        lines.next()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="cannot be opened"):
        Lines(tmp_path / "none")


@pytest.mark.parametrize(
    ("token", "radix", "needle"),
    [
        (b"xx", HEXADECIMAL, "holds 'xx', needed hexadecimal digits"),
        (b"-1", HEXADECIMAL, "needed hexadecimal digits"),
        (b"0x1", HEXADECIMAL, "needed hexadecimal digits"),
        (b"", HEXADECIMAL, "needed hexadecimal digits"),
        (b"_", HEXADECIMAL, "needed hexadecimal digits"),
        (b"2", BINARY, "needed binary digits"),
        ("٣".encode(), HEXADECIMAL, "needed hexadecimal digits"),
        (b"200", HEXADECIMAL, "holds a number of 10 bits, a word has 9"),
    ],
)
def test_malformed_numbers_are_refused(tmp_path, token, radix, needle):
    with lines_of(tmp_path, b"") as lines, pytest.raises(FileError, match=needle):
        number_of(token, radix, Memory("m", 9, 1), lines)


def test_words_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("refengine.vectors.memory._BYTES_AT_ONCE", 4)
    with lines_of(tmp_path, b"") as lines:
        assert as_integers(gathered(range(7), Memory("m", 13, 7), lines)) == [*range(7)]
        with pytest.raises(FileError, match="words: holds 7 words, needed 8"):
            list(gathered(range(7), Memory("m", 13, 8), lines))
        with pytest.raises(FileError, match="begins word 7, needed are 6 words"):
            list(gathered(range(10**9), Memory("m", 13, 6), lines))
