"""What options say of a DUT's files; options that mean nothing are refused in one line."""

import pytest

from refengine.errors import RangeError
from refengine.golden.dumps.reading import Reading, reading
from refengine.golden.dumps.waves import Handshake
from refengine.vectors.orders import Order


def test_nothing_said_is_nothing_known():
    assert reading() == Reading()


def test_options_become_a_reading():
    made = reading(order="nchw8c", radix="hex", word_bits=20, endian="big", pack="4,high-first")
    assert made == Reading(Order("CHW", 8), 16, 20, "big", (4, "high"))
    assert reading(clock="c", valid="v", data=["code=x", "total=y"]).handshake == Handshake(
        "c", {"code": "x", "total": "y"}, "v"
    )
    assert reading(clock="c", data=["x"]).handshake.data == {"result": "x"}


@pytest.mark.parametrize(
    "given",
    [
        {"radix": "oct"},
        {"endian": "middle"},
        {"word_bits": 0},
        {"word_bits": 5000},
        {"pack": "0"},
        {"pack": "4,middle"},
        {"pack": ""},
        {"order": "NCHW0c"},
        {"clock": "c"},
        {"data": ["x"]},
        {"valid": "v"},
        {"base": "x"},
        {"base": "-1"},
        {"clock": "c", "data": ["x", "y"]},
    ],
)
def test_malformed_options_are_refused_in_one_line(given):
    with pytest.raises(RangeError) as caught:
        reading(**given)
    assert "\n" not in str(caught.value)
