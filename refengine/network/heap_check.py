"""HDF5 keeps texts of variable length in "global heaps", and the library believes the sizes that stand in them.

A wrong size makes it loop for ever or crash (one flipped bit is enough for HDF5 2.0.0), which no ``try`` catches.
So the heaps are walked once before the library sees the file.  A heap is found by its first five bytes; that other data
look like the start of a heap *and* give a possible size has a chance below 2**-60 a byte.

    heap     "GCOL", version 1, 3 bytes, size of the heap (8), then its objects
    object   number (2), references (2), 4 bytes, size (8), content padded to 8 bytes; number 0 is the free rest,
             whose size includes these 16 bytes; a rest shorter than 16 bytes has no header
"""

from __future__ import annotations

import mmap
from typing import Any

SIGNATURE = b"GCOL\x01"
HEADER = 16
LEAST = 4096  # the library itself refuses smaller heaps
MAX_OBJECTS = 1 << 22  # walked in all, so that no crafted file of nested heaps takes hours


def heaps_are_sound(path: Any) -> bool:
    """Whether every global heap in a file that is not empty can be walked from start to end; OSError if unreadable."""
    left = MAX_OBJECTS
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(SIGNATURE)
        while start >= 0:
            size = _number(data, start + 8, 8)
            if LEAST <= size <= len(data) - start:
                left -= _walk(data, start + HEADER, start + size, left)
                if left <= 0:
                    return False
            start = data.find(SIGNATURE, start + 1)
    return True


def _walk(data: mmap.mmap, position: int, end: int, limit: int) -> int:
    """Number of objects between two positions, ``limit`` if their sizes do not lead exactly to the end before that."""
    count = 0
    while end - position >= HEADER and count < limit:
        size = _number(data, position + 8, 8)
        step = HEADER + (size + 7) // 8 * 8 if _number(data, position, 2) else size
        position += step
        count += 1
        if step == 0 or position > end:
            return limit
    return count


def _number(data: mmap.mmap, position: int, length: int) -> int:
    return int.from_bytes(data[position : position + length], "little")
