"""Schemes refuse what does not exist, and say which format a layer gets."""

from dataclasses import replace

import pytest

from refengine.errors import RefengineError, SchemeError
from refengine.quantization.scheme import Scheme, matches, stem


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weights", "int3"), ("first", "float"), ("last", ""), ("method", "best"), ("scale_exponent", "tensor"),
        ("activations", "int4"), ("exponents", "kl"), ("cluster", 0), ("cluster", 70000), ("multiplier_bits", 16),
        ("multiplier_bits", 0), ("multiplier_bits", 31), ("rounding", "up"), ("seed", -1), ("accumulator_bits", 15),
        ("accumulator_policy", "clamp"), ("layers", (("conv*", "int9"),)),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_refused_in_one_line(field, value):
    with pytest.raises(RefengineError) as caught:
        Scheme(**{field: value})
    assert "\n" not in str(caught.value)


def test_the_message_lists_what_is_available():
    with pytest.raises(SchemeError, match=r"method is 'best'; available: calibrated, paper, paper-literal, optimal"):
        Scheme(method="best")


def test_first_and_last_have_formats_of_their_own():
    scheme = Scheme(weights="ternary", first="int8", last="int4")
    assert scheme.format_of("001_conv1", ("first",)) == "int8"
    assert scheme.format_of("050_fc", ("last",)) == "int4"
    assert scheme.format_of("007_conv", ()) == "ternary"


def test_a_later_pattern_wins():
    scheme = Scheme(layers=(("layer1.*", "int4"), ("*conv2", "int8"), ("first", "ternary")))
    assert scheme.format_of("004_layer1.0.conv1", ()) == "int4"
    assert scheme.format_of("007_layer1.0.conv2", ()) == "int8"
    assert scheme.format_of("001_conv1", ("first",)) == "ternary"
    assert scheme.format_of("031_layer2.0.conv1", ()) == "ternary"


def test_patterns_mean_roles_full_names_and_stems():
    assert matches("depthwise", "003_dw", ("depthwise",))
    assert not matches("depthwise", "003_depthwise", ())
    assert matches("003_*", "003_dw", ())
    assert matches("dw", "003_dw", ())
    assert not matches("dw", "003_dw2", ())


def test_a_stem_is_the_name_without_its_number():
    assert [stem(name) for name in ("012_a_b", "conv", "x_y", "7_")] == ["a_b", "conv", "x_y", "7_"]


def test_described_is_text_alone():
    described = replace(Scheme(), cluster=16).described()
    assert described["cluster"] == "16"
    assert all(isinstance(value, str) for value in described.values())
