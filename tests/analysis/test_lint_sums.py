"""Biases, operands and accumulators: what does not fit, and what only may not."""

import networks
import pytest
from lint_networks import BROKEN, SMALL, conv_with, fc_with, joined, rules_of

from refengine.analysis.lint import lint
from refengine.numbers.formats import UINT8


@pytest.mark.parametrize(
    ("rule", "layer", "channels", "detail"),
    [
        ("bias-at-the-edge", "002_fc", (0, 1), "biases of 1073741824"),
        ("operands-far-apart", "002_add", (), "of 001_conv the lowest 4 bits lie below the result's unit"),
        (
            "overweight-operand",
            "002_add",
            (),
            "one code of 000_input is worth 2^6 of the result's: codes above 2 saturate",
        ),
        ("can-wrap", "002_fc", (0,), "finished sums may need 17 bits, the accumulator has 16"),
        ("can-clip", "002_fc", (0,), "finished sums may need 17 bits, partial ones 17, the accumulator has 16"),
    ],
)
def test_a_rule_finds_its_planted_defect(rule, layer, channels, detail):
    finding = lint(BROKEN[rule])[0]
    assert (finding.layer, finding.channels) == (layer, channels)
    assert detail in finding.detail


def test_a_residual_is_looked_at_as_an_operand_is():
    assert rules_of(joined("residual", exponent=5)) == ["operands-far-apart"]
    assert "overweight-operand" in rules_of(joined("residual", input_exponent=6))


@pytest.mark.parametrize(("policy", "rules"), [("wrap", []), ("saturate", ["can-clip"])])
def test_partial_sums_alone_that_are_too_wide(policy, rules):
    """127 * 200 * 2 needs 17 bits, and 16 with the bias of -25000: what wraps on the way wraps back (contract A3)."""
    step = {"format": UINT8, "activation": "clip", "lo": 0, "hi": 200}
    conv = conv_with(requantize=step).layer("conv")
    fc = fc_with(((127, 127), (1, 1)), bias=(-25000, 0), accumulator_bits=16, accumulator_policy=policy).layer("fc")
    network = networks.small(layers=(SMALL.layers[0], conv, fc))
    assert rules_of(network) == rules
    if rules:
        (finding,) = lint(network)
        assert finding.channels == (0,)
        assert finding.detail == "finished sums may need 16 bits, partial ones 17, the accumulator has 16"
