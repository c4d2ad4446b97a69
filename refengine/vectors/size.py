"""How large a pack becomes, known before it is written, from the words of each tensor and the digits of each format.

Never less than what is written and, where numbers are decimal, a little more.  The trace that a pack is made from lies
on the same disk while it is written, and counts too.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import FileError
from ..text import PathLike, printable
from .manifest import Entry
from .memory import Memory
from .text_formats import NPY

_HEADS = 1 << 10  # bytes of a file beside its words, and of its record in the manifest
_C_WIDTHS = (8, 16, 32, 64)


def bytes_of(entries: Iterable[Entry], formats: Sequence[str]) -> int:
    """Bytes of all files of these tensors."""
    return sum(_HEADS + _file_bytes(entry, name) for entry in entries for name in formats)


def side_bytes_of(entries: Iterable[Entry]) -> int:
    """Bytes of the side files of these tensors' streams."""
    memories = [entry.memory for entry in entries if entry.tensor.has_images]
    return sum(_HEADS + memory.words * (memory.word_bytes // 4 + 2) for memory in memories)


def check_room(
    directory: PathLike, entries: Sequence[Entry], formats: Sequence[str], model_bytes: int, stream: bool = False
) -> None:
    """FileError where the disk of a folder has not the room for a pack and the trace that it is made from."""
    needed = bytes_of(entries, formats) + model_bytes + (side_bytes_of(entries) if stream else 0)
    trace = sum(_integers(entry) for entry in entries if entry.tensor.has_images)
    free = free_bytes(directory)
    if needed + trace > free:
        raise FileError(
            f"{printable(os.fspath(directory))}: the pack takes {amount(needed)} and {amount(trace)} while it is "
            f"written, {amount(free)} are free; fewer images, layers or formats take less "
            "(--count, --layer, --format)"
        )


def free_bytes(directory: PathLike) -> int:
    """What is free on the disk that a folder, which need not exist, will lie on."""
    return shutil.disk_usage(Path(os.path.realpath(directory)).parent).free


def amount(size: int) -> str:
    """Bytes in the largest unit of which there is one, cut to tenths.

    >>> amount(999), amount(1_234_567), amount(56_000_000_000)
    ('999 bytes', '1.2 MB', '56.0 GB')
    """
    for unit, exponent in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        tenths = 10 * size // 10**exponent
        if tenths >= 10:
            return f"{tenths // 10}.{tenths % 10} {unit}"
    return f"{size} bytes"


def _integers(entry: Entry) -> int:
    """Bytes of a tensor's integers, not packed."""
    return math.prod(entry.tensor.shape) * np.dtype(entry.tensor.dtype).itemsize


def _file_bytes(entry: Entry, name: str) -> int:
    if name == NPY:
        return _integers(entry)
    memory = entry.memory
    return memory.words * _WORD_BYTES[name](memory)


def _c_word(memory: Memory) -> int:
    """Two spaces, a comma, the end of the line; the word, or the words of 32 bits of a wide one."""
    if memory.word_bits > _C_WIDTHS[-1]:
        return len("  {},\n") + -(-memory.word_bits // 32) * len(", 0x00000000")
    if memory.numbers:
        suffix = len("LL") if memory.word_bits > 32 else 0
        return len("  ,\n") + len(str(-(1 << memory.word_bits - 1))) + suffix
    return len("  0x,\n") + memory.digits + len("ULL")


def _mif_word(memory: Memory) -> int:
    return len(f"{memory.words:x}") + len(" : ;\n") + memory.digits


def _sv_word(memory: Memory) -> int:
    """Its digits and, of the row's macro, which is named four times, what falls to a word."""
    row = 4 * (len(memory.identifier) + 60)
    in_a_row = max(1, min(64, 8192 // memory.word_bits, memory.words))
    return len(f", {memory.word_bits}'h") + memory.digits + -(-row // in_a_row)


_WORD_BYTES = {
    "readmemh": lambda memory: memory.digits + 1,
    "readmemb": lambda memory: memory.word_bits + 1,
    "hex": lambda memory: memory.digits + 1,
    "dat": lambda memory: len(str(1 << memory.word_bits)) + 1,
    "bin": lambda memory: memory.word_bytes,
    "coe": lambda memory: memory.digits + 2,
    "mif": _mif_word,
    "c": _c_word,
    "sv": _sv_word,
}
