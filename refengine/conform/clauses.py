"""Every clause of the contract: by how many cases it is judged, or why by none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

_QUANTIZE = "binds quantize alone (V3): it says which model file is made, not what one computes"

# sections and how many clauses they have
_SECTIONS = {
    "N": 5, "R": 7, "S": 3, "Q": 6, "A": 6, "W": 3, "C": 5, "Input": 3, "Conv": 2, "Fc": 1, "Batchnorm": 1, "Add": 1,
    "Mul": 1, "Lookup": 2, "Maxpool": 1, "Avgpool": 2, "Global_avgpool": 1, "Concat": 1, "Pad_channels": 1,
    "Flatten": 1, "Gather_channels": 1, "Requantize": 1, "D": 6, "L": 4, "V": 4, "F": 8, "E": 4, "T": 8, "P": 4,
    "Arith": 8,
}  # fmt: skip

CLAUSES = tuple(f"{section}{number}" for section, count in _SECTIONS.items() for number in range(1, count + 1))

WITHOUT_CASES: Mapping[str, str] = {
    **{f"{section}{number}": _QUANTIZE for section in "FET" for number in range(1, _SECTIONS[section] + 1)},
    "P3": "says what is not promised",
    "P4": "says what is not promised",
    "Arith8": "says what is not modelled",
}


def counts(clauses_of_cases: Iterable[Iterable[str]]) -> dict[str, int]:
    """Clause -> cases, in the order of the contract."""
    found = Counter(clause for clauses in clauses_of_cases for clause in clauses)
    return {clause: found[clause] for clause in CLAUSES}
