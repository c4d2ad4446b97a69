"""The axes of a dump's arrays where they are not those of a trace, (N, H, W, C).

Orders and their names are those of ``vectors/orders.py``.  Vectors and the sums of clusters have one order alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...vectors.orders import OF_ONE_IMAGE, Order

Array = np.ndarray[Any, Any]

ORDERS = ("CHW", "WHC", "CWH", "HCW", "WCH")  # other orders of one image, those that are met first
BLOCKS = (4, 8, 16, 32)  # channels of a block, in the usual blocked layouts


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
