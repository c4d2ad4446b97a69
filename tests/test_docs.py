"""The documents hold: their code runs and prints what they say, and every clause that the code cites exists."""

import doctest
import re
from pathlib import Path

import oracle
import pytest

from refengine.ops import OPS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md")) + [page for page in [ROOT / "README.md"] if page.exists()]
CONTRACT = ROOT / "docs" / "contract.md"
NO_OPERATORS = ("__init__", "interface", "window")
FENCE = re.compile(r"^```(\w*)$")


def python_of(text):
    """The text with everything blanked that is not in a ``python`` block, so that line numbers stay; and its blocks."""
    language, lines, blocks = None, [], []
    for line in text.splitlines():
        fence = FENCE.match(line.strip())
        if fence and language is None:
            language = fence[1]
            blocks.append([language])
        elif fence:
            language = None
        else:
            if language is not None:
                blocks[-1].append(line)
            lines.append(line if language == "python" else "")
            continue
        lines.append("")
    return "\n".join(lines) + "\n", blocks


OPERATORS = sorted(path.stem for path in (ROOT / "refengine" / "ops").glob("*.py") if path.stem not in NO_OPERATORS)


SLOW = ("README.md", "api.md", "conformance.md", "sweeps.md", "walkthrough.md")  # they take half a minute each


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow if page.name in SLOW else (), id=page.name) for page in PAGES],
)
def test_the_code_of_a_page_prints_what_the_page_says(page, monkeypatch):
    """Every ``python`` block, in order, in one session, from the root of the repository."""
    monkeypatch.chdir(ROOT)
    text, _ = python_of(page.read_text(encoding="utf-8"))
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(examples, out=report.append)
    assert not runner.failures, "".join(report)


def test_every_python_block_of_the_contract_is_executed():
    """A block without a prompt would be code that nobody runs."""
    text = CONTRACT.read_text(encoding="utf-8")
    _, blocks = python_of(text)
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "\n    " not in outside, "an indented block is code that nobody runs"
    assert {language for language, *_ in blocks} == {"python"}
    assert all(lines[0].startswith(">>> ") for _, *lines in blocks)


def clauses():
    """Ids of the contract's clauses, in order."""
    return re.findall(r"^\*\*([A-Z][a-z_]*\d+)\*\*", CONTRACT.read_text(encoding="utf-8"), re.MULTILINE)


def test_clauses_are_numbered_without_gaps():
    """Each section counts 1, 2, 3, ..."""
    numbers = {}
    for clause in clauses():
        section, number = re.fullmatch(r"(\D+)(\d+)", clause).groups()
        numbers.setdefault(section, []).append(int(number))
    assert {section: list(range(1, len(found) + 1)) for section, found in numbers.items()} == numbers


def cited(text):
    """Clause ids after the word contract: ``contract R1, R4``, ``contract R1-R5``, ``contract P``."""
    for citation in re.findall(r"contract ([A-Z]\d*\b(?:(?:, | and |-)[A-Z]\d*\b)*)", text):
        yield from re.findall(r"[A-Z]\d*", citation)


def test_every_cited_clause_exists():
    """A docstring must not send its reader to a clause that is not there."""
    known = {*clauses(), *(re.sub(r"\d", "", clause) for clause in clauses())}
    sources = [*(ROOT / "refengine").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    missing = {(path.name, clause) for path in sources for clause in cited(path.read_text()) if clause not in known}
    assert not missing


def test_every_cited_section_exists():
    """``contract, section Conv`` needs a heading Conv."""
    headings = set(re.findall(r"^## (\w+)", CONTRACT.read_text(encoding="utf-8"), re.MULTILINE))
    sources = (ROOT / "refengine").rglob("*.py")
    found = {name for path in sources for name in re.findall(r"contract, section (\w+)", path.read_text())}
    assert found <= headings


def test_the_table_of_contents_is_complete():
    """Every section is linked from the table at the top, and every link leads somewhere."""
    text = CONTRACT.read_text(encoding="utf-8")
    headings = [re.sub(r" ", "-", heading.lower()) for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)]
    assert re.findall(r"\]\(#([^)]+)\)", text) == headings


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_has_its_places(operator):
    """A section of the contract, a file of tests, a function of the oracle, an entry of the registry."""
    assert f"\n## {operator.capitalize()}" in CONTRACT.read_text(encoding="utf-8")
    assert (ROOT / "tests" / "ops" / f"test_{operator}.py").exists()
    assert operator in OPS
    assert hasattr(oracle, operator)
