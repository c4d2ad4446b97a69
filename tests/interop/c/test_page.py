"""docs/c_model.md holds: its commands run, its program compiles, and it shows what they print."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from c_models import missing
from verbs import refengine

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "c_model.md").read_text(encoding="utf-8")
LESS_WORK = {"quantize": ["--calibration-images", "20", "--method", "paper"]}
NEEDED = ("cc", "verilator", "make", "g++")
WRONG = "objects/sim +bug=1"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing(*NEEDED)), reason=missing(*NEEDED))]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Folder in which every command of the page was run in order, and {command: (exit code, what it printed)}."""
    folder, outcomes = tmp_path_factory.mktemp("page"), {}
    for name in ("weights", "tests"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    (program,) = blocks("c")
    (folder / "main.c").write_text(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in [line[2:] for block in blocks("console") for line in block.splitlines()]:
            program, *arguments = shlex.split(line)
            if program == "refengine":
                outcome = refengine(*arguments, *LESS_WORK.get(arguments[0], []))
                outcomes[line] = outcome.code, outcome.out + outcome.err
            else:
                done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=600)
                outcomes[line] = done.returncode, done.stdout + done.stderr
    return folder, outcomes


def test_every_command_of_the_page_runs_and_the_bug_is_the_one_that_fails(page):
    codes = {line: code for line, (code, _) in page[1].items()}
    assert {line for line, code in codes.items() if code} == {WRONG}, page[1]
    assert len(codes) == 11


def test_the_page_shows_what_is_printed(page):
    """Figures left out: they depend on how many images there were to calibrate on."""

    def masked(text):
        return re.sub(r"[0-9a-f]{64}|-?[\d,]*\d", "#", text)

    printed = masked("\n".join(said for _, said in page[1].values()))
    for line in "\n".join(blocks("text")).splitlines():
        assert masked(line) in printed, line


def test_the_scoreboard_of_the_page_is_legal(page):
    (code,) = blocks("systemverilog")
    (page[0] / "scoreboard.sv").write_text(f"{code}\nmodule top;\n  golden_scoreboard board = new(3);\nendmodule\n")
    command = ["verilator", "--lint-only", "--top", "top", "-Wno-TIMESCALEMOD", "model_pkg.sv", "scoreboard.sv"]
    done = subprocess.run(command, cwd=page[0], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
