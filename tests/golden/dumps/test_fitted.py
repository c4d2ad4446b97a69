"""Words as an array: unpacked, in every order, with what is unknown or missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_words import SHAPE, expecting, integers, words_of

from refengine.errors import FileError
from refengine.golden.dumps.dump import Held
from refengine.golden.dumps.fit import fitted_array, fitted_words
from refengine.golden.dumps.fitted import complaints_of, marks_of
from refengine.golden.dumps.reading import Reading
from refengine.golden.dumps.word_sources import HeldWords
from refengine.vectors.orders import order_of
from refengine.vectors.words import fitted, pack


@given(
    st.integers(2, 12), st.booleans(), st.integers(1, 5), st.sampled_from(["low", "high"]),
    st.sampled_from(["little", "big"]), st.booleans(),
)  # fmt: skip
def test_words_are_unpacked_as_the_manifest_packs_them(bits, signed, elements, first, endian, straddle):
    width = 8 * -(-bits * elements // 8)
    packing = fitted(bits, signed, width, None if straddle else elements, straddle, first, endian)
    values = integers(bits, signed)
    words = np.concatenate([part for image in values for part in pack(image.reshape(-1), packing)])
    source = HeldWords("w", words, width=width)
    found, notes = fitted_words(source, expecting(bits, signed, packing), Reading())
    assert np.array_equal(found.read(0, 2), values)
    assert bool(notes) == (endian == "big" and packing.elements == 1 and width > 8)
    assert not complaints_of(found)
    image, index = 1, (1, 2, 4)
    word = found.word_of(image, *index)
    other = words.copy()
    other[word] = ~other[word] if width % 8 == 0 else other[word]
    try:
        changed = fitted_words(HeldWords("w", other, width=width), expecting(bits, signed, packing), Reading())[0]
        assert changed.read(0, 2)[(image, *index)] != values[(image, *index)]
    except FileError:
        return  # bits that hold nothing are not as they are packed


@pytest.mark.parametrize("name", ["NHWC", "NCHW", "NWHC", "NCWH", "NHWC4c", "NCHW2c", "NCHW8c", "NWCH4c"])
def test_every_order_is_read_back(name):
    values = integers(8, True)
    order = order_of(name)
    block = order.block or 1
    stored = np.zeros((2, *order.stored_shape(SHAPE[1:])), np.int64)
    for index in np.ndindex(*SHAPE):
        n, place = index[0], dict(zip("HWC", index[1:], strict=True))
        there = [place[axis] // block if axis == "C" else place[axis] for axis in order.axes]
        stored[(n, *there, *([place["C"] % block] if order.block else []))] = values[index]
    reading = Reading(order=order)
    found, _ = fitted_words(HeldWords("w", words_of(stored.reshape(-1), 8), width=8), expecting(8, True), reading)
    assert np.array_equal(found.read(0, 2), values)
    for shape in (stored.shape, (-1,), (2, -1)):
        array = Held(stored.reshape(shape).astype(np.int8))
        found, _ = fitted_array(array, "a", expecting(8, True), reading)
        assert np.array_equal(found.read(0, 2), values)
        assert found.dtype == np.int8


def test_unknown_bits_and_words_that_are_not_there():
    values = integers(8, False)
    masks, there = np.zeros((60, 1), np.uint8), np.ones(60, bool)
    masks[7], there[41] = 0x30, False
    source = HeldWords("w", words_of(values.reshape(-1), 8), width=8, masks=masks, there=there)
    found, _ = fitted_words(source, expecting(8, False), Reading())
    first, second = marks_of(found, 0, 1), marks_of(found, 1, 2)
    assert (np.flatnonzero(first.unknown).tolist(), first.unknown.reshape(-1)[7], first.missing) == ([7], 0x30, None)
    assert (np.flatnonzero(second.missing).tolist(), second.unknown) == ([11], None)
    assert "1 word is missing, the first is word 41" in complaints_of(found)[0].why
