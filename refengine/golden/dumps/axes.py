"""The axes of a dump's arrays where they are not those of a trace, (N, H, W, C).

An order is named by its letters, the axis that runs fastest last: ``NCHW``; ``CHW`` for arrays without an image axis.
It holds for all arrays of a dump with as many axes; vectors and the sums of clusters stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import RangeError
from ...text import shown
from .dump import VECTORS, Array, Dump, Values, other_forms

OF_ONE_IMAGE = "HWC"
ORDERS = ("CHW", "WHC", "CWH", "HCW", "WCH")  # other orders of one image, those that are met first


def checked_order(order: str) -> str:
    """The order in capitals; RangeError unless it is HWC in some order, with N before them or not."""
    letters = order.upper()
    if sorted(letters.removeprefix("N")) != sorted(OF_ONE_IMAGE):
        raise RangeError(f"--order is {shown(order)}, needed N and then H, W, C in any order, as NCHW (without N: CHW)")
    return letters


def reordered(dump: Dump, order: str) -> Dump:
    """The dump with its arrays turned into the axes of a trace; RangeError for no order, or a vector pack."""
    letters = checked_order(order)
    if dump.kind == VECTORS:
        raise RangeError(f"--order {letters}: {dump.file} is a vector pack, whose manifest says how its arrays lie")

    def turned(values: Values) -> Values:
        return Turned(values, letters) if len(values.shape) == len(letters) else values

    arrays = {
        layer: {stage: turned(values) for stage, values in stages.items()} for layer, stages in dump.arrays.items()
    }
    counts = [values.shape[0] for stages in arrays.values() for values in stages.values()]
    return replace(dump, arrays=arrays, count=max(counts), images=None if dump.images is None else turned(dump.images))


@dataclass(frozen=True, eq=False)
class Turned:
    """Values whose axes lie in another order, read as (N, H, W, C) or (H, W, C)."""

    values: Values
    order: str

    @property
    def axes(self) -> tuple[int, ...]:
        """Where each axis of the result is in what is stored."""
        wanted = ("N" if len(self.order) > len(OF_ONE_IMAGE) else "") + OF_ONE_IMAGE
        return tuple(self.order.index(axis) for axis in wanted)

    @property
    def shape(self) -> tuple[int, ...]:
        """In the order of a trace."""
        return tuple(self.values.shape[axis] for axis in self.axes)

    @property
    def dtype(self) -> np.dtype:
        """As stored."""
        return self.values.dtype

    @property
    def chunk_rows(self) -> int:
        """As stored."""
        return self.values.chunk_rows

    @property
    def others(self) -> tuple[tuple[str, Values], ...]:
        """Further forms of the same integers."""
        return tuple((place, Turned(form, self.order)) for place, form in other_forms(self.values))

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1 of the first axis."""
        if self.axes[0] == 0:
            return np.ascontiguousarray(self.values.read(start, stop).transpose(self.axes))
        whole = self.values.read(0, self.values.shape[0]).transpose(self.axes)
        return np.ascontiguousarray(whole[start:stop])


def orders_between(found: Sequence[int], wanted: Sequence[int]) -> tuple[str, ...]:
    """The orders in which the axes of one image ``found`` are those ``wanted``, (H, W, C).

    >>> orders_between((16, 28, 28), (28, 28, 16)), orders_between((28, 28, 16), (28, 28, 16))
    (('CHW', 'CWH'), ())
    """
    if len(found) != len(wanted) or len(wanted) != len(OF_ONE_IMAGE) or tuple(found) == tuple(wanted):
        return ()
    length = dict(zip(OF_ONE_IMAGE, wanted, strict=True))
    return tuple(order for order in ORDERS if tuple(length[axis] for axis in order) == tuple(found))


def written_as(block: Array, order: str, wanted: Sequence[int]) -> Array | None:
    """Integers that lie in an order of one image's axes, whatever the shape says: (N, ...) -> (N, *wanted) or None.

    >>> written_as(np.arange(6).reshape(1, 1, 2, 3), "CHW", (1, 2, 3)).tolist()
    [[[[0, 2, 4], [1, 3, 5]]]]
    """
    if len(wanted) != len(OF_ONE_IMAGE) or block.size != len(block) * math.prod(wanted):
        return None
    length = dict(zip(OF_ONE_IMAGE, wanted, strict=True))
    stored = block.reshape(len(block), *(length[axis] for axis in order))
    return stored.transpose(0, *(1 + order.index(axis) for axis in OF_ONE_IMAGE))


def in_words(order: str) -> str:
    """An order as messages show it.

    >>> in_words("CHW")
    'N C H W'
    """
    return " ".join(f"N{order}")
