"""What is to be seen in the differences is true, and said with its figures."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refengine.golden.diagnose.observe import observe

GOLDEN = np.random.default_rng(0).integers(0, 256, (5, 6, 9, 8))


def said(got, ends=(0, 255)):
    return " | ".join(one.sentence for one in observe(GOLDEN, got, ends))


def kinds(got, ends=(0, 255)):
    return {one.kind: dict(one.figures) for one in observe(GOLDEN, got, ends)}


def test_nothing_is_seen_where_nothing_differs():
    assert observe(GOLDEN, GOLDEN.copy()) == ()


def test_the_border_and_the_channels():
    border = GOLDEN.copy()
    border[:, 0] += 5
    border[:, :, -1] += 7
    assert "at the border: look at the padding" in said(border)
    lanes = GOLDEN.copy()
    lanes[..., 1::4] ^= 3
    assert "channels 1, 5 (period 4)" in said(lanes)


def test_rows_and_columns_have_a_period_and_a_phase():
    got = GOLDEN.copy()
    got[:, :, 2::3] += 1
    columns = kinds(got)["places"]["columns"]
    assert columns == {"places": [2, 5, 8], "count": 3, "of": 9, "period": 3, "phase": 2}
    assert "all differences lie in columns 2, 5, 8 (period 3)" in said(got)


def test_differences_in_one_image_are_placed_there():
    got = GOLDEN.copy()
    got[3] ^= 1
    assert kinds(got)["places"] == {"images": {"places": [3], "count": 1, "of": 5}}


def test_the_word_from_which_on_everything_is_wrong():
    got = GOLDEN.copy().reshape(-1)
    got[700:] ^= 5
    found = observe(GOLDEN, got.reshape(GOLDEN.shape), None, 40)
    onset = next(one for one in found if one.kind == "onset")
    assert (onset.figures["word"], onset.figures["behind"]) == (740, GOLDEN.size - 700)


def test_words_of_a_period():
    got = GOLDEN.copy().reshape(-1)
    got[7::32] ^= 1
    assert kinds(got.reshape(GOLDEN.shape))["period"] == {"period": 32, "phase": 7}


def test_a_constant_in_each_channel():
    by = np.array([0, 3, 0, -9, 0, 0, 0, 4])
    assert kinds(GOLDEN + by, None)["constant per channel"] == {"channels": {1: 3, 3: -9, 7: 4}}
    assert "channel 1 by +3, 3 by -9, 7 by +4; of accumulators, look at the bias" in said(GOLDEN + by, None)


def test_patterns_of_differences_are_named():
    assert "multiple of 2**8: look at an alignment" in said(GOLDEN + (GOLDEN % 7 + 1) * 256, None)
    assert "every difference is +5" in said(np.where(GOLDEN % 3, GOLDEN, GOLDEN + 5))
    assert "in half of the values" in said(np.where(GOLDEN % 2, GOLDEN, GOLDEN + 1 - 2 * (GOLDEN % 4 > 1)))
    assert "only where the code is 255, an end of the clip" in said(np.where(GOLDEN == 255, 17, GOLDEN))
    assert f"of {GOLDEN.size} values differ" in said(GOLDEN + 1)
    assert kinds(GOLDEN ^ 4)["single bits"] == {"exponents": [2]}
    assert kinds(np.where(GOLDEN > 200, 77, GOLDEN))["one value"] == {"value": 77}
    assert kinds(np.where(GOLDEN > 200, 77, GOLDEN))["sign"] == {"sign": -1}


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_places_hold_all_differences(seed, count):
    """In plain Python: no wrong value lies outside of the places that are named, and each named one has one."""
    rng = np.random.default_rng(seed)
    got = GOLDEN.copy().reshape(-1)
    got[rng.choice(got.size, count, replace=False)] += rng.integers(1, 9, count)
    wrong = np.argwhere(got.reshape(GOLDEN.shape) != GOLDEN)
    figures = kinds(got.reshape(GOLDEN.shape)).get("places", {})
    for axis, name in enumerate(("images", "rows", "columns", "channels")):
        places = sorted({int(place[axis]) for place in wrong})
        assert len(places) == GOLDEN.shape[axis] if name not in figures else figures[name]["places"] == places
        if "period" in figures.get(name, {}):
            period = figures[name]["period"]
            assert {place % period for place in places} == {figures[name]["phase"]}


def test_unknown_bits_are_wrong_and_say_nothing_of_what_they_are():
    unknown = np.zeros(GOLDEN.shape, bool)
    unknown[2, 3, 4, 5] = True
    found = observe(GOLDEN, np.where(unknown, 0, GOLDEN), (0, 255), 0, unknown)
    assert [one.kind for one in found] == ["places", "share", "unknown"]
    assert "image 2, row 3, column 4, channel 5" in found[0].sentence
    assert found[2].sentence == "1 wrong value has unknown bits"
    got = GOLDEN.copy()
    got[:, :2] += 5
    unknown[:, 1] = True
    said = " | ".join(one.sentence for one in observe(GOLDEN, np.where(unknown, 0, got), None, 0, unknown))
    assert "every difference is +5" in said
    assert "361 wrong values have unknown bits" in said
