"""A DUT's arrays and files in the shape of the golden's: what its words hold, in which order, and what is not there.

What a file does not say follows from the golden (``Expected``, of a pack its manifest) and ``Reading``, the options.
An interpretation is chosen by the format alone: by counts, widths, and whether numbers fit the bits of the stage; never
by whether they are the golden's.  Every choice that could have been another one is a note.  Nothing is cut or filled in
silence: what is too much or too little is a ``Complaint`` about values that are compared as far as they go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...vectors.orders import Order
from ...vectors.words import Packing, unpack, unpack_masks, word_count
from .expected import Expected
from .reading import Reading
from .word_sources import ArrayWords, HeldWords, Words

_SAMPLE = 1 << 20  # words that are looked at where a width has to be made out

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


# ------------------------------------------------------------------------------------------------ integers out of words


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


# -------------------------------------------------------------------------------------------- what a row of words holds


def fitted_words(
    source: Words, expected: Expected, reading: Reading, typeless: bool = True
) -> tuple[Fitted, list[str]]:
    """A row of words as the array that is expected, and what is to be said of how it was read."""
    notes: list[str] = []
    decoder = _decoder(source, expected, reading, notes, typeless)
    stored = stored_elements(expected, reading)
    needed = expected.images * decoder.words_of(stored)
    complaints = tuple(_complaints(source, needed, decoder.words_of(stored), expected))
    if expected.order != expected.axes and reading.order is None:
        notes.append(f"{source.place}: read in the order {expected.order}, as the manifest has it")
    return Fitted(source, decoder, expected, reading, complaints, typeless), notes


def _complaints(source: Words, needed: int, words: int, expected: Expected) -> Iterator[Complaint]:
    found = source.count
    there = source.present(0, min(found, needed))
    gone = 0 if there is None else int(np.count_nonzero(~there))
    if gone:
        first = int(np.argmax(~there)) if there is not None else 0
        yield Complaint(MISSING_WORDS, f"{source.place}: {_some_words(gone)} missing, the first is word {first}")
    if found < needed:
        images = f" ({found // words} of {expected.images} images)" if found and not found % words else ""
        missing = f"word {found} is" if needed - found == 1 else f"words {found}..{needed - 1} are"
        yield Complaint(
            MISSING_WORDS, f"{source.place}: holds {found} words, needed {needed}: {missing} missing{images}"
        )
    if found > needed:
        extra = f"word {needed} is" if found - needed == 1 else f"words {needed}..{found - 1} are"
        yield Complaint(
            WRONG_WORDS,
            f"{source.place}: holds {found} words, needed {needed}: {extra} more than there should be "
            f"({source.where(needed)})",
        )


def _some_words(count: int) -> str:
    return "1 word is" if count == 1 else f"{count} words are"


def _decoder(source: Words, expected: Expected, reading: Reading, notes: list[str], typeless: bool) -> Decoder:
    """What a word holds: as the option says, as the manifest says, or as many integers as the count of words leaves."""
    stored, found, manifest = stored_elements(expected, reading), source.count, expected.packing
    one, packed = expected.images * stored, expected.images * expected.words(manifest, stored)
    several = manifest.elements != 1
    width = reading.word_bits or source.width
    if reading.pack is not None:
        count, first = reading.pack
        if count == 1:
            return _one(source, expected, reading, notes, typeless)
        return Packed(_packing(expected, width or 8 * source.size, count, first))
    if manifest.elements == 1 and _is_turned(source, width, manifest):
        notes.append(f"{source.place}: the bytes of each word are turned around, as the manifest has it")
        return Packed(manifest)
    decimal = source.numbers and typeless  # text whose words are as long as their numbers
    holds = decimal or 8 * source.size >= max(1, manifest.elements) * manifest.bits
    if several and holds and (found == packed or (found != one and abs(found - packed) < abs(found - one))):
        return Packed(manifest, decimal and source.signed)
    if found and found < one and one % found == 0 and stored % (one // found) == 0:
        count = one // found
        bits = width or 8 * source.size
        if bits >= count * expected.bits and not _fit_one(source, expected):
            notes.append(
                f"{source.place}: each word of {bits} bits holds {count} integers, the first in the low bits "
                f"(--pack {count},high-first has it in the high ones)"
            )
            return Packed(_packing(expected, bits, count, "low"))
    return _one(source, expected, reading, notes, typeless)


def _is_turned(source: Words, width: int | None, manifest: Packing) -> bool:
    """Whether words are text of the manifest's width, which has their bytes in reverse order."""
    is_text = isinstance(source, HeldWords) and not source.numbers
    return is_text and manifest.endian == "big" and 8 < manifest.word_bits == width


def _packing(expected: Expected, word_bits: int, count: int, first: str) -> Packing:
    bits = min(expected.bits, 64 if expected.signed else 63)
    return Packing(bits, expected.signed, max(word_bits, count * bits), count, first)


def _fit_one(source: Words, expected: Expected) -> bool:
    """Whether each of some words is one integer of the stage."""
    words = source.take(0, min(source.count, _SAMPLE))
    high = words[:, -(-expected.bits // 8) :]
    return bool(((high == 0).all(axis=1) | ((high == 255).all(axis=1) & expected.signed)).all())


def _one(source: Words, expected: Expected, reading: Reading, notes: list[str], typeless: bool) -> OneCode:
    """A word is one integer: its sign bit is that of the stage's width, or of a word that is wider or narrower."""
    bits, signed = expected.bits, expected.signed
    if typeless and signed and reading.word_bits is None:
        notes.extend(_zero_extended(source, expected))
    if source.numbers:
        if typeless and signed and reading.word_bits is not None and _unsigned_numbers(source, reading.word_bits):
            return OneCode(False, False, reading.word_bits, True)
        if typeless and signed and _unsigned_numbers(source, bits):
            notes.append(f"{source.place}: no number has a sign, read as two's complement of {bits} bits")
            return OneCode(False, False, bits, True)
        return OneCode(True, source.signed, bits, signed)
    width = reading.word_bits or source.width
    if width is None or width > 64:
        return OneCode(False, False, bits, signed)
    if not signed:
        # a wider word of an unsigned stage is unsigned, unless its highest bit is set: -1 is no code, and stays -1
        return OneCode(False, False, 64, False) if width <= bits else OneCode(False, False, width, width > bits)
    if width <= bits:
        if width < bits and _any(source, width - 1, width):
            notes.append(f"{source.place}: words of {width} bits, in two's complement (--word-bits says another width)")
        return OneCode(False, False, width, True)
    if not _any(source, bits, width) and _any(source, bits - 1, bits):
        notes.append(f"{source.place}: integers of {bits} bits in words of {width}, filled up with zeros")
        return OneCode(False, False, bits, True)
    return OneCode(False, False, width, True)


def _unsigned_numbers(source: Words, bits: int) -> bool:
    """Whether numbers without a sign are all of ``bits`` bits, and some of them too large for a signed one."""
    values = OneCode(True, source.signed, bits, True).integers(source.take(0, source.count), source.count)
    return len(values) > 0 and int(values.min()) >= 0 and 1 << bits - 1 <= int(values.max()) < 1 << min(bits, 62)


def _zero_extended(source: Words, expected: Expected) -> Iterator[str]:
    """A note where words of a signed stage look like negative numbers of fewer bits without the bits above.

    They are all positive, some are near 2**bits, and none lies in the half between: only a sign makes such a gap.
    """
    if source.size > 8 or not source.count:
        return
    filled = np.zeros((min(source.count, _SAMPLE), 8), np.uint8)
    filled[:, : source.size] = source.take(0, len(filled))
    values = filled.view("<i8").reshape(-1)
    bits = int(values.max()).bit_length()
    if values.min() < 0 or not 4 < bits < min(expected.bits, source.width or 64):
        return
    quarter = 1 << bits - 2
    if not ((values >= quarter) & (values < 3 * quarter)).any() and (values < quarter).any():
        yield (
            f"{source.place}: no word is negative, and many are just below 2**{bits}: "
            f"--word-bits {bits} reads them as numbers of {bits} bits with a sign"
        )


def _any(source: Words, low: int, high: int) -> bool:
    """Whether any of some words has a bit of low..high-1 set."""
    mask = (1 << high) - (1 << low)
    octets = np.frombuffer(mask.to_bytes(source.size + 8, "little"), np.uint8)[: source.size]
    return bool((source.take(0, min(source.count, _SAMPLE)) & octets).any())


# --------------------------------------------------------------------------------------------------------------- arrays


def are_whole(block: Array) -> Array:
    """Which floats are whole numbers that their type and int64 hold exactly.

    >>> are_whole(np.array([2.0, 2.5, np.nan, -np.inf, 2.0**63])).tolist()
    [True, False, False, False, False]
    """
    found = np.isfinite(block) & (np.abs(block) < 2.0**62)
    found[found] = block[found] % 1 == 0
    return found


@dataclass(frozen=True, eq=False)
class WholeFloats:
    """Floats that are whole numbers, as integers; FileError where one is not."""

    values: Any
    place: str

    @property
    def shape(self) -> tuple[int, ...]:
        """As stored."""
        found: tuple[int, ...] = self.values.shape
        return found

    @property
    def dtype(self) -> np.dtype[Any]:
        """int64."""
        return np.dtype(np.int64)

    @property
    def chunk_rows(self) -> int:
        """As stored."""
        return int(self.values.chunk_rows)

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1."""
        block = self.values.read(start, stop)
        whole = are_whole(block)
        if not whole.all():
            place = tuple(int(i) for i in np.unravel_index(int(np.argmin(whole)), block.shape))
            raise FileError(
                f"{self.place}: holds {block[place]} at {[start + place[0], *place[1:]]}, needed whole numbers"
            )
        return block.astype(np.int64)


def fitted_array(values: Any, place: str, expected: Expected, reading: Reading) -> tuple[Any, list[str]]:
    """An array of integers in the shape that is expected, where it is that array in rows, packed or in another order.

    What has another shape for no reason that is known stays as it is, for the comparison to say so.
    """
    shape, wanted = tuple(values.shape), expected.shape
    if reading.pack is not None:
        return fitted_words(ArrayWords(values, place), expected, reading, typeless=False)
    per_image = reading.order is not None and len(wanted) == 4
    if per_image and reading.order is not None:
        stored = reading.order.stored_shape(wanted[1:])
        count = math.prod(shape) // math.prod(stored)
        merged = (*stored[:-2], stored[-2] * stored[-1]) if reading.order.axes.endswith("C") else stored
        alone = (stored, merged) if count == 1 else ()
        known = ((count, *stored), (count, *merged), *alone, *rows_of(count, math.prod(stored)), wanted)
        if count * math.prod(stored) == math.prod(shape) and shape in known:
            found = replace(expected, shape=(count, *wanted[1:]), order=expected.axes)
            return fitted_words(ArrayWords(values, place), found, reading, typeless=False)
        return values, []
    if shape == wanted or shape == wanted[1:]:
        return values, []
    plain = replace(reading, order=None)
    total = math.prod(shape)
    squeezed = tuple(length for length in shape if length > 1)
    in_rows = {tuple(length for length in rows if length > 1) for rows in rows_of(wanted[0], expected.elements)}
    if total == math.prod(wanted) and squeezed in in_rows:
        return fitted_words(ArrayWords(values, place), expected, plain, typeless=False)
    count = expected.images * expected.elements // max(1, total)
    words = 8 * int(values.dtype.itemsize)
    manifest = expected.packing
    if manifest.elements != 1 and total == expected.images * expected.words(manifest) and words >= manifest.word_bits:
        return fitted_words(ArrayWords(values, place), expected, plain, typeless=False)
    if (
        count > 1
        and total * count == math.prod(wanted)
        and words >= count * expected.bits
        and _is_packed(shape, wanted)
    ):
        return fitted_words(ArrayWords(values, place), expected, plain, typeless=False)
    return values, []


def rows_of(images: int, elements: int) -> tuple[tuple[int, ...], ...]:
    """Shapes that have no axes but that of the images."""
    return (images, elements), (images * elements,)


def _is_packed(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether words that hold several integers each may have such a shape: rows, or a shorter last axis."""
    return len([length for length in shape if length > 1]) <= 2 or shape[:-1] == wanted[:-1] or shape == wanted[1:-1]
