"""Raw files: words of whole bytes, byte for byte, and nothing else is read."""

import pytest
from memories import WIDTHS, assert_refused, random_words, round_trip, written

from refengine.vectors.memory import Memory
from refengine.vectors.raw import read, write


@pytest.mark.parametrize("word_bits", WIDTHS)
def test_what_is_written_is_read(word_bits, tmp_path):
    round_trip(write, read, word_bits, 70, tmp_path / "words.bin")


def test_a_word_is_its_bytes_the_lowest_first():
    content = written(write, Memory("name", 13, 5), [0x1234 & 0x1FFF, 1, 2, 0x1F00, 0])
    assert content == bytes([0x34, 0x12, 1, 0, 2, 0, 0, 0x1F, 0, 0])


@pytest.mark.parametrize("word_bits", [1, 7, 12, 13, 63])
def test_bits_above_a_word_are_refused(word_bits, tmp_path):
    """Whichever of them, and only those."""
    memory, words = Memory("name", word_bits, 6), random_words(word_bits, 6)
    content = written(write, memory, words)
    size = memory.word_bytes
    for bit in range(8 * size):
        spoiled = bytearray(content)
        spoiled[2 * size + bit // 8] ^= 1 << bit % 8
        if bit < word_bits:
            (tmp_path / "words.bin").write_bytes(spoiled)
            assert len(next(iter(read(tmp_path / "words.bin", memory)))) == 6
        else:
            assert_refused(read, memory, tmp_path / "words.bin", bytes(spoiled), "word 2 has bits above")


@pytest.mark.parametrize("cut", [-1, 1, 2])
def test_another_size_is_refused(cut, tmp_path):
    memory = Memory("name", 16, 6)
    content = written(write, memory, random_words(16, 6))
    content = content[:cut] if cut < 0 else content + bytes(cut)
    assert_refused(read, memory, tmp_path / "words.bin", content, "needed 6 words of 2 bytes, 12")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "folder.bin").mkdir()
    for name in ("missing.bin", "folder.bin"):
        with pytest.raises(ValueError, match=rf"{name}: cannot be read"):
            list(read(tmp_path / name, Memory("name", 8, 1)))
