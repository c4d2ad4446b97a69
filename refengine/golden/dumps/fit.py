"""A DUT's arrays and files in the shape of the golden's: what its words hold, in which order, and what is not there.

What a file does not say follows from the golden (``Expected``, of a pack its manifest) and ``Reading``, the options.
An interpretation is chosen by the format alone: by counts, widths, and whether numbers fit the bits of the stage; never
by whether they are the golden's.  Every choice that could have been another one is a note.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import FileError
from ...vectors.words import Packing
from .expected import Expected
from .fitted import MISSING_WORDS, WRONG_WORDS, Array, Complaint, Decoder, Fitted, OneCode, Packed, stored_elements
from .reading import Reading
from .word_sources import ArrayWords, HeldWords, Words

_SAMPLE = 1 << 20  # words that are looked at where a width has to be made out


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
