"""docs/reading.md is true: files and names exist, no file stands in a walk twice, each follows from an earlier one."""

import ast
import re
from pathlib import Path

import pytest
from test_floor_plan import MODULES, module_of, own_imports_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(refengine/\S+\.py)` \| (.*?) \|", re.MULTILINE)
WALKS = {
    title: ROW.findall(text) for title, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.S)
}


def names_of(path):
    """Functions, classes and constants at the top of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def imported_by(path):
    """Files of refengine that a file imports."""
    return {MODULES[module] for module, _ in own_imports_of(path) if module in MODULES}


def test_there_are_three_short_walks():
    assert len(WALKS) == 3
    assert all(10 < len(rows) <= 15 for rows in WALKS.values())
    assert PAGE.count("| `refengine/") == sum(map(len, WALKS.values()))


@pytest.mark.parametrize("walk", WALKS)
def test_no_file_stands_in_a_walk_twice(walk):
    files = [file for file, _ in WALKS[walk]]
    assert len({*files}) == len(files)


@pytest.mark.parametrize("walk", WALKS)
def test_the_files_have_what_is_to_be_read(walk):
    for file, names in WALKS[walk]:
        assert {*re.findall(r"`(\w+)`", names)} <= {*names_of(ROOT / file)}, file


@pytest.mark.parametrize("walk", WALKS)
def test_each_file_is_imported_by_an_earlier_one_or_imports_it(walk):
    """The first file that does not follow from what was read before would send a reader to search."""
    paths = [ROOT / file for file, _ in WALKS[walk]]
    assert all(module_of(path) in MODULES for path in paths)
    for number, path in enumerate(paths[1:], 1):
        earlier = paths[:number]
        assert imported_by(path) & {*earlier} or any(path in imported_by(other) for other in earlier), path
