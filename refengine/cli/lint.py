"""``refengine lint``: what is suspicious about an integer network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..network.int_file import read_int_network
from . import console, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..analysis.lint import Finding

SHOWN = 6  # channels that are named


@click.command("lint")
@click.argument("model", metavar="MODEL.h5")
@click.option("--strict", is_flag=True, help="Exit with 1 if there is an error or a warning.")
@options.json_file
@click.pass_context
def command(ctx: click.Context, model: str, strict: bool, json_path: str | None) -> None:
    """Check an integer network for defects such as dead channels.

    The network is not run.  Findings are dead and constant channels, channels that can only saturate, lost precision,
    accumulators that may overflow, and codes that no image can reach.  "Dead" or "constant" holds for every image;
    "may overflow" means that the bounds do not exclude it.
    """
    from ..analysis.lint import figures as of
    from ..analysis.lint import lint
    from ..analysis.lint_look import ERROR, SEVERITIES, WARNING

    console.check_outputs([model], json_path)
    network = read_int_network(model)
    findings = lint(network)
    counts = {severity: sum(found.severity == severity for found in findings) for severity in SEVERITIES}
    figures = {"model_hash": network.hash, **counts, "findings": [of(found) for found in findings]}
    if not console.write_json(json_path, "lint", figures, [model]):
        console.say(f"model {network.hash}, contract {network.contract}")
        _print(findings)
        console.say(", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items()))
    if strict and counts[ERROR] + counts[WARNING]:
        ctx.exit(1)


def _print(findings: Sequence[Finding]) -> None:
    rows = [[found.severity, found.layer, found.rule, _channels(found), found.detail] for found in findings]
    if not rows:
        return
    console.show_table(console.table(("severity", "layer", "rule", "channels", "what"), rows))
    console.say()
    for name, meaning, advice in dict.fromkeys((found.rule, found.meaning, found.advice) for found in findings):
        console.say(f"{name}: {meaning} {advice}")
    console.say()


def _channels(found: Finding) -> str:
    if not found.channels:
        return ""
    named = ", ".join(str(channel) for channel in found.channels[:SHOWN])
    return f"{len(found.channels)} of {found.of}: {named}" + (", ..." if len(found.channels) > SHOWN else "")
