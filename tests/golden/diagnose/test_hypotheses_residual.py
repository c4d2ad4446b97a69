"""The residual: what is added in its place is found again, with its numbers, and only where it can have been."""

from dataclasses import replace

import numpy as np
import pytest
from golden_cases import assert_as_planted, conv_case
from mutation.faults import FAULTS

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import kind
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute

STAGES = ("accumulator", "total", "code")
CASE = conv_case(3, count=2, size=(8, 7), inputs=6, outputs=6, residual=True, shift=14)
RNG = np.random.default_rng(8)


def with_residual(codes, case=CASE):
    """What the layer gives with other codes as its residual: {stage: integers}."""
    return recompute(replace(machine_of(case), residual=np.ascontiguousarray(codes)), STAGES)


def exact(found):
    return {kind(match.name) for match in found.ranked if match.exact}


def test_the_layer_whose_codes_were_taken_is_named():
    """Only one that comes before: the layer's own output explains itself."""
    other = RNG.integers(-128, 128, CASE.residual.shape, np.int8)
    found = diagnose(replace(CASE, others={"000_input": other, "004_pool": other}), None, with_residual(other))
    assert (exact(found), found.certain) == ({"residual_of_other_layer"}, True)
    assert found.sentence.startswith("codes of layer 000_input are added for the residual: ")
    for name in ("003_conv", "004_pool", "005_fc"):
        found = diagnose(replace(CASE, others={name: other}), None, with_residual(other))
        assert "residual_of_other_layer" not in exact(found)


def test_the_layers_own_input_has_one_name():
    x = CASE.operands[0]
    case = replace(CASE, operands=(x,), others={"001_read": x})
    assert exact(diagnose(case, None, with_residual(x))) == {"residual_is_input"}


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("residual_pixel", "residual_late=2,6"),
        ("residual_row", "residual_late=0,42"),
        ("residual_value", "residual_late=1,1"),
        ("residual_image", "residual_late=3,1"),
        ("residual_behind_total", "residual_after_clip_outside_total=0"),
    ],
)
def test_what_is_planted_is_what_the_hypothesis_writes_and_alone_is_certain(fault, name):
    assert_as_planted(CASE, fault, name)
    found = diagnose(CASE, None, FAULTS[fault].stages(CASE))
    assert name in {match.name for match in found.ranked if match.exact}
    assert kind(found.cause) == kind(name)


@pytest.mark.parametrize(("fault", "family"), [("product_short_wrap", "product_wraps"),
                                               ("product_short_saturate", "product_saturates"),
                                               ("residual_bit_3", "residual_bits")])  # fmt: skip
def test_widths_and_bits_are_solved_for(fault, family):
    found = diagnose(CASE, None, FAULTS[fault].stages(CASE))
    assert (kind(found.cause), found.certain) == (family, True)
    assert_as_planted(CASE, fault, found.cause)


def test_totals_without_the_residual_are_no_reason_to_say_nothing():
    """What is named from codes alone is named from totals too; a right design with such totals has its sentence."""
    dump = FAULTS["residual_behind_total"].stages(CASE)
    codes = exact(diagnose(CASE, "code", dump["code"]))
    assert "residual_after_clip" in codes
    assert "residual_after_clip_outside_total" in exact(diagnose(CASE, None, dump))
    right = recompute(machine_of(CASE), STAGES)
    product = (right["accumulator"] * CASE.layer.requantize.multiplier).astype(np.int64)
    found = diagnose(CASE, None, {**right, "total": product})
    assert "residual_outside_total" in exact(found)
    assert "residual_outside_total" not in exact(diagnose(CASE, None, dump))


def test_a_finer_residual_is_floored_behind_the_clip():
    """By plain integers: the clipped code and the residual shifted to its unit."""
    case = conv_case(4, count=2, size=(8, 7), inputs=6, outputs=6, residual=True, shift=14, finer=2)
    step = case.layer.requantize
    right = recompute(machine_of(case), STAGES)
    product = right["accumulator"] * step.multiplier
    branch = ((product + (1 << step.shift >> 1)) >> step.shift).clip(step.lo, step.hi)
    aligned = case.residual.astype(np.int64) << step.residual_shift if (step.residual_shift >= 0).all() else None
    codes = (branch + (aligned >> step.shift)).clip(step.lo, step.hi)
    found = diagnose(case, None, {"accumulator": right["accumulator"], "total": product, "code": codes})
    assert "residual_floored_after_clip_outside_total" in exact(found)
