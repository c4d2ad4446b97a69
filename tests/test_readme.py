"""The README holds: its commands run, its output is what they print, and its lists are complete."""

import configparser
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from verbs import refengine

from refengine.cli import demo
from refengine.optional import installed

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NEEDS_ONNX = {"export", "convert", "crosscheck"}
LESS_WORK = {
    "demo": ["--images", "30"],
    "quantize": ["--calibration-images", "16", "--method", "paper"],
    "evaluate": ["--limit", "20"],
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands(block):
    """What a console block's lines with a prompt call."""
    lines = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return [command.strip() for line in lines for command in line.split("&&")]


def shown():
    """What the README says that a console block prints: pairs of the block and the text that follows it."""
    return re.findall(r"^```console\n([^`]*)^```$[^`]*?^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """What each refengine command of the README printed, run in order in one folder, on fewer images.

    Without onnx the shipped network stands for the one that would have been converted.
    """
    folder = tmp_path_factory.mktemp("readme")
    (folder / "weights").symlink_to(ROOT / "weights", target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "CALIBRATION_IMAGES", 16)
        patch.setattr(demo, "SCHEME", replace(demo.SCHEME, method="paper"))
        patch.chdir(folder)
        onnx = installed("onnx") and installed("onnxruntime")
        if not onnx:
            shutil.copy("weights/resnet20-fashion.h5", "net.h5")
        outcomes = {}
        for command in (command for block in blocks("console") for command in commands(block)):
            program, *arguments = shlex.split(command)
            if program == "refengine" and (onnx or arguments[0] not in NEEDS_ONNX):
                outcomes[command] = refengine(*arguments, *LESS_WORK.get(arguments[0], []))
    return outcomes


def test_every_command_runs(session):
    assert len(session) > 5
    assert {command: outcome.code for command, outcome in session.items()} == dict.fromkeys(session, 0)


def pattern(text):
    """The lines of a text, figures and widths left out."""
    for line in text.splitlines():
        line = re.sub(r"[0-9a-f]{64}", "HASH", line)
        line = re.sub(r"-?\d+(\.\d+)?(\.\.\d+)?", "#", line)
        yield re.sub(r" +", " ", line.strip())


def test_what_the_readme_shows_is_printed(session):
    """Line for line, '...' aside; the figures depend on how many images there were."""
    pages = shown()
    assert len(pages) == len(blocks("text")) == 2
    for block, text in pages:
        if {"convert", "crosscheck"} & {*block.split()} and not installed("onnx"):
            continue
        printed = {line for command in commands(block) if command in session for line in pattern(session[command].out)}
        assert [line for line in pattern(text) if line not in printed and line not in ("...", "")] == []
    assert pages[0][1].count("\n...\n") == 1


def test_the_two_commands_are_those_of_the_check_script():
    """.ci/run does what the README tells a newcomer to do."""
    steps = re.findall(r"^step '(.*?)'", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    first_block = blocks("console")[0]
    parts = [part.strip() for line in first_block.splitlines() for part in line.removeprefix("$ ").split("&&")]
    assert len(parts) == 4
    assert steps[:4] == parts


def test_every_dependency_is_explained():
    options, page = setup(), (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    needed = [line.split()[0] for line in options["options"]["install_requires"].split("\n") if line]
    table = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE)
    assert needed == table
    extras = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE))
    wanted = {
        name: re.findall(r"^\s*([\w-]+)", text, re.MULTILINE)
        for name, text in options["options.extras_require"].items()
    }
    assert {name: text.strip().split(", ") for name, text in extras.items()} == wanted


def test_the_map_has_every_room_in_order_of_floors():
    rooms = re.findall(r"^\| `refengine/(\w+)` \|", README, re.MULTILINE)
    folders = {path.parent.name for path in (ROOT / "refengine").glob("*/__init__.py")}
    assert set(rooms) == folders
    docstring = (ROOT / "refengine" / "__init__.py").read_text(encoding="utf-8")
    assert rooms == [room for room in re.findall(r"^    (\w+) +\S", docstring, re.MULTILINE) if room in folders]


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_supported_versions_of_python_are_those_of_setup_cfg():
    classified = re.findall(r"Python :: 3\.(\d+)", setup()["metadata"]["classifiers"])
    first, last = re.search(r"Python 3\.(\d+) to 3\.(\d+)", README).groups()
    assert (classified[0], classified[-1]) == (first, last)
    assert setup()["options"]["python_requires"] == f">=3.{first}"


def test_it_is_short():
    assert len(README.splitlines()) <= 150
