"""Raw files (.bin): words of whole bytes, one after the other, the lowest byte first; bits above a word are 0."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import FileError
from ..text import PathLike, printable
from .memory import Array, Memory, Out

_BYTES_AT_ONCE = 1 << 20


def write(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words as bytes."""
    for words in chunks:
        out.write(np.ascontiguousarray(words).tobytes())


def read(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a file; FileError where it has other bytes than the words of the memory."""
    name, size = printable(os.fspath(path)), memory.word_bytes
    try:
        with open(path, "rb") as file:
            found, wanted = os.fstat(file.fileno()).st_size, memory.words * size
            if found != wanted:
                raise FileError(f"{name}: has {found} bytes, needed {memory.words} words of {size} bytes, {wanted}")
            first = 0
            while data := file.read(max(1, _BYTES_AT_ONCE // size) * size):
                words = np.frombuffer(data, np.uint8).reshape(-1, size)
                _check_width(words, memory, name, first)
                first += len(words)
                yield words
    except OSError as error:
        raise FileError(f"{name}: cannot be read ({error.strerror})") from error


def _check_width(words: Array, memory: Memory, name: str, first: int) -> None:
    unused = 256 - (1 << (memory.word_bits - 1) % 8 + 1)
    wide = words[:, -1] & unused != 0
    if wide.any():
        raise FileError(
            f"{name}: word {first + int(wide.argmax())} has bits above the {memory.word_bits} bits of a word"
        )
