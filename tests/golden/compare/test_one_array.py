"""How one array lies: named where every integer is right that way, and only that way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.golden.compare.one_array import lies, slip
from refengine.golden.dumps.axes import usual_orders
from refengine.golden.dumps.dump import Damaged, Held, in_memory
from refengine.golden.dumps.dut import open_dut

VALUES = np.random.default_rng(4).integers(0, 256, (2, 3, 5, 12)).astype(np.uint8)


def stored(order):
    """VALUES as they lie in an order, by a loop over all places."""
    block = order.block or 1
    found = np.zeros((2, *order.stored_shape(VALUES.shape[1:])), np.uint8)
    for n, y, x, c in np.ndindex(*VALUES.shape):
        place = {"H": y, "W": x, "C": c // block}
        found[(n, *(place[axis] for axis in order.axes), *([c % block] if order.block else []))] = VALUES[n, y, x, c]
    return found


@pytest.mark.parametrize("order", [order for order in usual_orders(12) if order.name != "NHWC"], ids=lambda o: o.name)
def test_every_usual_order_is_named(order):
    found = lies(Held(VALUES), Held(stored(order).reshape(-1)))
    assert f"--order {order.name} reads them" in found.sentence
    wrong = stored(order).reshape(-1)
    wrong[7] ^= 1
    assert lies(Held(VALUES), Held(wrong)) is None


def test_no_two_usual_orders_are_the_same():
    for channels in (3, 8, 12, 16, 20, 64):
        seen = set()
        for order in usual_orders(channels):
            shape = (3, 5, channels)
            row = np.arange(int(np.prod(order.stored_shape(shape))))
            key = (len(row), order.as_trace(row, shape)[0].tobytes())
            assert key not in seen, (channels, order)
            seen.add(key)


def test_too_little_evidence_gives_no_explanation():
    few = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(1, 2, 3, 4) % 3
    assert lies(Held(few), Held(few.transpose(0, 3, 1, 2).copy())) is None
    assert lies(Held(VALUES), Damaged("gone")) is None
    assert lies(Held(VALUES), Held(VALUES[::-1].copy())) is None


@given(st.lists(st.integers(0, 9), min_size=6, max_size=40), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_a_slip_reproduces_what_came(values, first, by, cut):
    """Whatever is said of the row, doing it to the golden's row gives the row that came."""
    wanted = np.array(values)
    late = np.array([*values[:first], *[values[first - 1]] * by, *values[first:]])
    early = np.array([*values[:first], *values[first + by :]])
    for got, how in ((late[: len(values)] if cut else late, "late"), (early, "early")):
        said = slip(wanted, got)
        if said is None:
            both = zip(wanted, got, strict=False)
            differs = next((n for n, (one, other) in enumerate(both) if one != other), len(values))
            assert len(values) - differs <= 2 * by, (values, got)
        elif how in said:
            assert said.startswith("word")


def test_a_slip_by_its_word():
    row = np.array([5, 1, 4, 2, 8, 3, 7])
    assert slip(row, np.array([5, 1, 1, 4, 2, 8, 3])) == (
        "word 2 repeats the one before, and every later word comes one late"
    )
    assert slip(row, np.array([5, 1, 1, 1, 4, 2, 8])).startswith("words 2..3 repeat the one before")
    assert slip(row, np.array([5, 1, 2, 8, 3, 7])) == "word 2 is lost, and every later word comes one early"
    assert slip(row, row) is None
    assert slip(row, row[::-1]) is None


def test_the_order_in_use_is_never_proposed(tmp_path):
    """An unknown word where the golden is 0, and a type that is not the golden's: the values are right as they lie."""
    golden = VALUES.copy()
    golden[0, 1, 2, 3] = 0
    assert lies(Held(golden), Held(golden.astype(np.int64))) is None
    for order in (golden, golden.transpose(0, 3, 1, 2)):
        words = [f"{value:02x}" for value in order.reshape(-1)]
        words[int(np.flatnonzero(order.reshape(-1) == 0)[0])] = "xx"
        (tmp_path / "a.code.memh").write_text("\n".join(words) + "\n")
        with open_dut(tmp_path, in_memory({"a": {"code": golden}})) as dut:
            assert lies(Held(golden), dut.arrays["a"]["code"]) is None


def test_an_order_that_reads_the_same_is_no_explanation():
    flat = VALUES.reshape(2, 1, 15, 12)
    assert lies(Held(flat), Held(flat.astype(np.int32))) is None
