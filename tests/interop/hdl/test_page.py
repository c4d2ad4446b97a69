"""docs/testbench.md holds: its commands run in order, and it shows what they print."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from verbs import refengine

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "testbench.md").read_text(encoding="utf-8")
LESS_WORK = {"quantize": ["--calibration-images", "20", "--method", "paper"]}
MISSING = [program for program in ("make", "iverilog", "vvp") if shutil.which(program) is None]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands():
    return [line[2:] for block in blocks("console") for line in block.splitlines()]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """[(command, exit code, what it printed)] of every command of the page, run in order in one folder."""
    folder, outcomes = tmp_path_factory.mktemp("page"), []
    (folder / "weights").symlink_to(ROOT / "weights", target_is_directory=True)
    (folder / "bin").mkdir()
    program = folder / "bin" / "refengine"  # which the Makefile calls
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m refengine "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in commands():
            verb, *arguments = shlex.split(line)
            if verb == "refengine":
                outcome = refengine(*arguments, *LESS_WORK.get(arguments[0], []))
                outcomes.append((line, outcome.code, outcome.out + outcome.err))
            else:
                done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=600, env=environment)
                outcomes.append((line, done.returncode, done.stdout + done.stderr))
    return outcomes


def test_every_command_runs_and_the_second_make_is_the_one_that_fails(page):
    assert [bool(code) for line, code, _ in page if line.startswith("make")] == [False, True]
    assert not [line for line, code, _ in page if code and not line.startswith("make")], page
    assert len(page) == len(commands()) == 7


def test_the_page_shows_what_is_printed(page):
    """Figures left out: they depend on how many images there were to calibrate on."""

    def masked(text):
        return re.sub(r"[01]{4}_[01]{4}|0x[0-9a-f]+|-?[\d,]*\d", "#", text)

    printed = masked("\n".join(said for *_, said in page))
    for line in "\n".join(blocks("text")).splitlines():
        assert masked(line) in printed, line
