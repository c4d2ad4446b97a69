"""The axes of a dump's arrays where they are not those of a trace, (N, H, W, C).

An order is named by its letters, the axis that runs fastest last: ``NCHW``; ``CHW`` for arrays without an image axis.
``NCHW8c`` has blocks of 8 channels, which run fastest.  Vectors and the sums of clusters have one order alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import RangeError
from ...text import shown

Array = np.ndarray[Any, Any]

OF_ONE_IMAGE = "HWC"
ORDERS = ("CHW", "WHC", "CWH", "HCW", "WCH")  # other orders of one image, those that are met first


BLOCKS = (4, 8, 16, 32)  # channels of a block, in the usual blocked layouts
_BLOCKED = re.compile(r"(N?[HWC]{3})(?:([0-9]{1,4})C)?")


@dataclass(frozen=True)
class Order:
    """Axes of one image as they are stored, the fastest last, and channels of a block, where channels are blocked.

    ``NCHW8c``: N, C / 8, H, W, and 8 channels; ``NHWC16c``: channels padded with zeros to a multiple of 16.
    """

    axes: str
    block: int | None = None
    images: bool = True

    @property
    def name(self) -> str:
        """As options have it."""
        return f"{'N' if self.images else ''}{self.axes}" + (f"{self.block}c" if self.block else "")

    def stored_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The axes of one image (H, W, C) as they are stored.

        >>> order_of("NCHW8c").stored_shape((28, 14, 20)), order_of("chw").stored_shape((28, 14, 20))
        ((3, 28, 14, 8), (20, 28, 14))
        """
        length = dict(zip(OF_ONE_IMAGE, shape, strict=True))
        if self.block is None:
            return tuple(length[axis] for axis in self.axes)
        blocks = {**length, "C": -(-length["C"] // self.block)}
        return (*(blocks[axis] for axis in self.axes), self.block)

    def as_trace(self, block: Array, shape: Sequence[int]) -> tuple[Array, Array]:
        """Images as they are stored, of any shape, as (n, H, W, C); and the channels that only fill blocks."""
        stored = block.reshape(-1, *self.stored_shape(shape))
        places = [1 + self.axes.index(axis) for axis in OF_ONE_IMAGE]
        if self.block is None:
            return stored.transpose(0, *places), stored[:0]
        whole = stored.transpose(0, *places, 4).reshape(len(stored), shape[0], shape[1], -1)
        return whole[..., : shape[2]], whole[..., shape[2] :]


def order_of(text: str) -> Order:
    """The order that a text names, in upper case or lower; RangeError for another text."""
    found = _BLOCKED.fullmatch(text.upper())
    if found is None or sorted(found[1].removeprefix("N")) != sorted(OF_ONE_IMAGE) or found[2] in ("0", "00"):
        raise RangeError(
            f"--order is {shown(text)}, needed N and then H, W, C in any order, as NCHW (without N: CHW), "
            "or with channels in blocks, as NCHW8c or NHWC16c"
        )
    return Order(found[1].removeprefix("N"), int(found[2]) if found[2] else None, found[1].startswith("N"))


def usual_orders(channels: int) -> tuple[Order, ...]:
    """Orders that hardware is known to store images in: all orders of the axes, and blocks of channels."""
    plain = [Order(axes) for axes in (OF_ONE_IMAGE, *ORDERS)]
    blocked = [Order("CHW", block) for block in BLOCKS if block < channels]
    filled = {-(-channels // block) * block: block for block in BLOCKS[::-1] if channels % block}
    padded = [Order("HWC", block) for block in sorted(filled.values())]
    return (*plain, *blocked, *padded)


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
