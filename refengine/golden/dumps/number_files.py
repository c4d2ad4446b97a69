"""Files of numbers as simulators, testbenches and tools write them: text of any kind, or raw words.

========================================  ==========================================================================
ending                                    what it is
========================================  ==========================================================================
.memh .memb .mem .hex                     $writememh and $writememb: comments, addresses in any order, x and z
.txt .dat .csv                            numbers in any radix, a line each or several; tables with names of columns
.coe .mif                                 memories of AMD's and Intel's tools
.bin .raw                                 words of whole bytes
========================================  ==========================================================================

A file alone says little: ``fitted_file`` takes the rest from the golden and from the options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError
from ...text import shown
from ...vectors.coe import CoeGrammar
from ...vectors.columns import ColumnGrammar, column_of, table_of
from ...vectors.manifest import Entry
from ...vectors.mif import MifGrammar
from ...vectors.readmem import ReadmemGrammar
from ...vectors.word_text import DECIMAL, HEXADECIMAL, Grammar, Survey, survey, tokens_of
from .expected import Expected, of_entry
from .fit import are_whole, fitted_words
from .fitted import Fitted, stored_elements
from .npy_arrays import guarded
from .radix import FLOATS, radix_of
from .reading import Reading
from .table_rows import refuse_twins, rows_of_table
from .word_sources import HeldWords, RawWords, Words, line_of, text_words

READMEM = (".memh", ".memb", ".mem", ".hex")
TEXT = (*READMEM, ".txt", ".dat", ".csv", ".coe", ".mif")
RAW = (".bin", ".raw")
ENDINGS = (*TEXT, *RAW)
_HEAD = 1 << 12
_MAX_WORDS = 1 << 31

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class NumberFile:
    """A file of numbers that nobody has read yet; without a golden it is no array, and reading it raises FileError."""

    path: Path
    place: str
    shape: tuple[int, ...] = (0,)
    dtype: np.dtype[Any] = np.dtype(np.uint8)  # noqa: RUF009  (a type is no mutable default)
    chunk_rows: int = 1

    @property
    def ending(self) -> str:
        """In lower case."""
        return self.path.suffix.lower()

    def read(self, start: int, stop: int) -> Array:
        """FileError."""
        raise FileError(f"{self.place}: is a file of numbers, which a golden must give a shape")


def is_number_file(name: str) -> bool:
    """Whether a name ends as a file of numbers does."""
    return Path(name).suffix.lower() in ENDINGS


def fitted_file(file: NumberFile, expected: Expected, reading: Reading, stage: str) -> tuple[Fitted, list[str]]:
    """A file of numbers as the array that is expected, and what is to be said of how it was read."""
    with guarded(file.place):
        with open(file.path, "rb") as opened:
            head = opened.read(_HEAD)
        if not file.path.stat().st_size:
            raise FileError(f"{file.place}: is empty")
        if file.ending in TEXT and _is_utf_16(head):
            raise FileError(f"{file.place}: is text in UTF-16, needed ASCII or UTF-8")
        if file.ending in RAW or (file.ending not in READMEM and _is_raw(head)):
            source, notes = _raw(file, expected, reading)
        else:
            source, notes = _text(file, head, expected, reading, stage)
        found, said = fitted_words(source, expected, reading)
    return found, [*notes, *said]


def fitted_pack_file(path: Path, place: str, entry: Entry, reading: Reading) -> tuple[Fitted, list[str]]:
    """A text file of a DUT's pack that a simulator wrote, as the manifest has it."""
    plain = Reading(radix=reading.radix)
    return fitted_file(NumberFile(path, place), of_entry(entry), plain, entry.tensor.part)


def _is_utf_16(head: bytes) -> bool:
    """Whether a file begins with the mark of UTF-16 and ASCII characters in it."""
    mark, rest = head[:2], head[2:34]
    return {b"\xff\xfe": rest[1::2], b"\xfe\xff": rest[::2]}.get(mark, b"") == bytes(len(rest) // 2) != b""


def _is_raw(head: bytes) -> bool:
    """Whether a file has bytes that no text of numbers and comments has."""
    if any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in head):
        return True
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start < len(head) - 3  # the head may end within a character
    return False


# ------------------------------------------------------------------------------------------------------------ raw words


def _raw(file: NumberFile, expected: Expected, reading: Reading) -> tuple[Words, list[str]]:
    """Words of whole bytes: as wide as an option says, as the manifest has them, or as their count leaves."""
    size = file.path.stat().st_size
    notes: list[str] = []
    manifest, stored = expected.packing, stored_elements(expected, reading)
    one = expected.images * stored
    if reading.word_bits is not None:
        word = -(-reading.word_bits // 8)
    elif reading.pack is not None:
        word = max(1, size * reading.pack[0] // one)
    elif manifest.elements != 1 and size == expected.images * expected.words(manifest, stored) * manifest.word_bytes:
        word = manifest.word_bytes
    else:
        least = -(-expected.bits // 8)
        usual = sorted({least, *(width for width in (1, 2, 4, 8) if width >= least)})
        word = size // one if size % one == 0 and least <= size // one <= 8 else 0
        word = word or min(usual, key=lambda width: abs(size / width - one))
        if word != least:
            notes.append(f"{file.place}: each integer of {expected.bits} bits has a word of {8 * word}")
    if size % word:
        raise FileError(
            f"{file.place}: has {size} bytes, needed a multiple of {word}: words of {8 * word} bits (--word-bits)"
        )
    source = RawWords(file.path, file.place, size // word, word)
    if reading.endian is not None or word == 1:
        return RawWords(file.path, file.place, size // word, word, reading.endian == "big"), notes
    if manifest.elements != 1 and word == manifest.word_bytes:
        return source, notes  # the manifest's packing says which byte is first
    big = RawWords(file.path, file.place, size // word, word, True)
    default = big if manifest.endian == "big" else source
    other = source if manifest.endian == "big" else big
    if not _fits(default, expected) and _fits(other, expected):
        order = "lowest" if manifest.endian == "big" else "highest"
        notes.append(
            f"{file.place}: words with the {order} byte first, because otherwise they exceed {expected.bits} bits"
        )
        return other, notes
    return default, notes


def _fits(source: RawWords, expected: Expected) -> bool:
    """Whether each of some words is one integer of the stage."""
    words = source.take(0, min(source.count, 1 << 20))
    high = words[:, -(-expected.bits // 8) :]
    return bool(((high == 0).all(axis=1) | ((high == 255).all(axis=1) & expected.signed)).all())


# ----------------------------------------------------------------------------------------------------------------- text


def _grammar_of(file: NumberFile, head: bytes, reading: Reading, stage: str, notes: list[str]) -> Callable[[], Grammar]:
    """What makes the grammar of a text, by its ending or by what stands at its beginning."""
    upper = head.upper()
    if file.ending == ".coe" or b"MEMORY_INITIALIZATION" in upper:
        return CoeGrammar
    if file.ending == ".mif" or (b"CONTENT" in upper and b"BEGIN" in upper and b"WIDTH" in upper):
        return MifGrammar
    if file.ending in READMEM:
        return ReadmemGrammar
    table = table_of(file.path)
    column = column_of(table, reading.column, stage, file.place)
    if column is not None and len(table.names) > 1:
        refuse_twins(table, column, reading.column, file.place)
        notes.append(f"{file.place}: read is column {shown(table.names[column])} of {', '.join(table.names)}")
    if column is not None:
        return partial(ColumnGrammar, column=column, head=table.head)
    return ReadmemGrammar


def _columns(file: NumberFile, make: Callable[[], Grammar]) -> int:
    """Numbers of a line of a text without names of columns."""
    return table_of(file.path).columns if make is ReadmemGrammar and file.ending not in READMEM else 1


def _text(file: NumberFile, head: bytes, expected: Expected, reading: Reading, stage: str) -> tuple[Words, list[str]]:
    notes: list[str] = []
    make = _grammar_of(file, head, reading, stage, notes)

    def grammar() -> Grammar:
        return make()

    found = survey(file.path, grammar())
    if not found.words:
        raise FileError(f"{file.place}: holds no number")
    if found.words > _MAX_WORDS:
        raise FileError(f"{file.place}: holds {found.words} words, at most {_MAX_WORDS} are read")
    columns = 1 if reading.column is not None else _columns(file, make)
    if columns > 1 and found.words == columns * expected.images * stored_elements(expected, reading):
        raise FileError(f"{file.place}: has {columns} numbers a line, --column NUMBER (from 0) says which is meant")
    radix = radix_of(found, file.ending, expected, file.place, reading.radix)
    notes += [] if radix.note is None else [radix.note]
    plain = file.ending not in READMEM
    notes += [
        f"{file.place}: line {habit.line}: {habit.what} is not legal there, read all the same (word {habit.address})"
        for habit in found.habits
        if not (plain and ("after a word" in habit.what or "a comment after" in habit.what))
    ]
    if radix.radix == FLOATS:
        return _floats(file, grammar, reading), notes
    words = _words(file, grammar, found, radix.radix, expected, reading, notes)
    if make is MifGrammar:
        _refuse_beyond(words, found.width or 0, found.depth or 0)
    return _by_rows(file, words, make, expected, reading, notes), notes


def _refuse_beyond(words: HeldWords, width: int, depth: int) -> None:
    """FileError where a memory file holds more than its own head says, which a tool would cut."""
    if words.count > depth:
        raise FileError(f"{words.place}: has a word at address {words.count - 1}, its DEPTH is {depth}")
    half, all_bits = 2**width // 2, 2 ** (8 * words.size)
    top = (all_bits - half) % all_bits  # the sign bit of a word and all above it
    octets = np.frombuffer(top.to_bytes(words.size, "little"), np.uint8)
    for word in np.flatnonzero((words.words & octets).any(axis=1)):
        value = int.from_bytes(words.words[word].tobytes(), "little", signed=words.signed)
        if not -half <= value < 2**width:
            raise FileError(f"{words.place}: {words.where(int(word))} holds {value}, its WIDTH is {width} bits")


def _by_rows(
    file: NumberFile,
    words: HeldWords,
    make: Callable[[], Grammar],
    expected: Expected,
    reading: Reading,
    notes: list[str],
) -> HeldWords:
    """The words of a table without the rows that are none, at the places that its other columns say."""
    grammar, table = make(), table_of(file.path)
    if not isinstance(grammar, ColumnGrammar) or len(table.names) < 2:
        return words
    rows = rows_of_table(file.path, file.place, table, grammar.column, expected, reading)
    kept = np.arange(words.count) if rows.words is None else np.flatnonzero(rows.words)
    if len(kept) < words.count:
        notes.append(f"{file.place}: {words.count - len(kept)} rows are left out, where valid or ready is 0")
    if len(kept) == words.count and rows.numbers is None:
        return words
    held, masks = words.words[kept], None if words.masks is None else words.masks[kept]
    if rows.numbers is None:
        row_of = dict(enumerate(kept.tolist()))
        return replace(words, words=held, masks=masks, places=lambda word: _of_row(words, row_of, word))
    notes.append(f"{file.place}: rows are sorted by their other columns")
    row_of = dict(zip(rows.numbers.tolist(), kept.tolist(), strict=True))
    from_zero = replace(reading, base=0)
    held, masks, there = _at_addresses(file.place, held, masks, rows.numbers, expected, from_zero, notes)
    return replace(words, words=held, masks=masks, there=there, places=lambda word: _of_row(words, row_of, word))


def _of_row(words: HeldWords, row_of: Mapping[int, int], word: int) -> str:
    """Where a word stands in the table; its number alone where the table does not have it."""
    return words.where(row_of[word]) if word in row_of else f"word {word}"


def _words(
    file: NumberFile,
    grammar: Callable[[], Grammar],
    found: Survey,
    radix: int,
    expected: Expected,
    reading: Reading,
    notes: list[str],
) -> HeldWords:
    read = text_words(file.path, grammar(), radix, found)
    numbers = radix == DECIMAL
    digits = 4 if radix == HEXADECIMAL else 1
    fixed = found.prefixed in (0, found.words) and found.shortest == found.longest
    wider = digits * found.longest > expected.bits
    width = found.width
    if width is None and not numbers and (fixed or wider):
        width = digits * found.longest

    def place(word: int) -> str:
        line = line_of(file.path, grammar(), word)
        return f"word {word}" if line is None else f"word {word}, line {line}"

    if read.first_unknown is not None and read.masks is not None:
        count = int(np.count_nonzero(read.masks.any(axis=1)))
        have = "1 word has" if count == 1 else f"{count} words have"
        notes.append(f"{file.place}: {have} unknown bits (x or z), the first is {place(read.first_unknown)}")
    words, masks, there = read.words, read.masks, None
    if read.addresses is not None:
        words, masks, there = _at_addresses(file.place, words, masks, read.addresses, expected, reading, notes)
        return HeldWords(file.place, words, numbers, numbers, width, masks, there)
    return HeldWords(file.place, words, numbers, numbers, width, masks, None, place)


def _at_addresses(
    place: str,
    words: Array,
    masks: Array | None,
    addresses: Array,
    expected: Expected,
    reading: Reading,
    notes: list[str],
) -> tuple[Array, Array | None, Array | None]:
    """Words where their addresses say; FileError where one address has two words that are not the same."""
    lowest, highest = int(addresses.min()), int(addresses.max())
    first = reading.base
    if lowest < first:
        raise FileError(f"{place}: has a word at address {lowest:#x}, --base says that word 0 is at {first:#x}")
    if lowest > first and highest - lowest + 1 == len(words):
        raise FileError(f"{place}: addresses begin at {lowest:#x}, needed {first:#x}: --base {lowest:#x} reads them")
    most = 2 * max(len(words), expected.images * stored_elements(expected, reading)) + 1024
    if highest - first >= most:
        raise FileError(f"{place}: has a word at address {highest:#x}, needed at most {most} words")
    size = highest - first + 1
    there = np.zeros(size, bool)
    there[addresses - first] = True
    found = np.zeros((size, words.shape[1]), np.uint8)
    found[addresses - first] = words
    placed = None
    if masks is not None:
        placed = np.zeros_like(found)
        placed[addresses - first] = masks
    if int(np.count_nonzero(there)) < len(words):
        again = (found[addresses - first] != words).any(axis=1)
        if again.any():
            twice = int(addresses[int(again.argmax())])
            raise FileError(f"{place}: address {twice:#x} is there twice, with two different words")
        notes.append(f"{place}: some addresses are there twice, with the same words")
    return found, placed, None if there.all() else there


def _floats(file: NumberFile, grammar: Callable[[], Grammar], reading: Reading) -> Words:
    """Numbers with a decimal point: whole ones count as integers under an option."""
    parts = []
    for tokens in tokens_of(file.path, grammar()):
        texts = tokens.text.tobytes().split() if not tokens.addresses else []
        texts = [one for text in texts for one in text.replace(b";", b",").split(b",") if one]
        try:
            values = np.array(texts, "S").astype(np.float64) if texts else np.zeros(0)
        except ValueError as error:
            raise FileError(f"{file.place}: cannot be read as numbers ({shown(str(error))})") from None
        whole = are_whole(values) & (np.abs(values) < 2.0**53)
        if not whole.all():
            word = int(np.argmin(whole))
            raise FileError(
                f"{file.place}: line {tokens.line_of(word)} holds {shown(texts[word])[1:]}, needed whole numbers"
            )
        parts.append(values.astype("<i8"))
    if not reading.any_integer_type:
        raise FileError(
            f"{file.place}: holds numbers with a decimal point, all of them whole: --any-integer-type compares them"
        )
    words = np.concatenate(parts).view(np.uint8).reshape(-1, 8)
    return HeldWords(file.place, words, True, True)
