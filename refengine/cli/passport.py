"""``refengine passport``: one digest of what this machine computes, by every way that it has."""

from __future__ import annotations

import click

from ..runs.predict import BACKENDS
from . import console, options


@click.command("passport")
@click.option(
    "--backend",
    "backends",
    type=click.Choice(BACKENDS),
    multiple=True,
    help="Only this one.  [repeat; default: all]",
)
@options.json_file
def command(backends: tuple[str, ...], json_path: str | None) -> None:
    """Compute small networks in every way that this machine has, and check their digest.

    The networks have every operator, rounding, format and accumulator policy, static and dynamic exponents.  The ways
    are the backends, each instruction set of the fast plan that the processor has, threads and batches.  Exit code 0:
    all digests are the stored one; 1: one is not, and the integers of this machine are not to be trusted.
    """
    from ..conform.passport import DIGEST, machine, passport

    console.check_outputs([], json_path)
    with console.progress("passport") as show:
        lines = [*passport(backends or BACKENDS, show)]
    about = machine()
    agree = all(line.agrees for line in lines)
    rows = [{**vars(line), "agrees": line.agrees} for line in lines]
    figures = {"digest": DIGEST, "agree": agree, "machine": about, "lines": rows}
    if not console.write_json(json_path, "passport", figures, []):
        console.say(", ".join(f"{what} {value}" for what, value in about.items()))
        heads = ("backend", "instruction set", "threads", "batch>", "digest", "agrees")
        cells = [
            (
                line.backend,
                line.instruction_set or None,
                f"{line.threads} x {line.threads_within}",
                line.batch,
                line.digest[:16],
                "yes" if line.agrees else "NO",
            )
            for line in lines
        ]
        console.show_table(console.table(heads, cells))
        console.say(f"digest {DIGEST}: {sum(line.agrees for line in lines)} of {len(lines)} agree")
    if not agree:
        raise SystemExit(1)
