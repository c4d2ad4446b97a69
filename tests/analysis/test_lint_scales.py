"""Scales, exponents and multipliers that lose what they should carry."""

import numpy as np
import pytest
from lint_networks import BROKEN, ZEROED, conv_with, rules_of

from refengine.analysis.lint import lint


@pytest.mark.parametrize(
    ("rule", "layer", "channels", "detail"),
    [
        ("zero-scales", "002_fc", (0,), "1 of 4 clusters have codes and the scale 0"),
        ("zero-clusters", "002_fc", (0,), "1 of 4 clusters (25 %) have no code"),
        ("absurd-exponent", "001_conv", (0,), "weight exponents 40"),
        ("coarse-multiplier", "001_conv", (1,), "multipliers of 2 bits beside 8"),
        ("scaled-int8", "002_fc", (0,), "1 clusters with scales 1..2"),
    ],
)
def test_a_rule_finds_its_planted_defect(rule, layer, channels, detail):
    finding = lint(BROKEN[rule])[0]
    assert (finding.layer, finding.channels) == (layer, channels)
    assert detail in finding.detail


def test_a_dead_channel_has_no_coarse_multiplier():
    """What it would be multiplied by does not matter."""
    weights = conv_with({"weight": ZEROED}, {"multiplier": np.array([200, 3]), "shift": np.array([8, 2])})
    assert rules_of(weights) == ["zero-weights"]
