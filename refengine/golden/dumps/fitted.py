"""Words as integers: what one word holds, and a row of words as an array of the golden's shape, read image by image.

Nothing is cut or filled in silence: what is unknown or missing is in ``Marks``, what is too much or too little is a
``Complaint`` about values that are compared as far as they go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...vectors.orders import Order
from ...vectors.words import Packing, unpack, unpack_masks, word_count
from .expected import Expected
from .reading import Reading
from .word_sources import Words

Array = np.ndarray[Any, Any]

MISSING_WORDS, WRONG_WORDS = "missing", "not comparable"


@dataclass(frozen=True)
class Complaint:
    """What is wrong with values that are compared all the same; kind: MISSING_WORDS or WRONG_WORDS."""

    kind: str
    why: str


@dataclass(frozen=True, eq=False)
class Marks:
    """Of some images: masks of unknown bits, and which integers are missing; None where there are none."""

    unknown: Array | None
    missing: Array | None


def marks_of(values: Any, start: int, stop: int) -> Marks | None:
    """What is unknown or missing in some images of any values."""
    found = getattr(values, "marks", None)
    return None if found is None else found(start, stop)


def complaints_of(values: Any) -> tuple[Complaint, ...]:
    """What is wrong with any values as a whole."""
    found: tuple[Complaint, ...] = getattr(values, "complaints", ())
    return found


@dataclass(frozen=True)
class OneCode:
    """A word is an integer.  bits, signed: of the integer.  extended: bits of the word from which its sign is taken."""

    numbers: bool
    number_signed: bool
    bits: int
    signed: bool

    def words_of(self, elements: int) -> int:
        """As many."""
        return elements

    def integers(self, words: Array, count: int) -> Array:
        """int64 (count,)."""
        size = words.shape[1]
        if size > 8:
            high, words = words[:, 8:], words[:, :8]
            if (high != np.where(words[:, 7:8] >> 7, 255 if self.signed else 0, 0)).any() or self.numbers:
                raise RangeError(f"holds a word of {8 * size} bits that is no integer of {self.bits} bits")
            size = 8
        filled = np.zeros((len(words), 8), np.uint8)
        filled[:, :size] = words
        if self.numbers and self.number_signed and size < 8:
            filled[:, size:] = np.where(words[:, size - 1 :] >> 7, 255, 0)
        values = filled.view("<u8").reshape(-1).astype(np.uint64)
        if self.numbers:
            if not self.number_signed and len(values) and int(values.max()) >= 2**63:
                raise RangeError(f"holds {int(values.max())}, no stage of any layer goes beyond 2**63 - 1")
            return values.view(np.int64)
        if self.signed:
            beyond = 64 - self.bits
            lost = values >> np.uint64(self.bits) if self.bits < 64 else np.zeros(1, np.uint64)
            found = (values << np.uint64(beyond)).view(np.int64) >> beyond
            return np.where(lost != 0, values.view(np.int64), found) if lost.any() else found
        return values.view(np.int64)

    def masks(self, words: Array, count: int) -> Array:
        """Unknown bits, uint64 (count,)."""
        filled = np.zeros((len(words), 8), np.uint8)
        filled[:, : min(8, words.shape[1])] = words[:, :8]
        return filled.view("<u8").reshape(-1).astype(np.uint64)


@dataclass(frozen=True)
class Packed:
    """A word holds several integers, as ``packing`` says; every image begins with a new word.

    signed_words: of words that are signed numbers as they stand, so that a shorter one is extended by its sign.
    """

    packing: Packing
    signed_words: bool = False

    def words_of(self, elements: int) -> int:
        """Rounded up."""
        return word_count(elements, self.packing)

    def integers(self, words: Array, count: int) -> Array:
        """int64 (count,)."""
        return unpack(self._sized(words), count, self.packing)

    def masks(self, words: Array, count: int) -> Array:
        """Unknown bits, uint64 (count,)."""
        return unpack_masks(self._sized(words), count, self.packing)

    def _sized(self, words: Array) -> Array:
        size = self.packing.word_bytes
        if words.shape[1] > size:
            if words[:, size:].any():
                raise RangeError(f"holds a word of more than {self.packing.word_bits} bits")
            return words[:, :size]
        found = np.zeros((len(words), size), np.uint8)
        found[:, : words.shape[1]] = words
        if self.signed_words:
            found[:, words.shape[1] :] = np.where(words[:, -1:] >= 128, 255, 0)
        return found


Decoder = OneCode | Packed


@dataclass(frozen=True, eq=False)
class Fitted:
    """Words as the array that is expected: (N, ...), read image by image.

    order: of what is stored.  typeless: whether the file says no type, so that none can be wrong.
    """

    source: Words
    decoder: Decoder
    expected: Expected
    reading: Reading
    complaints: tuple[Complaint, ...] = ()
    typeless: bool = True
    chunk_rows: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The golden's."""
        return self.expected.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The golden's, or the type of an array whose integers are not packed."""
        if self.typeless or isinstance(self.decoder, Packed):
            return self.expected.dtype
        return np.dtype(f"{'i' if self.source.signed else 'u'}{self.source.size}")

    @property
    def stored(self) -> int:
        """Integers of an image as they are stored, those with it that only fill blocks of channels."""
        return stored_elements(self.expected, self.reading)

    @property
    def words(self) -> int:
        """Words of an image."""
        return self.decoder.words_of(self.stored)

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1; what is missing is 0, and so are unknown bits."""
        flat = self._of_images(start, stop, self.source.take, self.decoder.integers, np.int64)
        found = self._arranged(flat)
        if not self.typeless and isinstance(self.decoder, OneCode):
            return found.astype(self.dtype)
        limits = np.iinfo(self.expected.dtype)
        fits = not found.size or (limits.min <= int(found.min()) and int(found.max()) <= limits.max)
        return found.astype(self.expected.dtype) if fits else found

    def marks(self, start: int, stop: int) -> Marks | None:
        """What is unknown or missing in images start..stop-1."""
        words, count = self.words, self.source.count
        first, last = start * words, min(stop * words, count)
        masks = self.source.unknown(first, last) if first < last else None
        there = self.source.present(first, last) if first < last else None
        unknown = missing = None
        if masks is not None and masks.any():
            flat = self._of_images(start, stop, self.source.unknown, self.decoder.masks, np.uint64)
            unknown = self._arranged(flat, check=False)
        if stop * words > count or (there is not None and not there.all()):
            gone = np.ones((stop - start) * words, bool)
            gone[: max(0, last - first)] = False if there is None else ~there
            elements = np.arange((stop - start) * self.stored) % self.stored
            image = np.arange((stop - start) * self.stored) // self.stored
            missing = gone[image * words + self._word_of(elements)].reshape(stop - start, -1)
            missing = self._arranged(missing, check=False)
        return None if unknown is None and missing is None else Marks(unknown, missing)

    def where(self, image: int, *index: int) -> str:
        """Where an integer stands in its file."""
        return self.source.where(self.word_of(image, *index))

    def word_of(self, image: int, *index: int) -> int:
        """The word that holds an integer."""
        element = int(places_of(self.expected, self.reading)[index])
        return image * self.words + int(self._word_of(np.array([element]))[0])

    def flat(self) -> Array | None:
        """All integers in the order of the words, those with them that are too many; None where words are packed."""
        if not isinstance(self.decoder, OneCode):
            return None
        return self.decoder.integers(self.source.take(0, self.source.count), self.source.count)

    def flattened(self, block: Array) -> Array | None:
        """Images (n, ...) as they would be stored; None in orders with channels that only fill blocks."""
        if self.stored != self.expected.elements:
            return None
        places = places_of(self.expected, self.reading)
        found = np.empty((len(block), self.stored), block.dtype)
        found[:, places.reshape(-1)] = block.reshape(len(block), -1)
        return found.reshape(-1)

    def _word_of(self, elements: Array) -> Array:
        if isinstance(self.decoder, OneCode):
            return elements
        packing = self.decoder.packing
        if packing.straddles:
            return elements * packing.bits // packing.word_bits
        return elements // packing.elements

    def _of_images(self, start: int, stop: int, take: Any, decode: Any, dtype: Any) -> Array:
        words, count = self.words, self.source.count
        found = np.zeros((stop - start, self.stored), dtype)
        try:
            if isinstance(self.decoder, OneCode) and stop * words <= count:
                taken = take(start * words, stop * words)
                return decode(taken, len(taken)).reshape(stop - start, -1)
            for n in range(start, stop):
                first, last = n * words, min((n + 1) * words, count)
                if last <= first:
                    continue
                taken = take(first, last)
                if taken is None:
                    continue
                if last - first < words:
                    taken = np.concatenate([taken, np.zeros((words - (last - first), taken.shape[1]), np.uint8)])
                found[n - start] = decode(taken, self.stored)
        except RangeError as error:
            raise FileError(f"{self.source.place}: image {start}: {error}") from None
        return found

    def _arranged(self, flat: Array, check: bool = True) -> Array:
        """(n, stored) in the axes of a trace; FileError where what only fills blocks of channels is not 0."""
        found, filling = _as_trace(flat, self.expected, self.reading)
        if check and filling is not None and filling.any():
            raise FileError(
                f"{self.source.place}: channels from {self.shape[-1]} on, which only fill blocks, are not 0"
            )
        return np.ascontiguousarray(found)


def _as_trace(flat: Array, expected: Expected, reading: Reading) -> tuple[Array, Array | None]:
    """(n, stored) in the axes of a trace, and what only fills blocks of channels."""
    shape, order = expected.shape[1:], _order(expected, reading)
    if order is not None:
        return order.as_trace(flat, shape)
    axes = [expected.axes.index(axis) - 1 for axis in expected.order[1:]]
    there = flat.reshape(len(flat), *(shape[axis] for axis in axes))
    return there.transpose(0, *(1 + axes.index(axis) for axis in range(len(shape)))), None


def places_of(expected: Expected, reading: Reading) -> Array:
    """The number of each integer of an image among those that are stored, in the axes of a trace."""
    numbers = np.arange(stored_elements(expected, reading), dtype=np.int64)[None]
    found: Array = _as_trace(numbers, expected, reading)[0][0]
    return found


def stored_elements(expected: Expected, reading: Reading) -> int:
    """Integers of an image as they are stored."""
    order = _order(expected, reading)
    return expected.elements if order is None else math.prod(order.stored_shape(expected.shape[1:]))


def _order(expected: Expected, reading: Reading) -> Order | None:
    """What the option says of an image's axes, or the manifest of blocks of channels."""
    return reading.order if reading.order is not None and len(expected.shape) == 4 else expected.blocked
