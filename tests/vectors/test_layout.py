"""Layouts: widths by pattern, orders of axes, and what cannot be."""

import pytest

from refengine.errors import RangeError
from refengine.vectors.layout import Layout, check_patterns
from refengine.vectors.tensors import Tensor

WEIGHT = Tensor("003_layer1.conv", "weight", (4, 2, 3, 3), "oihw", "int8", 2, True, ternary=True)
CODE = Tensor("003_layer1.conv", "code", (2, 5, 5, 4), "nhwc", "uint8", 8, False)
LOGITS = Tensor(None, "logits", (2, 10), "nc", "int32", 32, True)


def widths(*patterns, **others):
    layout = Layout(word_bits_of=patterns, **others)
    return [layout.packing(tensor).word_bits for tensor in (WEIGHT, CODE, LOGITS)]


def test_a_word_is_an_element_unless_it_is_said():
    assert widths() == [2, 8, 32]
    assert widths(word_bits=64) == [64, 64, 64]
    assert widths(elements=3) == [6, 24, 96]


def test_the_last_pattern_that_matches_counts():
    """A part, a layer without its number, a whole name; the last that fits counts."""
    assert widths(("weight", 128)) == [128, 8, 32]
    assert widths(("layer1.*", 128)) == [128, 128, 32]
    assert widths(("*/code", 16), ("003_*", 24), word_bits=40) == [24, 24, 40]
    assert widths(("logits", 33)) == [2, 8, 33]


def test_an_order_applies_to_tensors_with_its_axes():
    layout = Layout(orders=["nchw", "ohwi"])
    assert [layout.order(tensor) for tensor in (WEIGHT, CODE, LOGITS)] == ["ohwi", "nchw", "nc"]


def test_blocks_of_channels_are_an_order_of_images():
    layout = Layout(orders=["NHWC16c", "OHWI"])
    assert [layout.order(tensor) for tensor in (WEIGHT, CODE, LOGITS)] == ["ohwi", "nhwc16c", "nc"]
    with pytest.raises(RangeError, match=r"order 'hwc16c' does not begin with the images"):
        Layout(orders=["HWC16c"])


def test_only_ternary_codes_have_a_map():
    layout = Layout(code_map="offset")
    assert [layout.packing(tensor).code_map for tensor in (WEIGHT, CODE)] == ["offset", None]


@pytest.mark.parametrize(
    ("orders", "needle"),
    [
        (["nhw"], "order 'nhw' is none of these axes rearranged: nhwc, nc,"),
        (["hwcn"], "order 'hwcn' does not begin with the images, n"),
        (["nchw", "nhcw"], "order 'nhcw' and order 'nchw' are of the same axes"),
        ([""], "order '' is none of these"),
    ],
)
def test_orders_that_are_none(orders, needle):
    with pytest.raises(RangeError, match=needle):
        Layout(orders=orders)


def test_a_tensor_that_does_not_fit_is_named():
    with pytest.raises(RangeError, match=r"^logits: a word of 16 bits holds no element of 32 bits; needed is"):
        Layout(word_bits=16).packing(LOGITS)
    assert Layout(word_bits=16, straddle=True).packing(LOGITS).straddles


def test_a_pattern_that_means_nothing():
    check_patterns(Layout(word_bits_of=[("code", 16)]), [WEIGHT, CODE])
    with pytest.raises(RangeError, match="no tensor is called 'cod'; tensors are images, LAYER/weight"):
        check_patterns(Layout(word_bits_of=[("cod", 16)]), [WEIGHT, CODE])
