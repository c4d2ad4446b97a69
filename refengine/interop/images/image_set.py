"""A data set of images as its reader hands it on: how many there are, and blocks of those that were chosen.

A reader knows the count before it decodes a pixel, so that a choice can be made; pixels come in blocks, so that a set
may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...network.images import evenly_spaced

ROWS = 256  # images that a reader of small ones takes at a time

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Block:
    """Some images in order: uint8 (n, H, W, C), int64 (n,) or None; ``damaged`` names files that were passed over.

    ``tilted`` counts images whose EXIF orientation is not upright and was not applied.
    """

    pixels: Array
    labels: Array | None
    files: tuple[str, ...] | None = None
    damaged: tuple[str, ...] = ()
    tilted: int = 0


@dataclass(frozen=True, eq=False)
class ImageSet:
    """``count`` images; ``blocks(chosen)`` yields those of the rising numbers ``chosen``; ``notes`` are to be said."""

    what: str
    count: int
    class_names: tuple[str, ...] | None
    blocks: Callable[[Array], Iterator[Block]]
    notes: tuple[str, ...] = ()


def chosen_numbers(count: int, first: int = 0, wanted: int | None = None, evenly: int | None = None) -> Array:
    """Numbers of the images to take, int64, rising: ``wanted`` from ``first`` on, or ``evenly`` spaced ones of those.

    >>> chosen_numbers(10, first=4, evenly=3)
    array([4, 6, 8])
    """
    if first >= count:
        raise RangeError(f"the set has images 0..{count - 1}, asked for {first}")
    numbers = np.arange(first, count if wanted is None else min(count, first + wanted), dtype=np.int64)
    return numbers if evenly is None else numbers[evenly_spaced(len(numbers), evenly)]


def picked(blocks: Iterable[Block], chosen: Array) -> Iterator[Block]:
    """Of blocks that follow each other from image 0 on, those images that were chosen; ends with the last of them."""
    start = 0
    for block in blocks:
        low, high = np.searchsorted(chosen, (start, start + len(block.pixels)))
        if low < high:
            places = chosen[low:high] - start
            yield Block(block.pixels[places], None if block.labels is None else block.labels[places])
        start += len(block.pixels)
        if high == len(chosen):
            return


def check_labels(labels: Array, limit: int, place: str, first: int = 0) -> None:
    """FileError that names the image, unless all labels are in 0..limit-1; ``first``: number of the first of them."""
    wrong = np.flatnonzero((labels < 0) | (labels >= limit))
    if wrong.size:
        image = int(wrong[0])
        raise FileError(f"{place}: image {first + image} has label {labels[image]}, needed 0..{limit - 1}")
