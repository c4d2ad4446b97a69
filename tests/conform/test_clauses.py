"""Every clause of the contract has cases, or a reason why it has none."""

import re
from pathlib import Path

from conform_customers import every_case

from refengine.conform.clauses import CLAUSES, WITHOUT_CASES, counts
from refengine.conform.file_cases import file_cases

CONTRACT = Path(__file__).resolve().parents[2] / "docs" / "contract.md"


def test_the_clauses_are_those_of_the_contract():
    text = CONTRACT.read_text(encoding="utf-8")
    assert re.findall(r"^\*\*([A-Z][a-z_]*\d+)\*\*", text, re.MULTILINE) == [*CLAUSES]


def test_every_clause_has_cases_or_a_reason():
    counted = counts([case.clauses for case in every_case().values()] + [case.clauses for case in file_cases()])
    assert {clause for clause, count in counted.items() if not count} == {*WITHOUT_CASES}


def test_clauses_that_bind_quantize_alone_are_those_that_v3_names():
    """And none that says what a network computes."""
    (v3,) = re.findall(r"^\*\*V3\*\* (.*?)\n\n", CONTRACT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert "E, F and T" in v3
    bound = {clause for clause, why in WITHOUT_CASES.items() if "quantize alone" in why}
    assert {clause[0] for clause in bound} == {*"EFT"}
