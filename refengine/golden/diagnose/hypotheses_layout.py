"""Hypotheses in how a result was written: the same values in another order, or other bytes of the same value.

Each order takes a result (N, H, W, C) or (N, K) and permutes every image by itself; ``written`` and ``shown`` make a
hypothesis of it.  Faults of memory that no recomputation shows are in ``golden/diagnose/structure.py``.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .clues import Fault
from .machine import Machine

Order = Callable[[np.ndarray], np.ndarray]


def written(order: Order, pixels: bool = True) -> Fault:
    """The result in another order; ``pixels``: only where it has rows and columns."""

    def fault(machine: Machine) -> Machine | None:
        if pixels and len(machine.case.shape) != 3:
            return None
        return replace(machine, order=(*machine.order, order))

    return fault


def shown(change: Order) -> Fault:
    """Each value of the result changed while it was written."""
    return lambda machine: replace(machine, shown=(*machine.shown, change))


def channels_first(result: np.ndarray) -> np.ndarray:
    """Written N C H W, read as N H W C."""
    return result.transpose(0, 3, 1, 2).reshape(result.shape)


def channels_last(result: np.ndarray) -> np.ndarray:
    """Written N H W C, but taken for N C H W and turned once more."""
    images, height, width, channels = result.shape
    return result.reshape(images, channels, height, width).transpose(0, 2, 3, 1)


def columns_first(result: np.ndarray) -> np.ndarray:
    """Written column by column."""
    return result.swapaxes(1, 2).reshape(result.shape)


def channels_reversed(result: np.ndarray) -> np.ndarray:
    """The last channel first."""
    return result[..., ::-1]


def rows_reversed(result: np.ndarray) -> np.ndarray:
    """The lowest row first."""
    return result[:, ::-1]


def columns_reversed(result: np.ndarray) -> np.ndarray:
    """The rightmost column first."""
    return result[:, :, ::-1]


def turned_around(result: np.ndarray) -> np.ndarray:
    """Turned by 180 degrees."""
    return result[:, ::-1, ::-1]


def channels_rotated(by: int) -> Order:
    """Each channel holds that of ``by`` channels before."""
    return lambda result: np.roll(result, by, axis=-1)


def rows_moved(by: int) -> Order:
    """Each row holds that of ``by`` rows before."""
    return lambda result: np.roll(result, by, axis=1)


def columns_moved(by: int) -> Order:
    """Each column holds that of ``by`` columns before."""
    return lambda result: np.roll(result, by, axis=2)


def addresses_moved(by: int) -> Order:
    """Each address of an image holds the value of ``by`` addresses before."""
    return lambda result: np.roll(result.reshape(len(result), -1), by, axis=1).reshape(result.shape)


def pixels_swapped(result: np.ndarray) -> np.ndarray:
    """Neighbours along a row exchanged, two by two."""
    width = result.shape[2] // 2 * 2
    columns = np.arange(result.shape[2])
    columns[:width] ^= 1
    return result[:, :, columns]


def words_reversed(values: int) -> Order:
    """``values`` consecutive values of an image in the reverse order; those after the last whole word stay."""

    def order(result: np.ndarray) -> np.ndarray:
        flat = result.reshape(len(result), -1)
        whole = flat.shape[1] // values * values
        index = np.arange(flat.shape[1])
        index[:whole] = index[:whole].reshape(-1, values)[:, ::-1].reshape(-1)
        return flat[:, index].reshape(result.shape)

    return order


def bytes_swapped(values: np.ndarray) -> np.ndarray:
    """The four bytes of each 32-bit word in the reverse order."""
    return values.astype(np.int32).byteswap().astype(np.int64)


def halves_swapped(values: np.ndarray) -> np.ndarray:
    """The two halves of each 32-bit word exchanged."""
    low, high = values & 0xFFFF, (values >> 16) & 0xFFFF
    return ((low << 16) | high).astype(np.int32).astype(np.int64)
