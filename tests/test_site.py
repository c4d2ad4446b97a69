"""The site: built without a warning, searchable, every clause a target, and nothing of this machine in it."""

import doctest
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from refengine.optional import installed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NEEDED = ("sphinx", "myst_nb", "furo")
needs_sphinx = pytest.mark.skipif(not all(map(installed, NEEDED)), reason='the site needs pip install ".[docs]"')
CONTRACT = (DOCS / "contract.md").read_text(encoding="utf-8")
CLAUSES = re.findall(r"^\*\*([A-Z][a-z_]*\d+)\*\*", CONTRACT, re.MULTILINE)


def module(name):
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, its notebooks not executed, which tests/test_notebooks.py does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-D", "nb_execution_mode=off"]
    done = subprocess.run([*command, str(DOCS), str(folder)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


def page(site, name):
    return (site / name).read_text(encoding="utf-8")


@needs_sphinx
def test_every_clause_is_a_link_target(site):
    text = page(site, "contract.html")
    assert len(CLAUSES) > 80
    assert [clause for clause in CLAUSES if f'id="{clause}"' not in text] == []


@needs_sphinx
@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("walkthrough.html", "Q5"),
        ("performance.html", "A2"),
        ("accuracy.html", "T6"),
        ("reference/refengine.numbers.html", "Q1"),
    ],
)
def test_citations_link_to_their_clauses(site, name, clause):
    up = "../" * name.count("/")
    assert re.search(rf'href="{re.escape(up)}contract.html#{clause}', page(site, name))


@needs_sphinx
def test_every_link_to_a_clause_leads_to_one(site):
    found = {
        clause
        for path in site.rglob("*.html")
        for clause in re.findall(r'contract\.html#([A-Z][a-z_]*\d+)"', path.read_text(encoding="utf-8"))
    }
    assert found
    assert found <= {*CLAUSES}


@needs_sphinx
def test_it_has_a_search_that_needs_no_network(site):
    assert "requantize" in page(site, "searchindex.js")
    assert (site / "search.html").exists()


@needs_sphinx
def test_every_public_function_and_every_module_is_there(site):
    assert all(f'id="refengine.{name}"' in page(site, "api.html") for name in ("load", "quantize", "run", "compare"))
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "refengine").rglob("*.py")
        if not path.stem.startswith("__")
    }
    text = "".join(path.read_text(encoding="utf-8") for path in (site / "reference").glob("*.html"))
    assert {name for name in modules if f'id="module-{name}"' not in text} == set()


@needs_sphinx
def test_no_page_knows_the_machine(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert str(ROOT) not in text, path.name
        assert str(Path.home()) + "/" not in text, path.name


@needs_sphinx
def test_nothing_is_written_beside_the_sources_but_what_git_ignores(site):
    done = subprocess.run(["git", "status", "--porcelain", "docs"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no git repository")
    assert "docs/reference" not in done.stdout


def test_the_docstrings_of_the_extension_hold():
    assert doctest.testmod(module("plain_docstrings")).failed == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a * b"], ["a \\* b", ""]),
        (["a ``*`` b_ |c|"], ["a ``*`` b\\_ \\|c\\|", ""]),
        (["text", "    2**n"], ["text", "", "::", "", "    2**n", ""]),
        (["    a", "", "    b"], ["::", "", "    a", "", "    b", ""]),
        (["* one", "two", "* three"], ["* one", "  two", "* three", ""]),
        ([">>> f(*a)", "1"], [">>> f(*a)", "1", ""]),
        (["    >>> f(*a)", "    1"], ["    >>> f(*a)", "    1", ""]),
    ],
)
def test_docstrings_become_markup(given, expected):
    assert module("plain_docstrings").marked_up(given) == expected
