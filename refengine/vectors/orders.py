"""The order in which the axes of an image lie in memory, the axis that runs fastest last: ``NCHW``, or ``NCHW8c``.

``NCHW8c`` has blocks of 8 channels, which run fastest, and ``NHWC16c`` fills channels up to a multiple of 16; channels
that only fill a block are 0.  Without N it is the order of arrays without an image axis.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import RangeError
from ..text import shown

Array = np.ndarray[Any, Any]

OF_ONE_IMAGE = "HWC"
_ORDER = re.compile(r"(N?[HWC]{3})(?:([0-9]{1,4})C)?")


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

    def as_stored(self, image: Array) -> Array:
        """One image (H, W, C) in the axes in which it is stored; channels that only fill blocks are 0.

        >>> order_of("NCHW2c").as_stored(np.array([[[1, 2, 3], [4, 5, 6]]])).tolist()
        [[[[1, 2], [4, 5]]], [[[3, 0], [6, 0]]]]
        """
        places = [OF_ONE_IMAGE.index(axis) for axis in self.axes]
        if self.block is None:
            return image.transpose(places)
        filled = np.pad(image, ((0, 0), (0, 0), (0, -image.shape[2] % self.block)))
        blocks = filled.reshape(*image.shape[:2], -1, self.block)
        return blocks.transpose(*places, 3)


def blocked(text: str) -> Order | None:
    """The order of channels in blocks that a text names, None where it names another order or nothing.

    >>> blocked("nchw8c"), blocked("nchw"), blocked("ncg")
    (Order(axes='CHW', block=8, images=True), None, None)
    """
    try:
        found = order_of(text)
    except RangeError:
        return None
    return found if found.block else None


def order_of(text: str) -> Order:
    """The order that a text names, in upper case or lower; RangeError for another text."""
    found = _ORDER.fullmatch(text.upper())
    if found is None or sorted(found[1].removeprefix("N")) != sorted(OF_ONE_IMAGE) or found[2] in ("0", "00"):
        raise RangeError(
            f"--order is {shown(text)}, needed N and then H, W, C in any order, as NCHW (without N: CHW), "
            "or with channels in blocks, as NCHW8c or NHWC16c"
        )
    return Order(found[1].removeprefix("N"), int(found[2]) if found[2] else None, found[1].startswith("N"))
