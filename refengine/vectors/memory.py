"""Memory: the words that a text format writes and reads, their digits, and the lines they stand on.

Words are arrays as in ``vectors/words.py``: uint8 (n, bytes of a word), byte 0 the lowest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from ..errors import FileError
from ..text import PathLike, printable, shown

HEXADECIMAL, BINARY = 16, 2

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_NUMBER = {HEXADECIMAL: re.compile(rb"[0-9A-Fa-f_]*[0-9A-Fa-f]_*"), BINARY: re.compile(rb"[01_]*[01]_*")}
_NAMES = {HEXADECIMAL: "hexadecimal digits", BINARY: "binary digits"}
_LONGEST_LINE = 1 << 16
_BYTES_AT_ONCE = 1 << 20

Array = np.ndarray[Any, Any]


class Out(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True)
class Memory:
    """``words`` words of ``word_bits`` bits under a name that C and SystemVerilog accept.

    numbers: whether each word is one number in two's complement.
    """

    identifier: str
    word_bits: int
    words: int
    numbers: bool = False

    @property
    def word_bytes(self) -> int:
        """Bytes of an array's row that holds one word."""
        return -(-self.word_bits // 8)

    @property
    def digits(self) -> int:
        """Hexadecimal digits of a word."""
        return -(-self.word_bits // 4)


def identifier(name: str) -> str:
    """A tensor's name as languages accept it.

    >>> identifier("002_layer1.0.conv1/weight"), identifier("images")
    ('l002_layer1_0_conv1_weight', 'images')
    """
    plain = re.sub(r"[^0-9A-Za-z_]", "_", name)
    return f"l{plain}" if plain[:1].isdigit() else plain


# ------------------------------------------------------------------------------------------------------------- writing


def hex_digits(words: Array, word_bits: int) -> Array:
    """Words as ASCII, the highest digit first: uint8 (n, digits)."""
    high_first = words[:, ::-1]
    nibbles = np.stack([high_first >> 4, high_first & 15], axis=2).reshape(len(words), -1)
    return _DIGITS[nibbles[:, nibbles.shape[1] - -(-word_bits // 4) :]]


def binary_digits(words: Array, word_bits: int) -> Array:
    """Words as ASCII, the highest bit first: uint8 (n, word_bits)."""
    bits = np.unpackbits(np.ascontiguousarray(words), axis=1, count=word_bits, bitorder="little")
    return _DIGITS[bits[:, ::-1]]


def numbered(first: int, count: int, digits: int) -> Array:
    """The numbers first, first + 1, ... in hexadecimal, uint8 (count, digits)."""
    octets = np.arange(first, first + count).astype("<u8").view(np.uint8).reshape(-1, 8)
    return hex_digits(octets, 4 * digits)


def rows(*columns: bytes | Array) -> bytes:
    """Lines side by side: the same bytes in each, or uint8 (n, width) with bytes of its own for each."""
    count = max(len(column) for column in columns if not isinstance(column, bytes))
    parts = [
        np.broadcast_to(np.frombuffer(column, np.uint8), (count, len(column))) if isinstance(column, bytes) else column
        for column in columns
    ]
    return np.concatenate(parts, axis=1).tobytes()


def with_last(chunks: Iterable[Array], words: int) -> Iterator[tuple[int, Array, bool]]:
    """(number of its first word, words, whether they hold the last one) for each chunk that has words."""
    first = 0
    for chunk in chunks:
        if len(chunk):
            yield first, chunk, first + len(chunk) == words
        first += len(chunk)


# ------------------------------------------------------------------------------------------------------------- reading


class Lines:
    """The lines of a text file, one after the other, and errors that name them; to be used in a ``with`` block."""

    def __init__(self, path: PathLike) -> None:
        self.name = printable(os.fspath(path))
        self.number = 0
        try:
            self._file = open(path, "rb")  # noqa: SIM115  (closed at the end of the caller's block)
        except OSError as error:
            raise FileError(f"{self.name}: cannot be opened ({error.strerror})") from error

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        """The lines that are left, without their ends."""
        while (line := self._read()) is not None:
            yield line

    def next(self) -> bytes:
        """One line; FileError at the end of the file."""
        line = self._read()
        if line is None:
            self.number += 1
            raise self.error("the file ends here, more was needed")
        return line

    def expect(self, *texts: str) -> None:
        """Lines that can only be these; FileError otherwise."""
        for text in texts:
            line = self.next()
            if line != text.encode():
                raise self.error(f"holds {shown(line)[1:]}, needed {shown(text)}")

    def expect_end(self) -> None:
        """FileError unless the file ends here."""
        line = self._read()
        if line is not None:
            raise self.error(f"holds {shown(line)[1:]}, needed the end of the file")

    def error(self, message: str) -> FileError:
        """A refusal of the line that was read last."""
        return FileError(f"{self.name}: line {self.number} {message}")

    def _read(self) -> bytes | None:
        try:
            line = self._file.readline(_LONGEST_LINE)
        except OSError as error:
            raise FileError(f"{self.name}: cannot be read ({error.strerror})") from error
        if not line:
            return None
        self.number += 1
        if len(line) == _LONGEST_LINE:
            raise self.error(f"is longer than {_LONGEST_LINE - 1} bytes")
        return line.rstrip(b"\r\n")


def number_of(token: bytes, radix: int, memory: Memory, lines: Lines) -> int:
    """The number that digits stand for; FileError where they are others or too large for a word."""
    if not _NUMBER[radix].fullmatch(token):
        raise lines.error(f"holds {shown(token)[1:]}, needed {_NAMES[radix]}")
    return checked(int(token.replace(b"_", b""), radix), memory, lines)


def checked(number: int, memory: Memory, lines: Lines) -> int:
    """The number of a word; FileError if the word has too few bits for it."""
    if number.bit_length() > memory.word_bits:
        raise lines.error(f"holds a number of {number.bit_length()} bits, a word has {memory.word_bits}")
    return number


def gathered(numbers: Iterable[int], memory: Memory, lines: Lines) -> Iterator[Array]:
    """Numbers as words, many at a time; FileError unless there are as many as the memory has."""
    size, count = memory.word_bytes, 0
    most = max(1, _BYTES_AT_ONCE // size)
    waiting: list[bytes] = []
    for number in numbers:
        count += 1
        if count > memory.words:
            raise lines.error(f"begins word {count}, needed are {memory.words} words")
        waiting.append(number.to_bytes(size, "little"))
        if len(waiting) == most:
            yield np.frombuffer(b"".join(waiting), np.uint8).reshape(-1, size)
            waiting = []
    if count < memory.words:
        raise FileError(f"{lines.name}: holds {count} words, needed {memory.words}")
    yield np.frombuffer(b"".join(waiting), np.uint8).reshape(-1, size)
