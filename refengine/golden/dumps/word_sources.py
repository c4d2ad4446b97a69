"""Rows of words as a DUT wrote them, before anybody says what they hold: raw files, texts, arrays.

A word is uint8 (bytes,), byte 0 the lowest.  ``numbers`` says that words are integers as they stand (decimal text,
arrays of integers), signed or not; otherwise they are bits, ``width`` of them where the file says how many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import FileError
from ...vectors.word_text import DECIMAL, Grammar, Survey, chunks, decimal_bytes, tokens_of
from .npy_arrays import guarded

Array = np.ndarray[Any, Any]


class Words(Protocol):
    """``count`` words that ``take`` reads; see above."""

    @property
    def place(self) -> str:
        """What messages call it."""
        ...

    @property
    def count(self) -> int:
        """How many words there are, or reach up to."""
        ...

    @property
    def size(self) -> int:
        """Bytes of a word."""
        ...

    @property
    def numbers(self) -> bool:
        """Whether each word is an integer as it stands."""
        ...

    @property
    def signed(self) -> bool:
        """Of numbers: whether they are in two's complement."""
        ...

    @property
    def width(self) -> int | None:
        """Bits of a word, None where nothing says it."""
        ...

    def take(self, start: int, stop: int) -> Array:
        """Words start..stop-1, uint8 (n, size)."""
        ...

    def unknown(self, start: int, stop: int) -> Array | None:
        """Masks of their unknown bits, None where all are known."""
        ...

    def present(self, start: int, stop: int) -> Array | None:
        """Which of them are there, None where all are."""
        ...

    def where(self, word: int) -> str:
        """Where a word stands, for messages."""
        ...


class Known:
    """What all sources have whose words are all there and all known."""

    def unknown(self, start: int, stop: int) -> Array | None:
        """None."""
        return None

    def present(self, start: int, stop: int) -> Array | None:
        """None."""
        return None

    def where(self, word: int) -> str:
        """Its number."""
        return f"word {word}"


@dataclass(frozen=True, eq=False)
class RawWords(Known):
    """A file of words of ``size`` bytes each; ``big``: the highest byte first."""

    path: Path
    place: str
    count: int
    size: int
    big: bool = False
    numbers: bool = False
    signed: bool = False

    @property
    def width(self) -> int | None:
        """All bits of its bytes."""
        return 8 * self.size

    def take(self, start: int, stop: int) -> Array:
        """Words start..stop-1."""
        with guarded(self.place), open(self.path, "rb") as file:
            file.seek(start * self.size)
            data = file.read((stop - start) * self.size)
        if len(data) != (stop - start) * self.size:
            raise FileError(f"{self.place}: is truncated, word {start + len(data) // self.size} is not there")
        words = np.frombuffer(data, np.uint8).reshape(-1, self.size)
        return words[:, ::-1] if self.big else words

    def where(self, word: int) -> str:
        """Word and byte."""
        return f"word {word}, byte {word * self.size}"


@dataclass(frozen=True, eq=False)
class ArrayWords(Known):
    """The integers of an array, row by row; ``values`` is read in rows of its first axis."""

    values: Any
    place: str

    @property
    def _row(self) -> int:
        return math.prod(self.values.shape[1:])

    @property
    def count(self) -> int:
        """Of all its integers."""
        return math.prod(self.values.shape)

    @property
    def size(self) -> int:
        """As stored."""
        return int(self.values.dtype.itemsize)

    @property
    def numbers(self) -> bool:
        """True."""
        return True

    @property
    def signed(self) -> bool:
        """As its type."""
        return bool(self.values.dtype.kind == "i")

    @property
    def width(self) -> int | None:
        """Of its type."""
        return 8 * self.size

    def integers(self, start: int, stop: int) -> Array:
        """Integers start..stop-1, in the array's type."""
        row = self._row
        first, last = start // row, -(-stop // row)
        flat = np.ascontiguousarray(self.values.read(first, last)).reshape(-1)
        return flat[start - first * row : stop - first * row]

    def take(self, start: int, stop: int) -> Array:
        """Words start..stop-1."""
        found = self.integers(start, stop)
        return np.ascontiguousarray(found, found.dtype.newbyteorder("<")).view(np.uint8).reshape(-1, self.size)


@dataclass(frozen=True, eq=False)
class HeldWords:
    """Words in memory.  masks: of unknown bits.  there: which are there.  places: what ``where`` says of each."""

    place: str
    words: Array
    numbers: bool = False
    signed: bool = False
    width: int | None = None
    masks: Array | None = None
    there: Array | None = None
    places: Any = None

    @property
    def count(self) -> int:
        """All."""
        return len(self.words)

    @property
    def size(self) -> int:
        """Bytes of a word."""
        return int(self.words.shape[1])

    def take(self, start: int, stop: int) -> Array:
        """Words start..stop-1."""
        found: Array = self.words[start:stop]
        return found

    def unknown(self, start: int, stop: int) -> Array | None:
        """Masks of their unknown bits."""
        return None if self.masks is None else self.masks[start:stop]

    def present(self, start: int, stop: int) -> Array | None:
        """Which of them are there."""
        return None if self.there is None else self.there[start:stop]

    def where(self, word: int) -> str:
        """Its number, or what ``places`` says."""
        return f"word {word}" if self.places is None else str(self.places(word))


# ----------------------------------------------------------------------------------------------------------------- text


@dataclass
class Placed:
    """Addresses of a text's words: runs of (address, number of the first word); what is twice, and differs or not."""

    runs: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0

    def add(self, addresses: Sequence[tuple[int, int]], words: int) -> None:
        """What a chunk of words has."""
        self.runs += [(address, self.count + place) for place, address in addresses]
        self.count += words

    def of_words(self) -> Array:
        """The address of each word, int64 (n,)."""
        runs = self.runs if self.runs and self.runs[0][1] == 0 else [(0, 0), *self.runs]
        firsts = np.array([first for _, first in runs], np.int64)
        lengths = np.diff([*firsts, self.count])
        starts = np.repeat(np.array([address for address, _ in runs], np.int64) - firsts, lengths)
        found: Array = starts + np.arange(self.count)
        return found


@dataclass(frozen=True, eq=False)
class TextWords:
    """All words of a text in one radix, in the order of the text, with their addresses where it has some."""

    words: Array
    masks: Array | None
    addresses: Array | None
    first_unknown: int | None


def text_words(path: Path, grammar: Grammar, radix: int, found: Survey) -> TextWords:
    """The words of a text that ``survey`` has looked at; FileError with the line for what no such word is."""
    size = word_size(radix, found)
    beyond = max(2, found.longest_unprefixed) if 0 < found.prefixed < found.words else 2
    words = np.zeros((found.words, size), np.uint8)
    masks: Array | None = None
    placed, first_unknown = Placed(), None
    for chunk in chunks(path, grammar, radix, size, beyond if found.prefixed else 4096):
        start, stop = placed.count, placed.count + len(chunk.words)
        if stop > found.words:
            raise FileError(f"{grammar.name}: changed while it was read")
        words[start:stop] = chunk.words
        if chunk.unknown is not None:
            masks = np.zeros_like(words) if masks is None else masks
            masks[start:stop] = chunk.unknown
            if first_unknown is None:
                first_unknown = start + int(chunk.unknown.any(axis=1).argmax())
        placed.add(chunk.addresses, len(chunk.words))
    return TextWords(words, masks, placed.of_words() if placed.runs else None, first_unknown)


def word_size(radix: int, found: Survey) -> int:
    """Bytes that hold the longest word of a text."""
    if radix == DECIMAL:
        return 8 if found.largest is None else decimal_bytes(found.largest)
    return max(1, -(-found.longest * (1 if radix == 2 else 4) // 8))


def line_of(path: Path, grammar: Grammar, word: int) -> int | None:
    """The line of a word of a text, which is read again up to there."""
    count = 0
    for tokens in tokens_of(path, grammar):
        if word < count + len(tokens.starts):
            return tokens.line_of(word - count)
        count += len(tokens.starts)
    return None
