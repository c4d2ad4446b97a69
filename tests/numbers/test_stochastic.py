"""Stochastic rounding and its generator (contract R5)."""

from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.numbers.rounding import MAX_SHIFT, STOCHASTIC, draws, round_shift
from refengine.numbers.stochastic import GOLDEN, key, mix, random_bits

words = st.integers(0, 2**64 - 1)
seeds = st.integers(0, 2**64 - 1)
counts = st.integers(0, 20)

PUBLISHED = {  # the first outputs of SplitMix64, as printed by its C implementation
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F],
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
}


@pytest.mark.parametrize("seed", PUBLISHED)
def test_the_generator_is_splitmix64(seed):
    """Published outputs, of the oracle's stepping generator and of the package's counter form."""
    published = PUBLISHED[seed]
    assert oracle.splitmix64(seed, len(published)) == published
    assert [mix((seed + (i + 1) * GOLDEN) % 2**64) for i in range(len(published))] == published


@given(seed=seeds, layer=counts, image=counts, element=counts)
@example(seed=2**64 - 1, layer=0, image=0, element=0)
def test_bits_of_one_element(seed, layer, image, element):
    """Four generators, each seeded by the one before, give the bits of the package."""
    bits = random_bits(seed, layer, image, (1, element + 1))
    assert bits.dtype == np.uint64
    assert int(bits[0, element]) == oracle.random_bits(seed, layer, image, element)


@given(seed=seeds, layer=counts, image=counts)
def test_the_key_is_three_of_the_four(seed, layer, image):
    """The element's number comes in last, so one key serves an image."""
    assert mix((key(seed, layer, image) + GOLDEN) % 2**64) == oracle.random_bits(seed, layer, image, 0)


@given(seed=seeds, layer=counts, first=counts, images=st.integers(0, 4), split=st.integers(0, 4))
def test_batches_do_not_matter(seed, layer, first, images, split):
    """An image draws the same bits alone, in one batch and in two."""
    whole = random_bits(seed, layer, first, (images, 2, 3, 2))
    split = min(split, images)
    parts = [
        random_bits(seed, layer, first, (split, 2, 3, 2)),
        random_bits(seed, layer, first + split, (images - split, 2, 3, 2)),
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_elements_count_in_the_order_y_x_c():
    """Element ((y * W) + x) * C + c: the shape of an image does not matter, its order in memory does."""
    flat = random_bits(5, 3, 2, (2, 24))
    np.testing.assert_array_equal(random_bits(5, 3, 2, (2, 2, 3, 4)), flat.reshape(2, 2, 3, 4))


def test_every_index_counts():
    """Another seed, layer, image or element gives another word."""
    near = [(s, la, i, e) for s in (0, 1) for la in (0, 1) for i in (0, 1) for e in (0, 1)]
    assert len({oracle.random_bits(*index) for index in near}) == len(near)
    assert len({int(random_bits(s, la, i, (1, 2))[0, e]) for s, la, i, e in near}) == len(near)


@given(bits=words, shift=st.integers(0, MAX_SHIFT))
@example(bits=2**64 - 1, shift=62)
@example(bits=2**64 - 1, shift=0)
def test_a_draw_is_the_highest_bits(bits, shift):
    """``shift`` bits from the top; none for shift 0."""
    drawn = draws(np.array([bits], np.uint64), np.array([shift]))
    assert drawn.dtype == np.int64
    assert drawn.tolist() == [bits // 2 ** (64 - shift)]
    assert 0 <= drawn[0] < 2**shift


@given(t=st.integers(-(2**62), 2**62), shift=st.integers(0, MAX_SHIFT), bits=words)
@example(t=2**62, shift=62, bits=2**64 - 1)
@example(t=-(2**62), shift=62, bits=2**64 - 1)
def test_round_shift_adds_the_draw_and_floors(t, shift, bits):
    """Against the oracle; and the result is always one of the two neighbours."""
    rounded = int(round_shift(np.array([t]), shift, STOCHASTIC, np.array([bits], np.uint64))[0])
    assert rounded == oracle.stochastic(t, shift, bits)
    assert rounded in (t >> shift, -(-t >> shift))


@given(t=st.integers(-(2**32), 2**32), shift=st.integers(0, 30), bits=words)
def test_what_is_exact_stays_exact(t, shift, bits):
    """No draw moves a multiple of the unit."""
    assert round_shift(np.array([t << shift]), shift, STOCHASTIC, np.array([bits], np.uint64)) == t


@pytest.mark.parametrize("shift", [1, 3, 8])
def test_every_draw_is_equally_likely(shift):
    """Over the highest bits in all their values, the mean of the roundings is the exact quotient."""
    bits = (np.arange(2**shift, dtype=np.uint64) << np.uint64(64 - shift)) | np.uint64(12345)
    for t in (-1000, -3, 0, 1, 777):
        rounded = round_shift(np.full(2**shift, t), shift, STOCHASTIC, bits)
        assert Fraction(int(rounded.sum()), 2**shift) == Fraction(t, 2**shift)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_the_mean_of_many_roundings(quarters):
    """One image of 2**16 elements: within five standard deviations of the exact mean."""
    n = 2**16
    t = np.full((1, n), 4 * 10 + quarters)
    rounded = round_shift(t, 2, STOCHASTIC, random_bits(1, 2, 3, (1, n)))
    p = quarters / 4
    assert set(np.unique(rounded)) == {10, 11}
    assert abs((rounded - 10).sum() - n * p) < 5 * (n * p * (1 - p)) ** 0.5


def test_bits_look_uniform():
    """Each of the 64 bits is set in about half of 2**14 words, and changes in about half of the steps between them."""
    n = 2**14
    words = random_bits(0, 0, 0, (1, n))[0]
    limit = 5 * n**0.5 / 2
    for bit in range(64):
        ones = int(((words >> np.uint64(bit)) & np.uint64(1)).sum())
        changes = int((((words[1:] ^ words[:-1]) >> np.uint64(bit)) & np.uint64(1)).sum())
        assert abs(ones - n / 2) < limit
        assert abs(changes - n / 2) < limit
