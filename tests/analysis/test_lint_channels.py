"""Channels that carry nothing: found once, where it begins."""

import networks
import numpy as np
import pytest
from lint_networks import BROKEN, conv_with, dead, rules_of

from refengine.analysis.lint import lint
from refengine.numbers.formats import signed_bits


@pytest.mark.parametrize(
    ("rule", "layer", "channels", "detail"),
    [
        ("zero-weights", "001_conv", (1,), "no weight is left, the bias comes out; 1 of them is constant"),
        ("zero-multiplier", "002_conv", (0,), "multiplier 0"),
        ("constant-output", "001_conv", (0,), "always 20"),
        ("always-saturates", "001_conv", (1,), "rounded values are 48725..50638 for every image"),
        ("dead-inputs", "001_conv", (1,), "these channels of the input are always 0: 50 % of the work adds nothing"),
    ],
)
def test_a_rule_finds_its_planted_defect(rule, layer, channels, detail):
    finding = lint(BROKEN[rule])[0]
    assert (finding.layer, finding.channels) == (layer, channels)
    assert detail in finding.detail


@pytest.mark.parametrize(("activation", "rule"), [("none", "always-saturates"), ("clip", "constant-output")])
def test_what_an_activation_cuts_is_no_saturation(activation, rule):
    """A ReLU6 that is always exceeded is a constant; beyond the format it is a saturation."""
    lo = -128 if activation == "none" else 0
    network = conv_with({"bias": np.array([10, 10**5], np.int32)}, {"activation": activation, "lo": lo})
    assert rules_of(network) == [rule]


def test_a_constant_channel_is_found_where_it_becomes_constant():
    """Pools and additions behind it do not report it again."""
    network = networks.every_op()
    found = [finding for finding in lint(network) if finding.rule == "constant-output"]
    assert not [finding for finding in found if network.layer(finding.layer).op in ("avgpool", "global_avgpool")]


def test_a_dead_channel_is_one_finding_a_layer():
    """Neither its bias, its unit nor its scales are found again, nor that the next layer reads zeros in vain."""
    found = [(finding.layer, finding.rule, finding.channels) for finding in lint(dead())]
    assert found == [
        ("001_conv", "constant-output", (1,)),
        ("002_conv", "zero-weights", (1,)),
        ("003_fc", "dead-inputs", (1,)),
    ]


def test_a_constant_channel_says_that_it_widens_the_accumulator():
    network = dead()
    for finding in lint(network)[:2]:
        lo, hi = network.bounds[finding.layer]
        bits = signed_bits(int(lo[0]), int(hi[0]))
        assert finding.detail.endswith(f"; sums of 32 bits, where {bits} hold all that are not constant")
        assert "any bias that makes the same code" in finding.advice
