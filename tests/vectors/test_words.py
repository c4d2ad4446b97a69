"""Words: every bit where a definition in Python integers puts it, and back, whatever the widths."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from word_oracle import code_of, oracle

from refengine.errors import RangeError
from refengine.vectors.words import CODE_MAPS, ENDIANS, FIRSTS, Packing, fitted, pack, place, unpack, word_count


def as_integers(words):
    return [int.from_bytes(word.tobytes(), "little") for word in words]


def packed(values, packing):
    parts = list(pack(np.array(values, np.int64), packing))
    return np.concatenate(parts) if parts else np.zeros((0, packing.word_bytes), np.uint8)


@st.composite
def packings(draw):
    """Every kind of packing, small widths preferred."""
    code_map = draw(st.sampled_from([None, None, *CODE_MAPS]))
    bits = 2 if code_map else draw(st.integers(1, 64))
    signed = code_map is not None or bits == 64 or draw(st.booleans())
    first, endian = draw(st.sampled_from(FIRSTS)), draw(st.sampled_from(ENDIANS))
    width = draw(st.one_of(st.integers(1, 140), st.integers(1, 4096)))
    width = -(-width // 8) * 8 if endian == "big" and width > 8 else width
    most = width // bits
    elements = draw(st.integers(0, most)) if most else 0
    return Packing(bits, signed, width, elements, first, endian, code_map)


@st.composite
def blocks(draw):
    packing = draw(packings())
    low, high = (-1, 1) if packing.code_map else ends(packing)
    ends_and_all = st.one_of(st.integers(low, high), st.sampled_from([low, high]))
    return packing, draw(st.lists(ends_and_all, max_size=40))


def ends(packing):
    low = -(2 ** (packing.bits - 1)) if packing.signed else 0
    return low, low + 2**packing.bits - 1


@given(blocks())
def test_every_bit_is_where_the_oracle_puts_it(block):
    packing, values = block
    words = packed(values, packing)
    assert words.shape == (word_count(len(values), packing), packing.word_bytes)
    assert as_integers(words) == oracle(values, packing)


@given(blocks())
def test_back_again(block):
    packing, values = block
    assert unpack(packed(values, packing), len(values), packing).tolist() == values


@given(blocks(), st.data())
def test_place_finds_the_lowest_bit(block, data):
    """Turn the element's lowest bit over and no other: exactly this bit of this word changes."""
    packing, values = block
    if packing.bits == 64 or not values:
        return
    plain = Packing(**{**vars(packing), "code_map": None, "signed": False})
    index = data.draw(st.integers(0, len(values) - 1))
    codes = [code_of(value, packing) for value in values]
    changed = [code ^ (i == index) for i, code in enumerate(codes)]
    before, after = as_integers(packed(codes, plain)), as_integers(packed(changed, plain))
    word, bit = place(index, packing)
    assert [a ^ b for a, b in zip(before, after, strict=True)] == [
        1 << bit if i == word else 0 for i in range(len(before))
    ]


@given(blocks(), st.data())
def test_no_other_words_mean_the_same(block, data):
    """Whatever bit of the words is turned over: other elements, or a refusal; so nothing in them goes unchecked."""
    packing, values = block
    words = packed(values, packing)
    if not len(words):
        return
    word, bit = data.draw(st.integers(0, len(words) - 1)), data.draw(st.integers(0, 8 * packing.word_bytes - 1))
    words = words.copy()
    words[word, bit // 8] ^= 1 << bit % 8
    with suppress(RangeError):
        assert unpack(words, len(values), packing).tolist() != values


@pytest.mark.parametrize("straddle", [False, True])
@pytest.mark.parametrize("first", FIRSTS)
def test_parts_fit_together(monkeypatch, straddle, first):
    """Long blocks are packed in parts; the seams do not show."""
    packing = fitted(7, True, 13 if straddle else 24, straddle=straddle, first=first)
    values = np.random.default_rng(1).integers(-64, 64, 5000)
    monkeypatch.setattr("refengine.vectors.words._BITS_AT_ONCE", 1000)
    assert len(list(pack(values, packing))) > 10
    assert as_integers(packed(values, packing)) == oracle(values.tolist(), packing)
    assert unpack(packed(values, packing), 5000, packing).tolist() == values.tolist()


@pytest.mark.parametrize("name", CODE_MAPS)
def test_code_maps_are_unambiguous(name):
    assert set(CODE_MAPS[name]) == {-1, 0, 1}
    assert len({*CODE_MAPS[name].values()}) == 3


def test_the_default_encoding_is_twos_complement():
    assert as_integers(packed([0, 1, -1], fitted(2, True, code_map="twos-complement"))) == [0b00, 0b01, 0b11]


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        ({"word_bits": 7}, "a word of 7 bits holds no element of 8 bits; needed is a wider word, or"),
        ({"word_bits": 16, "elements": 3}, "a word of 16 bits cannot hold 3 elements of 8 bits"),
        ({"word_bits": 0, "straddle": True}, "bits of a word: 0, needed 1..4096"),
        ({"word_bits": 4097}, "bits of a word: 4097, needed 1..4096"),
        ({"elements": 600}, "bits of a word: 4800, needed 1..4096"),
        ({"elements": 0}, "elements of a word: 0, needed 1..4096"),
        ({"elements": 2, "straddle": True}, "elements that straddle words cannot be 2 a word"),
        ({"bits": 64}, "bits of an element: 64, needed 1..63"),
        ({"first": "left"}, "first element 'left' is unknown; available: low, high"),
        ({"endian": "middle"}, "endian 'middle' is unknown; available: little, big"),
        ({"code_map": "gray"}, "code map 'gray' is unknown"),
        ({"code_map": "offset"}, "bits of a ternary code: 8, needed 2..2"),
        ({"word_bits": 12, "endian": "big"}, "a word of 12 bits has no whole bytes"),
    ],
)
def test_impossible_packings_are_refused(arguments, needle):
    with pytest.raises(RangeError, match=needle):
        fitted(**{"bits": 8, "signed": "bits" not in arguments, **arguments})


@pytest.mark.parametrize(
    ("values", "bits", "signed", "code_map", "needle"),
    [
        ([128], 8, True, None, r"holds 128..128, 8 bits hold -128..127"),
        ([-1, 3], 8, False, None, r"holds -1..3, 8 bits hold 0..255"),
        ([2], 2, True, "plus-minus", r"holds 2..2, ternary codes are -1, 0 and 1"),
    ],
)
def test_values_without_a_code(values, bits, signed, code_map, needle):
    with pytest.raises(RangeError, match=needle):
        packed(values, fitted(bits, signed, code_map=code_map))


def test_words_that_hold_no_elements():
    packing = fitted(4, True, 13)
    words = packed([1, -2, 3, 4], packing)
    with pytest.raises(RangeError, match="5 elements take 2 words, found 1"):
        unpack(words[:1], 5, packing)
    with pytest.raises(RangeError, match="word 1 is 0x0014, needed 0x0004"):
        unpack(words + np.array([[0, 0], [16, 0]], np.uint8), 4, packing)
    with pytest.raises(RangeError, match="the code 10 is none of the map twos-complement"):
        unpack(np.array([[2]], np.uint8), 1, fitted(2, True, code_map="twos-complement"))
