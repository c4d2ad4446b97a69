"""Codes, logits and pixels that cannot be what they are meant to be."""

import networks
import numpy as np
import pytest
from lint_networks import BROKEN, SMALL, rules_of

from refengine.analysis.lint import lint
from refengine.network.int_network import IntLayer, IntNetwork


@pytest.mark.parametrize(
    ("rule", "layer", "channels", "detail"),
    [
        ("unused-codes", "001_conv", (), "bits are never used"),
        ("class-never-wins", "002_fc", (1,), "which another class always reaches"),
        ("equal-classes", "002_fc", (1,), "those of a class before"),
        ("coded-logits", "002_fc", (), "the logits are int8 codes"),
        ("clipped-pixels", "000_input", (0,), "biases from -2560 on under codes from 0 on"),
        ("unit-of-logits", "002_fc", (), "exponent -5, a step of the sums is worth 2^-6"),
    ],
)
def test_a_rule_finds_its_planted_defect(rule, layer, channels, detail):
    finding = lint(BROKEN[rule])[0]
    assert (finding.layer, finding.channels) == (layer, channels)
    assert detail in finding.detail


@pytest.mark.parametrize(("joined_with", "needle"), [(False, "A smaller exponent"), (True, "that of the others")])
def test_an_exponent_that_others_share_is_not_to_be_changed(joined_with, needle):
    """Behind a flattening, too, codes are joined with those of another layer."""
    image, conv, fc = BROKEN["unused-codes"].layers
    assert "A smaller exponent" in lint(BROKEN["unused-codes"])[0].advice
    twin = IntLayer(**{**vars(conv), "name": "002_conv"})
    flat = IntLayer("003_flatten", "flatten", ("001_conv",), conv.exponent)
    inputs = ("001_conv", "002_conv") if joined_with else ("001_conv",)
    join = IntLayer("004_concat", "concat", inputs, conv.exponent)
    width = 2 * len(inputs)
    constants = {
        "weight": np.ones((2, width), np.int8) * 3,
        "scale": np.ones((2, 1), np.int8),
        "bias": np.arange(2, dtype=np.int32),
    }
    last = {
        **vars(fc),
        "name": "005_fc",
        "inputs": ("004_concat",),
        "constants": constants,
        "attributes": {"cluster": width},
    }
    network = networks.small(layers=(image, conv, twin, flat, join, IntLayer(**last)))
    finding = next(finding for finding in lint(network) if finding.rule == "unused-codes")
    assert needle in finding.advice


def test_one_layer_networks_can_be_looked_at():
    """The input alone, whose codes are the logits."""
    image = SMALL.layers[0]
    network = IntNetwork("one", (1, 1, 1), 1, "gray", (image,))
    assert rules_of(network) == ["coded-logits"]
