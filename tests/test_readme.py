"""The README holds: its commands run, its output is what they print, and its lists are complete."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
from verbs import refengine

from refengine.cli import demo

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LESS_WORK = {"demo": ["--images", "30"], "quantize": ["--calibration-images", "16"], "evaluate": ["--limit", "20"]}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands():
    """Every line of a console block that starts with a prompt."""
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """What each refengine command of the README printed, run in order in one folder, on fewer images."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "weights").symlink_to(ROOT / "weights", target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "CALIBRATION_IMAGES", 16)
        patch.chdir(folder)
        outcomes = {}
        for line in commands():
            for command in line.split("&&"):
                program, *arguments = shlex.split(command)
                if program == "refengine":
                    outcomes[command.strip()] = refengine(*arguments, *LESS_WORK.get(arguments[0], []))
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


def test_the_demo_prints_what_the_readme_shows(session):
    """Line for line, '...' aside; the figures depend on how many images there were."""
    (shown,) = blocks("text")
    printed = set(pattern(session["refengine demo"].out))
    missing = [line for line in pattern(shown) if line not in printed and line not in ("...", "")]
    assert missing == []
    assert shown.count("\n...\n") == 1


def test_the_two_commands_are_those_of_the_check_script():
    """.ci/run does what the README tells a newcomer to do."""
    steps = re.findall(r"^step '(.*?)'", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    first_block = blocks("console")[0]
    parts = [part.strip() for line in first_block.splitlines() for part in line.removeprefix("$ ").split("&&")]
    assert len(parts) == 4
    assert steps[:4] == parts


def test_every_dependency_is_explained():
    options = setup()
    needed = [line.split()[0] for line in options["options"]["install_requires"].split("\n") if line]
    table = re.findall(r"^\| `(\w+)` \| .", README, re.MULTILINE)
    assert set(needed) == set(table)
    optional = " ".join(options["options.extras_require"].values())
    assert all(word in README for word in re.findall(r"^\s*(\w+)", optional, re.MULTILINE))


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
