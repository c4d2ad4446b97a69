"""``refengine conform``: cases for other implementations of the contract, and a verdict on what these wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import console, options

if TYPE_CHECKING:
    from ..conform.verify import Verdict

_LEVEL = click.option(
    "--level",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="1: each choice once; 2: what is drawn is drawn eight times as often.",
)
_MISSING = 12


@click.group("conform")
def command() -> None:
    """Check whether another implementation of the contract computes its integers.

    'generate' writes cases: inputs, constants, and what must come out, chosen by the clauses of the contract; and model
    files that must be accepted or refused.  An implementation computes them and writes its own results, which 'verify'
    judges.  'coverage' counts cases by clause.  docs/conformance.md describes the files.  Each writes its figures with
    --json FILE.
    """


@command.command("generate")
@click.option("-o", "output", required=True, metavar="DIR", help="A folder that is new or empty.")
@_LEVEL
@options.json_file
def generate(output: str, level: int, json_path: str | None) -> None:
    """Write the cases of a level; every machine writes the same."""
    from ..conform.folder import write_suite

    console.check_outputs([], json_path)
    with console.progress("conform") as show:
        counted = write_suite(output, level, show)
    figures = {"output": output, "level": level, **counted}
    if not console.write_json(json_path, "conform generate", figures, []):
        console.say(f"{output}: level {level}, {counted['cases']:,} cases, {counted['bytes']:,} bytes")
        console.say(f"model files: {counted['accepted']} must be accepted, {counted['refused']} refused")


@command.command("verify")
@click.argument("suite", metavar="DIR")
@click.argument("results", metavar="RESULTS")
@click.option(
    "--show", "shown", type=options.NATURAL, default=10, show_default=True, metavar="N", help="How many failures."
)
@options.json_file
def verify(suite: str, results: str, shown: int, json_path: str | None) -> None:
    """Judge the results that an implementation wrote for the cases in DIR.

    Exit code 0: EQUAL, every result is the contract's; 1: DIFFERENT, some are not, or INCOMPLETE, some are missing.
    """
    from ..conform.folder import read_suite
    from ..conform.verify import EQUAL
    from ..conform.verify import verify as judge

    console.check_outputs([], json_path)
    found = judge(read_suite(suite), results)
    figures = {
        "verdict": found.verdict,
        "groups": [vars(group) for group in found.groups],
        "failures": [vars(failure) for failure in found.failures],
        "clauses": {clause: {"failed": failed, "judged": judged} for clause, (failed, judged) in found.clauses.items()},
        "missing": list(found.missing),
        "unread": list(found.unread),
    }
    if not console.write_json(json_path, "conform verify", figures, []):
        _print(found, shown)
    if found.verdict != EQUAL:
        raise SystemExit(1)


def _print(found: Verdict, shown: int) -> None:
    heads = ("group", "cases>", "passed>", "failed>", "missing>", "skipped>")
    console.show_table(console.table(heads, [tuple(vars(group).values()) for group in found.groups]))
    for failure in found.failures[:shown]:
        console.say(f"{failure.case} ({', '.join(failure.clauses)}: {failure.why})")
        console.say(f"  {failure.said}")
    if len(found.failures) > shown:
        console.say(f"and {len(found.failures) - shown} more")
    if found.clauses:
        rows = [f"{clause} {failed} of {judged}" for clause, (failed, judged) in found.clauses.items()]
        console.say(f"failed by clause: {', '.join(rows)}")
    if found.missing:
        named = ", ".join(found.missing[:_MISSING]) + (", ..." if len(found.missing) > _MISSING else "")
        console.say(f"no results of {len(found.missing)} cases: {named}")
    if found.unread:
        console.say(f"not read, as they are no results of a group: {', '.join(found.unread)}")
    if not any(group.passed or group.failed for group in found.groups):
        console.say("no case was judged: nothing was tested")
    console.say(found.verdict)


@command.command("coverage")
@click.argument("suite", metavar="[DIR]", required=False)
@_LEVEL
@options.json_file
def coverage(suite: str | None, level: int, json_path: str | None) -> None:
    """Print how many cases judge each clause of the contract: those in DIR, or those that 'generate' would write."""
    from ..conform.clauses import WITHOUT_CASES, counts
    from ..conform.file_cases import file_cases
    from ..conform.folder import clauses_of, read_suite
    from ..conform.suite import cases

    console.check_outputs([], json_path)
    if suite is None:
        judged = [case.clauses for members in cases(level).values() for case in members]
        counted = counts(judged + [model.clauses for model in file_cases()])
    else:
        counted = counts(clauses_of(read_suite(suite)))
    if not console.write_json(json_path, "conform coverage", {"clauses": counted, "without": dict(WITHOUT_CASES)}, []):
        rows = [(clause, count, WITHOUT_CASES.get(clause)) for clause, count in counted.items()]
        console.show_table(console.table(("clause", "cases>", "none, as it"), rows))
