"""The residual: what is added in its place is found again, with its numbers, and only where it can have been."""

from dataclasses import replace

import numpy as np
import pytest
from golden_cases import conv_case

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import kind
from refengine.golden.diagnose.machine import machine_of, recompute

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
