"""Numbers that look random and are the same on every machine: words of SplitMix64, drawn by counting (contract R5).

NumPy's own generators promise no stream that outlives a version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ..numbers.stochastic import random_bits

Array = np.ndarray[Any, Any]
Item = TypeVar("Item")


class Stream:
    """Draws that depend on ``name`` and on how many draws went before."""

    def __init__(self, name: str) -> None:
        self._seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") % 2**63
        self._drawn = 0

    def integers(self, lo: int, hi: int, shape: tuple[int, ...] = (), dtype: Any = np.int64) -> Array:
        """Integers of ``lo..hi``, both ends included, hi - lo < 2**63: an array of ``shape``."""
        words = random_bits(self._seed, self._drawn, 0, (1, max(1, int(np.prod(shape)))))
        self._drawn += 1
        offsets = (words % np.uint64(hi - lo + 1)).astype(np.int64)
        return (offsets + np.int64(lo)).reshape(shape).astype(dtype)

    def integer(self, lo: int, hi: int) -> int:
        """One integer of ``lo..hi``."""
        return int(self.integers(lo, hi))

    def pick(self, options: Sequence[Item]) -> Item:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def codes(self, lo: int, hi: int, shape: tuple[int, ...], dtype: Any) -> Array:
        """Codes of ``lo..hi``, each end in about a sixteenth of the places, 0 in as many."""
        found = self.integers(lo, hi, shape)
        special = self.integers(0, 15, shape)
        for place, value in enumerate((lo, hi, min(max(0, lo), hi))):
            found = np.where(special == place, value, found)
        return found.astype(dtype)
