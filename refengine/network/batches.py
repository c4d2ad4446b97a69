"""Spread batches of images over threads; results come back in order, memory stays bounded.

A thread takes whole batches.  No number depends on the batch size or on the number of threads (contract P).
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from ..errors import RangeError
from .images import LabelledImages
from .int_network import IntNetwork

Batch = TypeVar("Batch")
Answer = TypeVar("Answer")
Images = LabelledImages | np.ndarray

_MEMORY = 256 * 2**20
_LARGEST = 64


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def batch_size(network: IntNetwork) -> int:
    """Images a batch such that the widest layer's accumulators, totals and codes stay near 256 MB."""
    widest = max(_size(shape) for shape in network.shapes.values())
    return max(1, min(_LARGEST, _MEMORY // (16 * widest)))


def image_count(images: Images) -> int:
    """How many images there are."""
    return images.count if isinstance(images, LabelledImages) else len(images)


def image_batches(images: Images, size: int, limit: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (number of the first image, images) for ``size`` images at a time, ``limit`` in all.

    RangeError unless there is at least one image and ``size`` is at least 1; FileError for a file that is damaged where
    it is read.
    """
    if size < 1:
        raise RangeError(f"a batch has {size} images, needed at least 1")
    end = image_count(images) if limit is None else min(limit, image_count(images))
    if end < 1:
        raise RangeError(f"{end} images are to be run, needed at least 1")
    for start in range(0, end, size):
        stop = min(start + size, end)
        yield start, images.read(start, stop) if isinstance(images, LabelledImages) else images[start:stop]


def map_batches(work: Callable[[Batch], Answer], batches: Iterable[Batch], threads: int) -> Iterator[Answer]:
    """``work`` of every batch, in the order of the batches, at most ``threads`` + 1 of them in flight.

    RangeError unless ``threads`` is at least 1.
    """
    if threads < 1:
        raise RangeError(f"work is spread over {threads} threads, needed at least 1")
    if threads == 1:
        yield from map(work, batches)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque = deque()
        for batch in batches:
            waiting.append(pool.submit(work, batch))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _size(shape: Sequence[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
