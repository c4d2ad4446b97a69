"""Releases, matrix and hooks say the same wherever they are written."""

import ast
import configparser
import re
from pathlib import Path

from skipped import skipped

import refengine

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")


def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def constants(path):
    """Constants that a Python file assigns literally."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
    }


def test_the_local_matrix_is_that_of_the_workflow():
    nox = constants(ROOT / "docs" / "noxfile.py")
    newest = re.search(r"python: \[(.*)\]", WORKFLOW)[1]
    assert tuple(re.findall(r"[\d.]+", newest)) == nox["NEWEST_ON"]
    assert tuple(re.findall(r'- python: "([\d.]+)"\n +packages: oldest', WORKFLOW)) == nox["OLDEST_ON"]


def test_the_matrix_has_every_supported_python():
    supported = re.findall(r"Python :: (3\.\d+)", setup()["metadata"]["classifiers"])
    assert set(supported) <= set(constants(ROOT / "docs" / "noxfile.py")["NEWEST_ON"])


def test_the_oldest_packages_are_the_lower_ends_of_the_installation():
    needed = dict(re.findall(r"^(\w+) >= ([\d.]+)$", setup()["options"]["install_requires"], re.MULTILINE))
    oldest = (ROOT / ".github" / "oldest.txt").read_text(encoding="utf-8")
    assert dict(re.findall(r"^(\w+) == ([\d.]+)\.\*$", oldest, re.MULTILINE)) == needed


def test_the_hooks_fetch_nothing():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert set(re.findall(r"language: (\S+)", hooks)) == {"system"}


def test_the_citation_names_the_version():
    citation = (ROOT / "docs" / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == refengine.__version__


def test_the_changelog_begins_with_the_version_and_its_contract():
    heading = re.search(r"^## (\S+), contract (\d+)", CHANGELOG, re.MULTILINE)
    assert heading.groups() == (refengine.__version__, str(refengine.CONTRACT))


def test_every_line_of_the_changelog_says_whether_numbers_change():
    lines = re.findall(r"^- .*", CHANGELOG, re.MULTILINE)
    assert lines
    flags = re.compile(r"- numbers: (yes|no)(, models: (yes|no) \(\d{4}-\d\d-\d\d\))?\. ")
    assert [line for line in lines if not flags.match(line)] == []


def test_what_a_run_skipped_is_listed_for_the_next(tmp_path):
    """A file that could not be imported, functions of which a parameter was skipped; nothing that was run."""
    results = tmp_path / "results.xml"
    results.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="" name="tests.interop.test_a"><skipped message="collection skipped"/></testcase>'
        '<testcase classname="tests.test_b" name="test_p[x/y]"><skipped/></testcase>'
        '<testcase classname="tests.test_b" name="test_p[2]"><skipped/></testcase>'
        '<testcase classname="tests.test_b" name="test_ok"/>'
        "</testsuite></testsuites>"
    )
    assert skipped(results) == ["tests/interop/test_a.py", "tests/test_b.py::test_p"]
