"""A case: what goes in, as plain integers and words, and by which clauses the integers that come out are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """One question of a group.

    clauses: those of the contract that it is there for.  why: what is special about it, in a few words.  parameters:
    words and integers, as JSON holds them.  inputs: arrays of integers by name (docs/conformance.md).
    """

    group: str
    clauses: tuple[str, ...]
    why: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Array]
