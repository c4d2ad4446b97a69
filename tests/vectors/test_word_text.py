"""Words in text: whatever is written, in whatever blocks it is read, the same words come out; by plain Python."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError
from refengine.vectors import word_text
from refengine.vectors.readmem import ReadmemGrammar
from refengine.vectors.word_text import BINARY, DECIMAL, HEXADECIMAL, chunks, decimal_bytes, survey

FORMATS = {HEXADECIMAL: "{:0{}x}", BINARY: "{:0{}b}", DECIMAL: "{:0{}d}"}
SPACES = st.sampled_from([" ", "\n", "\r\n", "\t", "\n\n", " // 12 ff\n", " /* 3\n4 */ "])


def read(path, radix, size):
    """(numbers, masks) of all words."""
    words, masks = [], []
    for chunk in chunks(path, ReadmemGrammar(), radix, size):
        for n, word in enumerate(chunk.words):
            words.append(int.from_bytes(word.tobytes(), "little"))
            masks.append(0 if chunk.unknown is None else int.from_bytes(chunk.unknown[n].tobytes(), "little"))
    return words, masks


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("text") / "words"


@given(
    st.lists(st.tuples(st.integers(0, 2**70 - 1), st.integers(1, 20), SPACES), min_size=1, max_size=60),
    st.sampled_from([HEXADECIMAL, BINARY]),
    st.integers(1, 97),
)
def test_words_of_bits_in_any_blocks(path, written, radix, block):
    path.write_text("".join(FORMATS[radix].format(word, digits) + space for word, digits, space in written), "ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_text, "BLOCK_BYTES", max(block, 96))
        words, masks = read(path, radix, 9)
        found = survey(path, ReadmemGrammar())
    assert words == [word for word, _, _ in written]
    assert not any(masks)
    assert found.words == len(written)
    digits = [len(FORMATS[radix].format(word, digits)) for word, digits, _ in written]
    assert (found.shortest, found.longest) == (min(digits), max(digits))


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), SPACES), min_size=1, max_size=40))
def test_decimal_words_are_read_in_twos_complement(path, written):
    path.write_text("".join(f"{word}{space}" for word, space in written))
    words, _ = read(path, DECIMAL, 8)
    assert [word - (word >> 63 << 64) for word in words] == [word for word, _ in written]
    found = survey(path, ReadmemGrammar())
    assert found.signs == any(word < 0 for word, _ in written)
    if found.largest is not None:
        assert found.largest == max(abs(word) for word, _ in written)


@given(st.lists(st.text("0123456789abcdefxzXZ", min_size=2, max_size=6), min_size=1, max_size=40))
def test_unknown_digits_are_masked(path, written):
    written = [word for word in written if word[1] not in "xX"] or ["1z"]
    path.write_text("\n".join(written))
    words, masks = read(path, HEXADECIMAL, 3)
    for text, word, mask in zip(written, words, masks, strict=True):
        unknown = "".join("f" if digit in "xzXZ" else "0" for digit in text)
        above = (0xFFFFFF >> 4 * len(text) << 4 * len(text)) if text[0] in "xzXZ" else 0
        assert mask == int(unknown, 16) | above
        assert word == int(re.sub(r"[xzXZ]", "0", text), 16)


def test_addresses_move_the_place_of_words(path):
    path.write_text("@10 aa bb\n@3\ncc @00_20 dd\n")
    (chunk,) = chunks(path, ReadmemGrammar(), HEXADECIMAL, 1)
    assert chunk.addresses == ((0, 16), (2, 3), (3, 32))
    assert [int(word[0]) for word in chunk.words] == [0xAA, 0xBB, 0xCC, 0xDD]
    assert [chunk.tokens.line_of(word) for word in range(4)] == [1, 1, 3, 3]
    assert not survey(path, ReadmemGrammar()).binary


@pytest.mark.parametrize(
    ("text", "radix", "size", "needle"),
    [
        ("1\n2\n3g", HEXADECIMAL, 1, "line 3 holds '3g', needed hexadecimal digits"),
        ("1\n12", BINARY, 1, "line 2 holds '12', needed binary digits"),
        ("1\n1a", DECIMAL, 8, "line 2 holds '1a', needed decimal digits"),
        ("1\n1x", DECIMAL, 8, "line 2 holds '1x', needed decimal digits"),
        ("1\n-", DECIMAL, 8, "line 2 holds '-', needed a decimal number"),
        ("99999999999999999999", DECIMAL, 8, "line 1 holds '99999999999999999999'"),
        ("1\n100", HEXADECIMAL, 1, "line 2 holds a number of 9 bits, a word has 8"),
        ("1\nx00", HEXADECIMAL, 1, "line 2 holds 'x00'"),
        ("@g 1", HEXADECIMAL, 1, "line 1 holds 'g', needed hexadecimal digits"),
        ("@ \n", HEXADECIMAL, 1, "line 1 holds ''"),
        ("1 \x00", HEXADECIMAL, 1, "line 1 holds '\\x00': is no text"),
    ],
)
def test_what_is_no_word_is_refused_with_its_line(path, text, radix, size, needle):
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read(path, radix, size)
    assert needle in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_of_words_is_refused(path, monkeypatch):
    monkeypatch.setattr(word_text, "BLOCK_BYTES", 1 << 10)
    path.write_text("1" * 70_000)
    with pytest.raises(FileError, match=r"has a line of .* bytes that is no row of words"):
        read(path, HEXADECIMAL, 8)


def test_prefixes_and_unknown_digits_are_told_apart(path):
    path.write_text("0x 1f 0x2a")
    words, masks = [], []
    for chunk in chunks(path, ReadmemGrammar(), HEXADECIMAL, 1, prefix_beyond=2):
        words += [int(word[0]) for word in chunk.words]
        masks += [0] * len(chunk.words) if chunk.unknown is None else [int(word[0]) for word in chunk.unknown]
    assert words == [0, 0x1F, 0x2A]
    assert masks == [0x0F, 0, 0]
    found = survey(path, ReadmemGrammar())
    assert (found.prefixed, found.longest_unprefixed) == (1, 2)


def test_bytes_of_decimal_numbers():
    for size in (1, 2, 4, 8):
        limit = np.iinfo(f"i{size}")
        assert decimal_bytes(int(limit.max)) == size
