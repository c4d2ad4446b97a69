"""Calls of the command line, for tests: what a verb did, and how it must refuse bad input."""

import json
import re
from dataclasses import dataclass

from click.testing import CliRunner

from refengine.cli.main import verbs


@dataclass
class Outcome:
    """What a verb did: exit code, and what it printed where.

    err is without the lines of progress, whose number is up to the speed of the machine.
    """

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def refengine(*arguments):
    """Run a verb in this process; anything but a clean end is an error of the test."""
    return outcome_of(verbs, *arguments)


def outcome_of(command, *arguments):
    """Run a click command in this process; anything but a clean end is an error of the test."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], prog_name="refengine")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(
        result.exit_code, result.stdout, re.sub(r"^(?!refengine)[\w-]+: \d+ of \d+.*\n", "", result.stderr, flags=re.M)
    )


def refusal(*arguments):
    """The one line with which a verb refuses bad input."""
    return refusal_of(verbs, *arguments)


def refusal_of(command, *arguments):
    """The one line with which a click command refuses bad input."""
    outcome = outcome_of(command, *arguments)
    assert (outcome.code, outcome.out) == (2, ""), outcome
    line = outcome.err
    assert line.startswith("refengine: error: ")
    assert line.count("\n") == 1
    return line


def damaged(path):
    """Ways to spoil a file: (name, content)."""
    good = path.read_bytes()
    yield "empty", b""
    yield "text", b"this is no HDF5 file\n" * 50
    yield "truncated", good[: len(good) // 2]
    yield "header only", good[:100]
    yield "zeros", good[:2048] + bytes(len(good) - 2048)


def assert_damage_is_refused(path, *arguments):
    """However ``path`` is damaged, the verb refuses it in one line that names it, and writes nothing."""
    before = {entry.name for entry in path.parent.iterdir()}
    for name, content in damaged(path):
        path.write_bytes(content)
        assert path.name in refusal(*arguments), name
        assert {entry.name for entry in path.parent.iterdir()} == before, name
    path.unlink()
    assert "No such file" in refusal(*arguments)
    path.mkdir()
    assert "is a folder" in refusal(*arguments)
