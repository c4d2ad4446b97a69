"""Side files of streams: tkeep and tlast by plain Python, whatever the packing; words must be whole bytes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import random_images, small

from refengine.errors import RangeError
from refengine.vectors.layout import Layout
from refengine.vectors.reader import open_vectors
from refengine.vectors.stream import check_stream, side_memory, side_words
from refengine.vectors.words import fitted, pack
from refengine.vectors.writer import check_pack, write_vectors


def numbers(words):
    return [int.from_bytes(word.tobytes(), "little") for block in words for word in block]


def test_the_last_word_of_an_image_has_tlast_and_fewer_bytes():
    """5 codes of 8 bits in words of 32: two words, 4 bytes and 1."""
    assert numbers(side_words(fitted(8, False, 32), 5, 2)) == [0b0_1111, 0b1_0001] * 2
    assert numbers(side_words(fitted(8, False, 32, first="high"), 5, 1)) == [0b0_1111, 0b1_1000]
    assert numbers(side_words(fitted(8, False, 32, endian="big"), 5, 1)) == [0b0_1111, 0b1_1000]
    assert numbers(side_words(fitted(8, False, 32), 4, 1)) == [0b1_1111]
    assert numbers(side_words(fitted(12, True, 32, straddle=True), 3, 1)) == [0b0_1111, 0b1_0001]


@given(
    st.integers(1, 20), st.sampled_from([8, 24, 32, 64]), st.integers(1, 40), st.booleans(),
    st.sampled_from(["low", "high"]), st.sampled_from(["little", "big"]),
)  # fmt: skip
def test_a_byte_is_kept_if_an_element_can_reach_it(bits, word_bits, count, straddle, first, endian):
    """What -1 fills, element by element: a kept byte is one that some signed element makes other than 0."""
    assume(straddle or bits <= word_bits)
    packing = fitted(bits, True, word_bits, straddle=straddle, first=first, endian=endian)
    (words,) = pack(np.full(count, -1), packing)
    wanted = [sum(1 << i for i, byte in enumerate(word) if byte) for word in words]
    wanted[-1] |= 1 << word_bits // 8
    assert numbers(side_words(packing, count, 1)) == wanted
    assert side_memory("x", packing, len(words)).word_bits == word_bits // 8 + 1


@pytest.mark.parametrize("word_bits", [1, 7, 12, 31])
def test_words_that_are_no_bytes_are_refused(word_bits):
    with pytest.raises(RangeError, match=f"whole bytes, found words of {word_bits} bits"):
        check_stream(fitted(1, False, word_bits))


def test_a_pack_has_a_side_file_for_each_tensor_of_images(tmp_path):
    network = small()
    layout = Layout(word_bits=64, orders=["nchw8c"])
    made = write_vectors(network, random_images(network, 2), tmp_path / "pack", layout=layout, stream=True)
    for entry in made.entries:
        assert (entry.stream is not None) == entry.tensor.has_images
        if entry.stream is not None:
            lines = (tmp_path / "pack" / entry.stream.file).read_text().splitlines()
            assert len(lines) == entry.memory.words
            assert sum(int(line, 16) >> 8 for line in lines) == made.count
    check_pack(tmp_path / "pack")
    with open_vectors(tmp_path / "pack") as pack_again:
        pack_again.verify()
        assert pack_again.manifest.entries == made.entries


def test_a_tensor_of_words_that_are_no_bytes_is_named_before_anything_runs(tmp_path):
    network = small()
    with pytest.raises(RangeError, match=r"/total: a stream has words of whole bytes"):
        write_vectors(network, random_images(network, 1), tmp_path / "pack", stream=True)
    assert not [*tmp_path.iterdir()]
