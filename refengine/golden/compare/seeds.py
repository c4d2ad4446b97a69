"""Known faults to be seeded into a copy of a dump: would a comparison have seen them?

A seed turns a block of images (N, ...) of one stage into a faulty one, or gives None where the block has nothing to
which that could happen: no second channel to swap with, no second image.  What is stored stays of its type, so numbers
beyond it wrap, as they would in a memory of that width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..dumps.difference import Array

Change = Callable[[Array], Array | None]


@dataclass(frozen=True)
class Seed:
    """A fault of a dump: its name, what it means, how many images it needs, and what becomes of a block."""

    name: str
    sentence: str
    change: Change
    images: int = 1


def one_bit(block: Array) -> Array:
    """The lowest bit of one value inverted."""
    changed = block.copy()
    changed.reshape(-1)[changed.size // 2] ^= 1
    return changed


def swapped(axis: int) -> Change:
    """The first two neighbours of an axis that differ, exchanged."""

    def change(block: Array) -> Array | None:
        if not _has(block, axis):
            return None
        lanes = np.moveaxis(block, axis, 0).reshape(block.shape[axis], -1)
        first = int((lanes[1:] != lanes[:-1]).any(axis=1).argmax())
        order = [*range(block.shape[axis])]
        order[first : first + 2] = first + 1, first
        return block.take(order, axis)

    return change


def stale_tile(block: Array) -> Array | None:
    """The last quarter of an image (the last half of a vector) holds what belongs into the first."""
    axis = [a for a in range(1, min(3, block.ndim)) if block.shape[a] > 1]
    if not axis:
        return None
    sizes = [block.shape[a] // 2 for a in axis]
    here, there = [slice(None)] * block.ndim, [slice(None)] * block.ndim
    for a, size in zip(axis, sizes, strict=True):
        there[a], here[a] = slice(0, size), slice(block.shape[a] - size, None)
    changed = block.copy()
    changed[tuple(here)] = block[tuple(there)]
    return changed


def reversed_channels(block: Array) -> Array | None:
    """Channels in reverse order."""
    return block[..., ::-1].copy() if _has(block, -1) else None


def written_nchw(block: Array) -> Array | None:
    """The bytes of N, C, H, W where N, H, W, C belong."""
    if block.ndim != 4 or not _has(block, -1) or block.shape[1] * block.shape[2] < 2:
        return None
    return np.ascontiguousarray(block.transpose(0, 3, 1, 2)).reshape(block.shape)


def negated(block: Array) -> Array:
    """Every sign inverted, in two's complement of the stored width."""
    return (np.zeros_like(block) - block).astype(block.dtype)


def one_more(block: Array) -> Array:
    """Everything too large by one."""
    return (block + np.ones_like(block)).astype(block.dtype)


def _has(block: Array, axis: int) -> bool:
    """Whether an axis after the images' has something to be exchanged."""
    inside = axis < 0 or axis == 0 or axis < block.ndim - 1
    return block.ndim > 1 and inside and block.shape[axis] > 1


SEEDS = {
    seed.name: seed
    for seed in (
        Seed("one_bit", "one bit of one value is inverted", one_bit),
        Seed("channels_swapped", "a channel is exchanged with its neighbour", swapped(-1)),
        Seed("rows_swapped", "two rows are exchanged", swapped(1)),
        Seed("stale_tile", "a block is repeated from another place", stale_tile),
        Seed("all_zeros", "everything is 0", np.zeros_like),
        Seed("constant", "everything is the first value", lambda block: np.full_like(block, block.flat[0])),
        Seed("off_by_one", "everything is one too large", one_more),
        Seed("sign_flipped", "every sign is inverted", negated),
        Seed("images_swapped", "two images are exchanged", swapped(0), images=2),
        Seed("channels_reversed", "channels are in reverse order", reversed_channels),
        Seed("nchw", "the bytes of N C H W are read as N H W C", written_nchw),
        Seed("last_image_missing", "the last image is missing", lambda block: block[:-1]),
    )
}
