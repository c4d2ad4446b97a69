"""What a golden says of an array before the DUT's is read: its shape, its bits, and how its words lie in memory.

A vector pack's manifest says all of it.  Other goldens have a shape and a type; a word is one integer then, the axes in
the order of a trace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...vectors.manifest import Entry
from ...vectors.orders import Order, blocked
from ...vectors.words import Packing, fitted, word_count

_AXES = {2: "nc", 3: "ncg", 4: "nhwc", 5: "nhwcg"}


@dataclass(frozen=True)
class Expected:
    """shape: (N, ...).  bits, signed: of an element.  axes, order: of a trace, and of the words, the fastest last."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bits: int
    signed: bool
    axes: str
    order: str
    packing: Packing

    @property
    def images(self) -> int:
        """How many images there are."""
        return self.shape[0]

    @property
    def elements(self) -> int:
        """Integers of one image."""
        return math.prod(self.shape[1:])

    @property
    def blocked(self) -> Order | None:
        """The order of images whose channels lie in blocks in the golden's words, None where they do not."""
        return blocked(self.order)

    def words(self, packing: Packing, elements: int | None = None) -> int:
        """Words of one image in a packing."""
        return word_count(self.elements if elements is None else elements, packing)


def of_entry(entry: Entry) -> Expected:
    """What a manifest says."""
    tensor = entry.tensor
    words = (tensor.bits, tensor.signed, tensor.axes, entry.order, entry.packing)
    return Expected(tensor.shape, np.dtype(tensor.dtype), *words)


def of_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Expected:
    """What an array's shape and type say; axes of a trace."""
    axes = _AXES.get(len(shape), "n" + "abcdef"[: len(shape) - 1])
    bits, signed = dtype.itemsize * 8, dtype.kind == "i"
    return Expected(shape, dtype, bits, signed, axes, axes, fitted(min(bits, 64 if signed else 63), signed, bits))
