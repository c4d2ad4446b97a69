"""Spread batches of images over threads; results come back in order, memory stays bounded.

A thread takes whole batches.  No number depends on the batch size or on the number of threads (contract P).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .int_network import IntNetwork

Batch = TypeVar("Batch")
Answer = TypeVar("Answer")

_MEMORY = 256 * 2**20
_LARGEST = 64


def batch_size(network: IntNetwork) -> int:
    """Images a batch such that the widest layer's accumulators, totals and codes stay near 256 MB."""
    widest = max(_size(shape) for shape in network.shapes.values())
    return max(1, min(_LARGEST, _MEMORY // (16 * widest)))


def map_batches(work: Callable[[Batch], Answer], batches: Iterable[Batch], threads: int) -> Iterator[Answer]:
    """``work`` of every batch, in the order of the batches, at most ``threads`` + 1 of them in flight."""
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


def _size(shape) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
