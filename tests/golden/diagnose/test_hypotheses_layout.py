"""Orders of a result, each stated a second time as the address of an element."""

import numpy as np
import pytest
from golden_cases import cases_of, conv_case
from networks import small

from refengine.golden.diagnose.hypotheses import HYPOTHESES
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute

CASE = conv_case(0, size=(5, 4), outputs=6)
H, W, C = CASE.shape


def at(address):
    """(y, x, c) of an address of an image."""
    pixel, c = divmod(address, C)
    return (*divmod(pixel, W), c)


def address(y, x, c):
    return (y * W + x) * C + c


def planes(y, x, c):
    """Element ``address`` of N C H W."""
    k = address(y, x, c)
    plane, pixel = divmod(k, H * W)
    return (*divmod(pixel, W), plane)


def from_planes(y, x, c):
    return at((c * H + y) * W + x)


def by_columns(y, x, c):
    column, rest = divmod(address(y, x, c), H * C)
    row, channel = divmod(rest, C)
    return row, column, channel


def word(n):
    def source(y, x, c):
        k = address(y, x, c)
        return at(k if k >= H * W * C // n * n else k // n * n + n - 1 - k % n)

    return source


SOURCES = {
    "written_nchw": planes,
    "turned_to_nchw_twice": from_planes,
    "written_column_by_column": by_columns,
    "rows_reversed": lambda y, x, c: (H - 1 - y, x, c),
    "columns_reversed": lambda y, x, c: (y, W - 1 - x, c),
    "turned_around": lambda y, x, c: (H - 1 - y, W - 1 - x, c),
    "row_late": lambda y, x, c: ((y - 1) % H, x, c),
    "row_early": lambda y, x, c: ((y + 1) % H, x, c),
    "column_late": lambda y, x, c: (y, (x - 1) % W, c),
    "column_early": lambda y, x, c: (y, (x + 1) % W, c),
    "pixels_swapped": lambda y, x, c: (y, x ^ 1 if x ^ 1 < W else x, c),
    "channels_reversed": lambda y, x, c: (y, x, C - 1 - c),
    "channel_late": lambda y, x, c: (y, x, (c - 1) % C),
    "channel_early": lambda y, x, c: (y, x, (c + 1) % C),
    "address_late": lambda y, x, c: at((address(y, x, c) - 1) % (H * W * C)),
    "address_early": lambda y, x, c: at((address(y, x, c) + 1) % (H * W * C)),
    **{f"words_of_{n}_reversed": word(n) for n in (2, 4, 8)},
}


@pytest.mark.parametrize("stage", ["code", "accumulator"])
@pytest.mark.parametrize("name", SOURCES)
def test_an_order_is_what_it_says(name, stage):
    golden = recompute(machine_of(CASE), [stage])[stage]
    found = recompute(HYPOTHESES[name](machine_of(CASE)), [stage], None, [stage])[stage]
    for n, y, x, c in np.ndindex(*found.shape):
        assert found[n, y, x, c] == golden[(n, *SOURCES[name](y, x, c))]


def test_every_order_is_here():
    orders = {name for name, hypothesis in HYPOTHESES.items() if hypothesis.group == "layout"}
    assert orders == {*SOURCES, "bytes_swapped", "halves_swapped"}


def test_swapped_bytes_are_those_of_the_words():
    golden = recompute(machine_of(CASE), ["accumulator"])["accumulator"]
    for name, order in (("bytes_swapped", (3, 2, 1, 0)), ("halves_swapped", (2, 3, 0, 1))):
        found = recompute(HYPOTHESES[name](machine_of(CASE)), ["accumulator"], None, ["accumulator"])["accumulator"]
        for value, original in zip(found.flat, golden.flat, strict=True):
            old = (int(original) % 2**32).to_bytes(4, "little")
            assert int(value) == int.from_bytes(bytes(old[k] for k in order), "little", signed=True)


def test_orders_of_pixels_need_pixels():
    case = cases_of(small(), 1)[-1][0]
    assert HYPOTHESES["written_nchw"](machine_of(case)) is None
    assert HYPOTHESES["channels_reversed"](machine_of(case)) is not None
