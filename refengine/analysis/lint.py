"""What is suspicious about an integer network, found without running it: a table of rules.

A rule has a name, a severity, a sentence that says what it means, one that says what to do, and a function that looks
at one layer.  ``error``: what comes out is not what anybody wants.  ``warning``: accuracy or hardware is lost, and
somebody should have a look.  ``note``: worth knowing, and often meant.  What a channel can come to is an interval that
holds for every image (``reach``), so whatever is called constant or unused is so; what an interval allows may still
never happen, so of wrapping and clipping it is said that they are not excluded.  What follows from a finding is no
other one: of a constant channel neither its bias nor its scales are found again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..network.int_network import IntNetwork
from . import lint_channels, lint_output, lint_scales, lint_sums
from .intervals import reach
from .lint_look import Found, LintRule, Look

RULES = (*lint_channels.RULES, *lint_scales.RULES, *lint_sums.RULES, *lint_output.RULES)


@dataclass(frozen=True)
class Finding:
    """A rule that strikes: in which layer, in which of ``of`` channels (none: the layer as a whole).

    The channels are those of the layer's result; in ``dead-inputs`` those that come in.
    """

    rule: str
    severity: str
    layer: str
    channels: tuple[int, ...]
    of: int
    detail: str
    meaning: str
    advice: str


def lint(network: IntNetwork) -> tuple[Finding, ...]:
    """Every finding, layer by layer, in the order of the table of rules."""
    network.require_static("lint")
    reached = reach(network)
    findings = []
    for layer in network.layers:
        inputs = tuple(reached[name].result for name in layer.inputs)
        residual = None if layer.residual is None else reached[layer.residual].result
        look = Look(network, layer, reached[layer.name], inputs, residual)
        findings += [_finding(rule, look, found) for rule in RULES for found in rule.find(look)]
    return tuple(findings)


def _finding(rule: LintRule, look: Look, found: Found) -> Finding:
    of = look.network.shapes[look.layer.name][-1] if found.of is None else found.of
    advice = rule.advice if found.advice is None else found.advice
    return Finding(
        rule.name, rule.severity, look.layer.name, found.channels, of, found.detail, rule.meaning, advice
    )  # fmt: skip


def figures(finding: Finding) -> dict[str, Any]:
    """A finding in types that JSON knows."""
    return {**vars(finding), "channels": list(finding.channels)}
