"""A data set of images as its reader hands it on: how many there are, and blocks of those that were chosen.

A reader knows the count before it decodes a pixel, so that a choice can be made; pixels come in blocks, so that a set
may be larger than the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...network.images import evenly_spaced
from ...text import printable
from .decode_image import Decoded

ROWS = 256  # images that a reader of small ones takes at a time
BLOCK_IMAGES = 64  # and at most so many images or bytes of those that are decoded one by one
BLOCK_BYTES = 1 << 24

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


# ------------------------------------------------------------------------------- images that are decoded one by one


@dataclass(frozen=True, eq=False)
class Found:
    """An image file as it was decoded: what it is called in the set and in messages, its label if it has one."""

    file: str
    place: str
    label: int | None
    decoded: Decoded


@dataclass
class _Gathering:
    """Images on their way into a block."""

    files: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    pixels: list[Array] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    tilted: int = 0

    def is_full(self) -> bool:
        seen = len(self.pixels) + len(self.damaged)
        return seen >= BLOCK_IMAGES or sum(pixels.nbytes for pixels in self.pixels) >= BLOCK_BYTES

    def block(self) -> Block:
        pixels = np.stack(self.pixels) if self.pixels else np.empty((0, 0, 0, 0), np.uint8)
        labels = np.array(self.labels, np.int64) if len(self.labels) == len(self.files) else None
        return Block(pixels, labels, tuple(self.files), tuple(self.damaged), self.tilted)


def gathered(images: Iterable[Found], skip_damaged: bool) -> Iterator[Block]:
    """Blocks of images that are all of one size; FileError for another size, and for damage unless it is skipped."""
    gathering, first = _Gathering(), None
    for found in images:
        decoded = found.decoded
        if decoded.damage is not None:
            if not skip_damaged:
                raise FileError(f"{found.place}: {decoded.damage}")
            gathering.damaged.append(printable(found.file))
        else:
            first = first or found
            _check_size(found, first)
            gathering.files.append(found.file)
            gathering.labels += [] if found.label is None else [found.label]
            gathering.pixels.append(decoded.pixels)
            gathering.tilted += decoded.tilted
        if gathering.is_full():
            yield gathering.block()
            gathering = _Gathering()
    yield gathering.block()


def _check_size(found: Found, first: Found) -> None:
    (height, width, _), wanted = found.decoded.pixels.shape, first.decoded.pixels.shape
    if found.decoded.pixels.shape != wanted:
        raise FileError(
            f"{found.place}: is {height}x{width}, needed {wanted[0]}x{wanted[1]} as {first.place}; "
            "--size makes them one size"
        )
