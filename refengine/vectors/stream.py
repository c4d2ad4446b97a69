"""What goes beside the words of a stream: which bytes of a word count (tkeep), and which word ends an image (tlast).

A side file has a word for each word of the data, for $readmemh: bit i is 1 where byte i of the word holds a bit of an
element (AXI4-Stream's tkeep), and the bit above is 1 in the last word of an image (tlast).  Words must be whole bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import RangeError
from .memory import Array, Memory
from .words import Packing, word_count

ENDING = ".stream.memh"


def check_stream(packing: Packing) -> None:
    """RangeError where a word has no whole bytes."""
    if packing.word_bits % 8:
        raise RangeError(f"a stream has words of whole bytes, found words of {packing.word_bits} bits")


def side_memory(identifier: str, packing: Packing, words: int) -> Memory:
    """The memory that a side file fills: a bit for each byte of a word, and one."""
    return Memory(f"{identifier}_stream", packing.word_bits // 8 + 1, words)


def side_words(packing: Packing, elements: int, blocks: int) -> Iterator[Array]:
    """The words of a side file, uint8 (words of a block, bytes), block after block of ``elements`` elements."""
    block = _side_block(packing, elements)
    for _ in range(blocks):
        yield block


def _side_block(packing: Packing, elements: int) -> Array:
    count, size = word_count(elements, packing), packing.word_bits // 8
    used = np.zeros((count, packing.word_bits), np.uint8)
    if packing.straddles:
        row = np.zeros(count * packing.word_bits, np.uint8)
        row[: elements * packing.bits] = 1
        used[:] = row.reshape(count, -1)
        used = used if packing.first == "low" else used[:, ::-1]
    else:
        lanes = np.zeros(count * packing.elements, np.uint8)
        lanes[:elements] = 1
        words = lanes.reshape(count, -1)
        words = words if packing.first == "low" else words[:, ::-1]
        used[:, : packing.elements * packing.lane_bits] = np.repeat(words, packing.lane_bits, axis=1)
    keep = used.reshape(count, size, 8).max(axis=2)
    keep = keep if packing.endian == "little" else keep[:, ::-1]
    last = np.arange(count) == count - 1
    return np.packbits(np.concatenate([keep, last[:, None]], axis=1), axis=1, bitorder="little")
