"""Faults of memories and bits are recognised, and nothing is recognised in noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.golden.diagnose.structure import (
    STRUCTURES,
    affected,
    bounding_box,
    described,
    findings,
    lane,
    places_in_words,
)

RNG = np.random.default_rng(0)
GOLDEN = RNG.integers(0, 256, (5, 6, 6, 8))


def changed(**places):
    got = GOLDEN.copy()
    got[places.get("box", ...)] = places["to"]
    return got


def stale_tile():
    got = GOLDEN.copy()
    got[2, 2:4, :, 3:5] = GOLDEN[2, 0:2, :, 3:5]
    return got


def stale_image():
    got = GOLDEN.copy()
    got[3, 1:3] = GOLDEN[2, 1:3]
    return got


def moved(source):
    return GOLDEN.reshape(-1)[source].reshape(GOLDEN.shape)


def pitched(pitch):
    memory = np.zeros((5, 6 * max(pitch, 6), 8), int)
    for y in range(6):
        memory[:, y * pitch : y * pitch + 6] = GOLDEN[:, y]
    return memory[:, :36].reshape(GOLDEN.shape)


PLANTED = {
    "all_zero": (0 * GOLDEN, "0"),
    "constant": (0 * GOLDEN + 7, "7"),
    "not_written": (changed(box=np.s_[1, 2:4], to=171), "171"),
    "images_reversed": (GOLDEN[::-1], "reverse"),
    "images_rotated": (np.roll(GOLDEN, 1, axis=0), "1 before"),
    "stale_image": (stale_image(), "image before"),
    "stale_tile": (stale_tile(), "image 2, rows 2..3, columns 0..5, channels 3..4 repeats image 2, rows 0..1"),
    "stuck_bits": (GOLDEN & ~4 | 32, "bit 2 is always 0 and bit 5 is always 1"),
    "inverted_bits": (GOLDEN ^ 128, "bit 7 is inverted"),
    "constant_offset": (GOLDEN - 3, "-3"),
    "channel_offsets": (GOLDEN + np.arange(8), "constant per channel: the bias, if these are sums: channel 1 by +1, 2"),
    "words_late": (moved(np.r_[:100, 99 : GOLDEN.size - 1]), "from word 100 on each holds the one before"),
    "row_pitch": (pitched(8), "rows of the result are written 8 pixels apart, not 6"),
    "words_early": (
        moved(np.r_[:100, 101 : GOLDEN.size, GOLDEN.size - 1]),
        "from word 100 on each holds the one after",
    ),
    "word_repeated": (moved(np.arange(GOLDEN.size) - (np.arange(GOLDEN.size) % 16 == 5)), "words 5, 21, ..., every 16"),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_planted_fault_is_found_first(name):
    got, words = PLANTED[name]
    found = findings(GOLDEN, got)
    assert found[0].name == name
    assert words in found[0].sentence


def test_nothing_is_found_where_nothing_differs():
    assert findings(GOLDEN, GOLDEN.copy()) == ()


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 50, GOLDEN.size]))
def test_noise_is_no_structure(seed, count):
    """Random values in random places, unless a single one happens to be what was there before."""
    rng = np.random.default_rng(seed)
    got = GOLDEN.copy().reshape(-1)
    got[rng.choice(got.size, count, replace=False)] = rng.integers(0, 256, count)
    found = findings(GOLDEN, got.reshape(GOLDEN.shape))
    assert not found or count < 4


def test_a_stale_image_that_was_wrong_itself():
    got = GOLDEN.copy()
    got[2, 1] = RNG.integers(0, 256, GOLDEN[2, 1].shape)
    got[3, 1] = got[2, 1]
    assert not findings(GOLDEN, got), "two faults: the first one is not explained"


def test_equal_values_are_not_stale_ones():
    """A block of one number repeats every other block of that number, which says nothing about a memory."""
    golden, got = GOLDEN.copy(), GOLDEN.copy()
    golden[2, 0:2] = got[2, 0:2] = got[3, 0:2] = 5
    assert [one.name for one in findings(golden, got)] == ["not_written"]


def test_signs_cut_off():
    accumulators = np.random.default_rng(1).integers(-(2**20), 2**20, (2, 3, 3, 4))
    found = findings(accumulators, accumulators & 0xFFFFF)
    assert [one.sentence for one in found] == ["bits from 20 on are always 0"]


def test_a_bounding_box_holds_all_wrong_places():
    wrong = np.zeros((2, 4, 4, 16), bool)
    wrong[1, :, 3, 3::4] = True
    assert bounding_box(wrong) == np.s_[1:2, 0:4, 3:4, 3:16]
    assert described(bounding_box(wrong)) == "image 1, rows 0..3, column 3, channels 3..15"
    assert affected(wrong, 3).tolist() == [3, 7, 11, 15]
    assert lane(affected(wrong, 3), 16) == "k mod 4 = 3"
    assert lane(np.array([3, 7, 12, 15]), 16) is None
    assert places_in_words(np.arange(16), 16, "channel") is None
    assert places_in_words(np.array([3, 7, 11, 15]), 16, "channel") == "channels k mod 4 = 3"
    assert places_in_words(np.array([0, 1]), 16, "row") == "the first 2 rows"
    assert places_in_words(np.array([2, 5, 6]), 16, "row") == "rows 2, 5, 6"


def test_words_that_are_late_or_early():
    flat = GOLDEN.reshape(-1)
    late = np.concatenate([flat[:100], flat[99:-1]]).reshape(GOLDEN.shape)
    early = np.concatenate([flat[:100], flat[101:], flat[-1:]]).reshape(GOLDEN.shape)
    assert [one.sentence for one in findings(GOLDEN, late)] == ["from word 100 on each holds the one before"]
    assert [one.sentence for one in findings(GOLDEN, early)] == ["from word 100 on each holds the one after"]
    assert findings(GOLDEN, late, 1000)[0].sentence == "from word 1100 on each holds the one before"
    four = np.concatenate([flat[:100], flat[96:-4]]).reshape(GOLDEN.shape)
    assert findings(GOLDEN, four)[0].sentence == "from word 100 on each holds the word 4 places before"


def test_words_that_are_late_in_each_image():
    rows = GOLDEN.reshape(len(GOLDEN), -1)
    late = np.concatenate([rows[:, :20], rows[:, 19:-1]], axis=1).reshape(GOLDEN.shape)
    assert findings(GOLDEN, late)[0].sentence == "from word 20 of each image on each holds the one before"


def test_words_that_are_repeated_now_and_then():
    flat = GOLDEN.reshape(-1).copy()
    flat[5::16] = GOLDEN.reshape(-1)[4::16]
    found = findings(GOLDEN, flat.reshape(GOLDEN.shape))
    assert (found[0].name, found[0].sentence) == (
        "word_repeated", "what differs is the word before it, read once more: words 5, 21, ..., every 16",
    )  # fmt: skip


@pytest.mark.parametrize("make", [stale_tile, stale_image, lambda: GOLDEN | 4, lambda: GOLDEN ^ 3, lambda: GOLDEN + 9,
                                  lambda: GOLDEN[::-1], lambda: GOLDEN + np.arange(8)])  # fmt: skip
def test_unknown_values_may_be_anything(make):
    """What is found without them is found with them, and they alone are no finding."""
    got, known = make(), np.ones(GOLDEN.shape, bool)
    right = findings(GOLDEN, got)
    assert right
    known.reshape(-1)[[0, 700, 999]] = False
    for fill in (0, 255):
        assert findings(GOLDEN, np.where(known, got, fill), 0, known) == right
        assert findings(GOLDEN, np.where(known, GOLDEN, fill), 0, known) == ()


@pytest.mark.parametrize("pitch", [1, 4, 5, 7, 16])
def test_rows_that_lie_a_wrong_number_of_pixels_apart(pitch):
    assert [one.name for one in findings(GOLDEN, pitched(pitch))] == ["row_pitch"]
    wrong = pitched(pitch)
    wrong[3, 5, 5, 7] += 1
    assert findings(GOLDEN, wrong) == ()


@pytest.mark.parametrize("late", [1, 5, 8, 100, 200])
@pytest.mark.parametrize("rows", [1, 5])
def test_words_that_come_late_from_the_first_one_on(late, rows):
    runs = GOLDEN.reshape(rows, -1)
    for fill in (0, 171):
        got = np.concatenate([np.full((rows, late), fill), runs[:, :-late]], axis=1).reshape(GOLDEN.shape)
        found = findings(GOLDEN, got)
        where = "" if rows == 1 else " in each image"
        assert [one.sentence for one in found if one.name == "words_late"] == [
            f"everything comes {late} word{'' if late == 1 else 's'} late{where}, behind {fill}"
        ]
        known = np.ones((rows, GOLDEN.size // rows), bool)
        known[:, :late] = False
        found = findings(GOLDEN, got, 0, known.reshape(GOLDEN.shape))
        assert "words_late" in {one.name for one in found}
        got.reshape(-1)[-1] += 1
        assert not [one for one in findings(GOLDEN, got) if one.name == "words_late"]
