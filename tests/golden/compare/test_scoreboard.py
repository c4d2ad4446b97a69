"""Streams of words against a golden: what is right passes, and the first wrong value is named with its place."""

import asyncio
import re
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError, RangeError, RefengineError
from refengine.golden.compare.scoreboard import Scoreboard, monitor
from refengine.golden.dumps.dump import in_memory

CODES = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5) * 2
SUMS = CODES.astype(np.int32) * 1000 - 50_000
GOLDEN = in_memory({"001_conv": {"accumulator": SUMS, "code": CODES}, "002_fc": {"accumulator": SUMS[:, 0, 0]}})


def stream(values, order):
    """Values of NHWC in another order of axes, as plain integers."""
    return values.transpose(["nhwc".index(axis) for axis in order]).reshape(-1).tolist()


def words_of(values, bits, elements, low=True):
    """Values of one image as words, by shifts of Python's integers."""
    for start in range(0, len(values), elements):
        some = values[start : start + elements]
        some += [0] * (elements - len(some))
        yield sum((v & (2**bits - 1)) << bits * (i if low else elements - 1 - i) for i, v in enumerate(some))


@pytest.mark.parametrize("order", ["nhwc", "nchw", "nwch"])
@pytest.mark.parametrize(("stage", "values"), [("code", CODES), ("accumulator", SUMS)])
def test_a_right_stream_passes_in_any_order(order, stage, values):
    scoreboard = Scoreboard(GOLDEN, "001_conv", stage, order=order)
    for value in stream(values, order):
        assert not scoreboard.complete
        scoreboard.push(value)
    scoreboard.check()
    assert scoreboard.complete
    assert scoreboard.next_index is None
    assert scoreboard.report() == f"001_conv {stage}: all 120 are right"


@given(st.integers(1, 7), st.booleans(), st.booleans(), st.sampled_from(["code", "accumulator"]))
def test_words_of_several_values(elements, low, as_text, stage):
    """Each image begins with a new word; the rest of its last word is passed over."""
    values, bits = (CODES, 8) if stage == "code" else (SUMS, 32)
    scoreboard = Scoreboard(GOLDEN, "001_conv", stage, elements=elements, first="low" if low else "high")
    for image in values:
        for word in words_of(image.reshape(-1).tolist(), bits, elements, low):
            scoreboard.push(f"{word:0{bits * elements}b}" if as_text else word)
    scoreboard.check()


@given(st.integers(0, 119), st.integers(1, 2**32 - 1))
def test_the_first_wrong_value_is_named(position, flip):
    order = "nchw"
    values = stream(SUMS, order)
    scoreboard = Scoreboard(GOLDEN, "001_conv", "accumulator", order=order)
    for i, value in enumerate(values):
        scoreboard.push((value & 0xFFFFFFFF) ^ (flip if i >= position else 0))
    n, c, y, x = (int(i) for i in np.unravel_index(position, (2, 5, 3, 4)))
    assert scoreboard.first.index == (n, y, x, c)
    assert scoreboard.first.wanted == values[position] == SUMS[n, y, x, c]
    assert (scoreboard.first.got ^ scoreboard.first.wanted) & 0xFFFFFFFF == flip
    assert scoreboard.different == 120 - position
    sentence = f"001_conv accumulator: {120 - position} of 120 differ, first (n {n}, y {y}, x {x}, c {c}): golden "
    assert scoreboard.report().startswith(sentence)
    with pytest.raises(RefengineError, match=re.escape(sentence)):
        scoreboard.check()


def test_the_sentence_has_every_bit():
    scoreboard = Scoreboard(GOLDEN, "001_conv")
    scoreboard.push(3)
    assert str(scoreboard.first) == (
        "001_conv code: (n 0, y 0, x 0, c 0): golden 0 = 0x00 = 0000_0000, "
        "got 3 = 0x03 = 0000_0011, xor 0x03 = 0000_0011"
    )
    assert scoreboard.report().startswith("001_conv code: 1 of 120 values came; 1 of 1 differ, first (n 0,")


def test_a_strict_one_stops_at_once():
    scoreboard = Scoreboard(GOLDEN, "001_conv", strict=True)
    scoreboard.push(0)
    with pytest.raises(RefengineError, match=r"c 1\): golden 2 = 0x02"):
        scoreboard.push(7)
    for value in CODES.reshape(-1).tolist()[2:]:
        scoreboard.push(value)
    with pytest.raises(RefengineError, match="1 values came after the last of 120"):
        scoreboard.push(0)


def test_too_few_and_too_many_are_wrong():
    scoreboard = Scoreboard(GOLDEN, "002_fc", "accumulator")
    with pytest.raises(RefengineError, match="0 of 10 values came"):
        scoreboard.check()
    for value in [*SUMS[:, 0, 0].reshape(-1).tolist(), 5]:
        scoreboard.push(value)
    with pytest.raises(RefengineError, match="1 values came after the last of 10; all 10 are right"):
        scoreboard.check()


def test_unknown_bits_are_wrong_and_shown():
    scoreboard = Scoreboard(GOLDEN, "001_conv")
    scoreboard.push("0000x0Z0")
    assert str(scoreboard.first) == "001_conv code: (n 0, y 0, x 0, c 0): golden 0, got bits 0000x0Z0"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"order": "chwn"}, "order is 'chwn'"),
        ({"order": "nhw"}, "order is 'nhw'"),
        ({"elements": 0}, "words of 0 values"),
        ({"bits": 65}, "values of 65 bits"),
        ({"first": "middle"}, "'middle' is unknown"),
    ],
)
def test_impossible_options_are_refused(given, reason):
    with pytest.raises(RangeError, match=reason):
        Scoreboard(GOLDEN, "001_conv", **given)


def test_words_that_cannot_be_are_refused():
    scoreboard = Scoreboard(GOLDEN, "001_conv")
    for word in (256, -1, "0101", "0" * 9):
        with pytest.raises(RangeError, match="a word"):
            scoreboard.push(word)
    assert scoreboard.count == 0
    with pytest.raises(FileError, match="no layer"):
        Scoreboard(GOLDEN, "003_conv")
    with pytest.raises(FileError, match="no stage"):
        Scoreboard(GOLDEN, "002_fc")


def test_the_monitor_pushes_what_is_valid(monkeypatch):
    """With a stand-in for cocotb's trigger, which steps through a recording."""
    recording = [("0", "x" * 8), ("x", "0" * 8)]
    for value in CODES.reshape(-1).tolist():
        recording += [("1", f"{value:08b}"), ("0", "11111111")]
    valid, data, steps = SimpleNamespace(value=None), SimpleNamespace(value=None), iter(recording)

    class RisingEdge:
        def __init__(self, clock):
            assert clock == "clock"

        def __await__(self):
            valid.value, data.value = next(steps)
            yield from ()

    triggers = types.ModuleType("cocotb.triggers")
    triggers.RisingEdge = RisingEdge
    monkeypatch.setitem(sys.modules, "cocotb", types.ModuleType("cocotb"))
    monkeypatch.setitem(sys.modules, "cocotb.triggers", triggers)
    scoreboard = Scoreboard(GOLDEN, "001_conv")
    asyncio.run(monitor("clock", valid, data, scoreboard))
    scoreboard.check()
    assert next(steps) == ("0", "11111111")
