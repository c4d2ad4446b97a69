"""Words as arrays: in every packing, order and width the integers that were written come out, by plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_words import SHAPE, expecting, integers, words_of

from refengine.errors import FileError
from refengine.golden.dumps.dump import Held
from refengine.golden.dumps.expected import Expected, of_array
from refengine.golden.dumps.fit import WholeFloats, fitted_array, fitted_words
from refengine.golden.dumps.fitted import MISSING_WORDS, WRONG_WORDS, complaints_of, marks_of
from refengine.golden.dumps.reading import Reading
from refengine.golden.dumps.word_sources import HeldWords
from refengine.vectors.words import fitted


@given(st.integers(2, 40), st.booleans(), st.integers(0, 23), st.booleans())
def test_one_integer_a_word_of_any_width(bits, signed, wider, extended):
    """Signs extended over a wider word, or zeros above the integer's own bits."""
    values = integers(bits, signed)
    stored = values if extended or not signed else values & (2**bits - 1)
    source = HeldWords("w", words_of(stored.reshape(-1), bits + wider), width=bits + wider)
    found, notes = fitted_words(source, expecting(bits, signed), Reading())
    assert np.array_equal(found.read(0, 2), values)
    assert np.array_equal(found.read(1, 2), values[1:])
    assert bool(notes) == (signed and wider > 0 and not extended)


def test_the_order_of_the_manifest():
    values = integers(8, True)
    source = HeldWords("w", words_of(values.transpose(0, 3, 1, 2).reshape(-1), 8), width=8)
    found, notes = fitted_words(source, expecting(8, True, order="nchw"), Reading())
    assert np.array_equal(found.read(0, 2), values)
    assert "read in the order nchw" in notes[0]
    assert np.array_equal(found.flattened(values), values.transpose(0, 3, 1, 2).reshape(-1))


@given(st.integers(0, 70))
def test_too_few_words_and_too_many(count):
    values = integers(8, False)
    words = words_of(np.resize(values.reshape(-1), count), 8)
    found, _ = fitted_words(HeldWords("w", words.reshape(-1, 1), width=8), expecting(8, False), Reading())
    marks, read = marks_of(found, 0, 2), found.read(0, 2).reshape(-1)
    known = min(count, 60)
    assert np.array_equal(read[:known], values.reshape(-1)[:known])
    if count < 60:
        assert marks.missing.reshape(-1).tolist() == [False] * count + [True] * (60 - count)
        assert [one.kind for one in complaints_of(found)] == [MISSING_WORDS]
    else:
        assert marks is None
        assert [one.kind for one in complaints_of(found)] == [WRONG_WORDS] * (count > 60)


@pytest.mark.parametrize(
    ("stored", "is_read"),
    [
        (lambda v: v.reshape(-1), True),
        (lambda v: v.reshape(2, -1), True),
        (lambda v: v.reshape(1, -1, 1), True),
        (lambda v: v.reshape(2, 6, 5), False),
        (lambda v: v.reshape(2, 5, 2, 3), False),
        (lambda v: v.reshape(-1)[:-1], False),
    ],
)
def test_rows_are_read_and_other_shapes_are_left(stored, is_read):
    values = integers(8, False).astype(np.uint8)
    found, _ = fitted_array(Held(stored(values)), "a", of_array(SHAPE, np.dtype(np.uint8)), Reading())
    assert (found.shape == SHAPE) == is_read
    if is_read:
        assert np.array_equal(found.read(0, 2), values)


def test_floats_that_are_whole():
    whole = WholeFloats(Held(np.array([[1.0, -3.0], [2.0**40, 0.0]])), "f")
    assert whole.read(0, 2).tolist() == [[1, -3], [2**40, 0]]
    for wrong in (0.5, np.nan, np.inf, 2.0**63):
        with pytest.raises(FileError, match=r"at \[1, 0\], needed whole numbers"):
            WholeFloats(Held(np.array([[1.0], [wrong]])), "f").read(0, 2)


@pytest.mark.parametrize(("number", "codes"), [(-1, [255] * 8), (-256, [0, *[255] * 7]), (127, [127, *[0] * 7])])
def test_a_decimal_word_of_several_codes_is_extended_by_its_sign(number, codes):
    """-1 is 64 ones, however few bytes the numbers of the text need."""
    packing = fitted(8, False, 64)
    expected = Expected((1, 8), np.dtype(np.uint8), 8, False, "nc", "nc", packing)
    words = np.array([list(number.to_bytes(2, "little", signed=True))], np.uint8)
    found, _ = fitted_words(HeldWords("text", words, numbers=True, signed=True), expected, Reading())
    assert found.read(0, 1).tolist() == [codes]
