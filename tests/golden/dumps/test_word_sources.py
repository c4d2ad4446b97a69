"""Rows of words: from raw files, texts, arrays and memory, the same words; where each of them stands."""

import numpy as np
import pytest

from refengine.errors import FileError
from refengine.golden.dumps.dump import Held
from refengine.golden.dumps.word_sources import ArrayWords, HeldWords, Placed, RawWords, line_of, text_words, word_size
from refengine.vectors.readmem import ReadmemGrammar
from refengine.vectors.word_text import survey

NUMBERS = np.array([1, -2, 300, -40_000, 2**31 - 1, -(2**31)], np.int32)


@pytest.mark.parametrize("big", [False, True])
def test_raw_words_are_read_in_either_byte_order(tmp_path, big):
    (tmp_path / "w").write_bytes(NUMBERS.astype(">i4" if big else "<i4").tobytes())
    source = RawWords(tmp_path / "w", "w", len(NUMBERS), 4, big)
    assert np.ascontiguousarray(source.take(1, 4)).view("<i4").reshape(-1).tolist() == NUMBERS[1:4].tolist()
    assert (source.width, source.where(2), source.unknown(0, 2), source.present(0, 2)) == (
        32,
        "word 2, byte 8",
        None,
        None,
    )
    with pytest.raises(FileError, match="is truncated, word 6 is not there"):
        RawWords(tmp_path / "w", "w", 9, 4).take(5, 8)


@pytest.mark.parametrize("shape", [(6,), (2, 3), (3, 2, 1)])
@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<i8"])
def test_integers_of_an_array_row_by_row(shape, dtype):
    source = ArrayWords(Held(NUMBERS.astype(dtype).reshape(shape)), "a")
    assert (source.count, source.numbers, source.signed) == (6, True, True)
    for start, stop in ((0, 6), (1, 5), (4, 4)):
        assert source.integers(start, stop).tolist() == NUMBERS[start:stop].tolist()
        taken = np.ascontiguousarray(source.take(start, stop)).view(f"<i{source.size}").reshape(-1)
        assert taken.tolist() == NUMBERS[start:stop].tolist()


def test_the_words_of_a_text_and_their_lines(tmp_path):
    path = tmp_path / "t"
    path.write_text("// head\n@4 0a 0b\n@1 0x\n")
    read = text_words(path, ReadmemGrammar(), 16, survey(path, ReadmemGrammar()))
    assert read.words[:, 0].tolist() == [10, 11, 0]
    assert read.addresses.tolist() == [4, 5, 1]
    assert (read.first_unknown, read.masks[:, 0].tolist()) == (2, [0, 0, 15])
    assert [line_of(path, ReadmemGrammar(), word) for word in range(4)] == [2, 2, 3, None]


def test_the_size_of_a_word(tmp_path):
    for text, radix, size in (
        ("0a 1ff", 16, 2),
        ("01 1", 2, 1),
        ("111111111", 2, 2),
        ("-5 127", 10, 1),
        ("9" * 20, 10, 8),
    ):
        (tmp_path / "t").write_text(text)
        assert word_size(radix, survey(tmp_path / "t", ReadmemGrammar())) == size, text


def test_addresses_run_on_from_chunk_to_chunk():
    placed = Placed()
    placed.add([], 2)
    placed.add([(1, 16)], 3)
    placed.add([(0, 4)], 1)
    assert placed.of_words().tolist() == [0, 1, 2, 16, 17, 4]


def test_words_in_memory_are_a_source():
    source = HeldWords("m", np.array([[1], [2]], np.uint8), places=lambda word: f"time {word}")
    assert (source.count, source.size, source.where(1), source.unknown(0, 1)) == (2, 1, "time 1", None)
