"""Each rule strikes at a network that is built to break exactly it, and small clean networks have no findings."""

import json

import networks
import numpy as np
import pytest
from hypothesis import given
from lint_networks import BROKEN, SMALL, joined

from refengine.analysis.lint import RULES, figures, lint
from refengine.analysis.lint_look import ERROR, SEVERITIES
from refengine.engine.run import run


@pytest.mark.parametrize("rule", BROKEN)
def test_a_network_that_breaks_exactly_one_rule(rule):
    (finding,) = lint(BROKEN[rule])
    line = next(line for line in RULES if line.name == rule)
    assert (finding.rule, finding.severity) == (rule, line.severity)
    assert (finding.meaning, finding.advice) == (line.meaning, line.advice)


def test_every_rule_is_broken_by_a_network_and_explains_itself():
    assert [rule.name for rule in RULES] == [*BROKEN]
    for rule in RULES:
        assert rule.severity in SEVERITIES
        assert rule.meaning.endswith(".")
        assert rule.advice.endswith(".")


@pytest.mark.parametrize("network", [SMALL, joined("add"), joined("residual")], ids=["small", "add", "residual"])
def test_a_clean_network_has_no_findings(network):
    assert lint(network) == ()


@given(networks.int_networks())
def test_what_is_called_constant_is_constant(network):
    """Every claim about all images holds for random ones; and any network can be looked at."""
    findings = lint(network)
    claims = {"zero-multiplier", "constant-output", "always-saturates"}
    images = np.concatenate([networks.random_images(network, 4), np.zeros((1, *network.input_shape), np.uint8)])
    results, operands_of = {}, {}

    def observe(layer, operands, result):
        results[layer.name], operands_of[layer.name] = result, operands[0]

    run(network, images, "reference", observe)
    may_leave = {finding.layer for finding in findings if finding.rule in ("can-wrap", "can-clip")}
    assert {name for name, result in results.items() if result.overflowed} <= may_leave
    for finding in findings:
        json.dumps(figures(finding))
        assert all(0 <= channel < finding.of for channel in finding.channels)
        if finding.rule in claims and network.layer(finding.layer).residual is None:
            codes = results[finding.layer].result.reshape(-1, finding.of)[:, list(finding.channels)]
            assert (codes == codes[0]).all()
        if finding.rule == "unused-codes":
            lo, hi = (int(end) for end in finding.detail.split(" ")[1].split(".."))
            assert lo <= results[finding.layer].result.min() <= results[finding.layer].result.max() <= hi
        if finding.rule == "dead-inputs":
            assert not operands_of[finding.layer][..., list(finding.channels)].any()
        if finding.rule == "class-never-wins":
            logits = results[finding.layer].result.reshape(len(images), -1)
            assert not {*logits.argmax(axis=1).tolist()} & {*finding.channels}


def test_errors_come_from_numbers_that_nobody_wants():
    found = [finding for network in BROKEN.values() for finding in lint(network)]
    assert {finding.rule for finding in found if finding.severity == ERROR} == {"always-saturates"}
