"""How long the texts of an HDF5 file claim to be, read from the file's own bytes before the library allocates anything.

The library takes a text of variable length by the length that stands beside it, up to 4 GiB, and allocates that much
before it looks whether the text is there.  Two places hold such lengths:

    attribute   a message of the object's header, or of a fractal heap where an object has many attributes
    dataset     16 bytes a text: length (4), address of a heap (8), number in it (4), packed by the dataset's filters

Only what the HDF5 file format specification (versions 1 to 3 of its messages) names is walked; whatever is stored in
another way has no known length, and None says so.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

REFERENCE = 16  # bytes of one reference to a text
_CONTINUATION, _ATTRIBUTE, _ATTRIBUTE_INFO = 0x10, 0x0C, 0x15
_SHARED = 2
_MOST_MESSAGES = 1 << 17
_MOST_BLOCKS = 1 << 10
_UNDEFINED = 2**64 - 1


@dataclass(frozen=True)
class _Bytes:
    """The bytes of a file; addresses count from ``base``."""

    data: Any
    base: int

    def number(self, position: int, length: int) -> int:
        """Little-endian; ValueError outside the file."""
        found = self.take(position, length)
        return int.from_bytes(found, "little")

    def take(self, position: int, length: int) -> bytes:
        """Bytes at a position; ValueError where they are not all there."""
        if not 0 <= position <= len(self.data) - length:
            raise ValueError("outside the file")
        return bytes(self.data[position : position + length])


class AttributeTexts:
    """Bytes that the texts of one object's attributes claim to have.

    ``header``: address of the object's header, counted from ``base``, the file's first byte that is HDF5's.
    """

    def __init__(self, data: Any, base: int, header: int) -> None:
        self._file = _Bytes(data, base)
        self._claims: dict[bytes, int] = {}
        self._heap: int | None = None
        with suppress(ValueError, OverflowError):
            self._read(base + header)

    def length(self, name: str) -> int | None:
        """What the one text of an attribute claims; None where the bytes of the file do not say."""
        encoded = name.encode() + b"\0"
        if encoded in self._claims or self._heap is None:
            return self._claims.get(encoded)
        try:
            return _in_heap(self._file, self._heap, encoded)
        except (ValueError, OverflowError):
            return None

    def _read(self, header: int) -> None:
        """The attributes of the header up to one that is stored elsewhere, or, of all, where the heap of others is."""
        heap = None
        for kind, flags, start, size in _messages(self._file, header):
            if kind == _ATTRIBUTE and flags & _SHARED:
                return
            if kind == _ATTRIBUTE and (found := _named_claim(self._file, start, start + size)) is not None:
                self._claims.setdefault(*found)
            if kind == _ATTRIBUTE_INFO:
                heap = self._file.number(start + (4 if self._file.number(start + 1, 1) & 1 else 2), 8)
        if heap is not None and heap != _UNDEFINED:
            self._heap = self._file.base + heap


def _messages(file: _Bytes, header: int) -> Iterator[tuple[int, int, int, int]]:
    """(kind, flags, position, size) of every message of an object's header."""
    if file.take(header, 4) == b"OHDR":
        flags = file.number(header + 5, 1)
        start = header + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        blocks = [(start + width, file.number(start, width))]
        head, ordered, ends = 4, bool(flags & 4), True
    else:
        blocks = [(header + 16, file.number(header + 8, 4))]
        head, ordered, ends = 8, False, False
    left = _MOST_MESSAGES
    while blocks:
        position, size = blocks.pop(0)
        end = position + size
        while position + head <= end:
            left -= 1
            if left < 0:
                raise ValueError("too many messages")
            kind = file.number(position, 1 if ends else 2)
            length = file.number(position + (1 if ends else 2), 2)
            flags = file.number(position + (3 if ends else 4), 1)
            start = position + head + (2 if ordered else 0)
            if kind == _CONTINUATION:
                block, extent = file.base + file.number(start, 8), file.number(start + 8, 8)
                blocks.append((block + 4, extent - 8) if ends else (block, extent))
            yield kind, flags, start, length
            position = start + length


def _named_claim(file: _Bytes, start: int, end: int) -> tuple[bytes, int] | None:
    """An attribute's name with the zero at its end, and the first four bytes of its data; None where there are none."""
    version = file.number(start, 1)
    sizes = [file.number(start + 2 + 2 * i, 2) for i in range(3)]
    if version not in (1, 2, 3):
        return None
    at = start + (9 if version == 3 else 8)
    if at + sizes[0] > end:
        return None
    name = file.take(at, sizes[0])
    at += sum((size + 7) // 8 * 8 if version == 1 else size for size in sizes)
    return (name, file.number(at, 4)) if at + 4 <= end else None


def _in_heap(file: _Bytes, header: int, name: bytes) -> int | None:
    """The longest claim of an attribute of that name in a fractal heap that is not packed."""
    if file.take(header, 5) != b"FRHP\0" or file.number(header + 7, 2) or file.number(header + 78, 8):
        return None  # packed, or with objects outside its blocks
    width, first, most = (file.number(header + at, size) for at, size in ((110, 2), (112, 8), (120, 8)))
    offset_size = (file.number(header + 128, 2) + 7) // 8
    root, rows = file.number(header + 132, 8), file.number(header + 140, 2)
    if not first or most < first or root == _UNDEFINED:
        return None
    blocks = [(file.base + root, first)]
    if rows:
        direct = (most // first).bit_length() + 1
        if rows > direct or width * rows > _MOST_BLOCKS:
            return None
        table = file.base + root
        if file.take(table, 5) != b"FHIB\0":
            return None
        children = [file.number(table + 13 + offset_size + 8 * i, 8) for i in range(width * rows)]
        blocks = [
            (file.base + child, first << max(0, i // width - 1))
            for i, child in enumerate(children)
            if child != _UNDEFINED
        ]
    found = [claim for start, size in blocks for claim in _claims(file, start, size, name)]
    return max(found, default=None)


def _claims(file: _Bytes, start: int, size: int, name: bytes) -> Iterator[int]:
    """Every claim of a message of that name in a direct block."""
    if file.take(start, 5) != b"FHDB\0":
        raise ValueError("not a block")
    block = file.take(start, min(size, len(file.data) - start))
    at = block.find(name)
    while at >= 0:
        for version, head in ((3, 9), (1, 8), (2, 8)):
            if at >= head and block[at - head] == version:
                found = _named_claim(file, start + at - head, start + len(block))
                if found is not None and found[0] == name:
                    yield found[1]
        at = block.find(name, at + 1)


def dataset_text_lengths(node: h5py.Dataset, data: Any, base: int, most: int) -> list[int] | None:
    """What each text of a dataset (N,) of variable length claims, N at most ``most``; None where that is not known."""
    count, raw = math.prod(node.shape), b""
    plan = node.id.get_create_plist()
    if count > most:
        return None
    if plan.get_layout() == h5py.h5d.CONTIGUOUS:
        offset = node.id.get_offset()
        if offset is None:  # no text was ever written
            return [0] * count
        raw = bytes(data[offset : offset + REFERENCE * count])
    elif plan.get_layout() == h5py.h5d.CHUNKED:
        if node.chunks[0] * REFERENCE > most * REFERENCE * 2:
            return None
        parts = [_chunk(node, plan, start) for start in range(0, count, node.chunks[0])]
        if any(part is None for part in parts):
            return None
        raw = b"".join(part for part in parts if part is not None)[: REFERENCE * count]
    if len(raw) != REFERENCE * count:
        return None
    return [int(length) for length in np.frombuffer(raw, "<u4")[::4]]


def _chunk(node: h5py.Dataset, plan: Any, start: int) -> bytes | None:
    """One chunk as it was before its filters, None where it does not unpack to its size."""
    size = node.chunks[0] * REFERENCE
    mask, stored = node.id.read_direct_chunk((start,))
    content = bytes(stored)
    for index in reversed(range(plan.get_nfilters())):
        if mask >> index & 1:
            continue
        kind = plan.get_filter(index)[0]
        if kind == h5py.h5z.FILTER_FLETCHER32:
            content = content[:-4]
        elif kind == h5py.h5z.FILTER_DEFLATE:
            try:
                content = zlib.decompressobj().decompress(content, size + 4)
            except zlib.error:
                return None
        elif kind == h5py.h5z.FILTER_SHUFFLE:
            if len(content) != size:
                return None
            content = np.frombuffer(content, np.uint8).reshape(REFERENCE, -1).T.tobytes()
        else:
            return None
    return content if len(content) == size else None
