"""Words in text of any simulator: read in bulk, with every irregularity that was found.

A text is read in blocks of whole lines.  A ``Grammar`` blanks what is no word (comments, heads, punctuation) without
moving a line and writes ``@`` before addresses; what is left between separators are tokens, which NumPy reads together.
Nothing is believed: a character that no word has is a FileError of one line that names the line.  What is readable and
yet not legal is a ``Habit``, named with its line and address, so that a strict reader refuses and another one reports.
Digits x and z are unknown bits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import FileError
from ..text import PathLike, printable, shown

BINARY, DECIMAL, HEXADECIMAL = 2, 10, 16
RADIX_NAMES = {BINARY: "binary", DECIMAL: "decimal", HEXADECIMAL: "hexadecimal"}
BLOCK_BYTES = 1 << 21
MOST_DIGITS = 4096
_NEEDED = {BINARY: "binary digits", DECIMAL: "decimal digits", HEXADECIMAL: "hexadecimal digits"}
_SIGNED_DIGITS = 18  # decimal digits that 64 bits surely hold

Array = np.ndarray[Any, Any]


def _table(*parts: tuple[bytes, int], rest: int) -> Array:
    table = np.full(256, rest, np.int16)
    for characters, value in parts:
        table[[*characters]] = value
    return table


_SEPARATES = _table((b" \t\r\n\v\f,;", 1), rest=0).astype(bool)
_INVALID, _UNKNOWN = 255, 64
_DIGIT = _table(
    *((bytes([c]), i) for i, c in enumerate(b"0123456789abcdef")),
    *((bytes([c]), 10 + i) for i, c in enumerate(b"ABCDEF")),
    (b"xXzZ", _UNKNOWN),
    rest=_INVALID,
)
_LETTERS, _UNKNOWNS = [*b"abcdefABCDEF"], [*b"xXzZ"]


@dataclass(frozen=True)
class Habit:
    """What is no legal text of its format and is read all the same; address: of the word that follows it."""

    line: int
    address: int
    what: str


@dataclass(eq=False)
class Grammar:
    """Takes away what is no word.  A grammar is made for one reading of one file, and keeps what its head said.

    radix, width, depth: None where the text does not say them.  address_radix: of ``@``.
    """

    name: str = ""
    radix: int | None = None
    width: int | None = None
    depth: int | None = None
    address_radix: int = HEXADECIMAL
    habits: list[tuple[int, str]] = field(default_factory=list)

    def clean(self, block: bytes, line: int) -> bytes:
        """A block of whole lines, the first of which has number ``line``, with blanks for what is no word."""
        return block

    def end(self, line: int) -> None:
        """FileError where the text must not end here."""

    def error(self, line: int, message: str) -> FileError:
        """A refusal of a line."""
        return FileError(f"{self.name}: line {line} {message}")

    def habit(self, line: int, what: str) -> None:
        """Note a habit, the first of its kind."""
        if all(what != known for _, known in self.habits):
            self.habits.append((line, what))


def lines_before(block: bytes, place: int) -> int:
    """How many lines end before a place of a block."""
    return block.count(b"\n", 0, place)


def blank(match: re.Match[bytes]) -> bytes:
    """A blank that keeps the lines."""
    return b"\n" * match[0].count(b"\n") or b" "


@dataclass(frozen=True, eq=False)
class Tokens:
    """Words of a block: where each begins and ends in ``text``; addresses: (number of the word after it, address)."""

    text: Array
    starts: Array
    ends: Array
    addresses: tuple[tuple[int, int], ...]
    line: int
    grammar: Grammar

    def line_of(self, word: int) -> int:
        """The line of a word of this block."""
        return self.line + int(np.count_nonzero(self.text[: int(self.starts[word])] == ord("\n")))

    def token(self, word: int) -> bytes:
        """The characters of a word of this block."""
        return self.text[int(self.starts[word]) : int(self.ends[word])].tobytes()

    def refusal(self, word: int, needed: str) -> FileError:
        """A refusal of a word."""
        return self.grammar.error(self.line_of(word), f"holds {shown(self.token(word))[1:]}, needed {needed}")


def tokens_of(path: PathLike, grammar: Grammar) -> Iterator[Tokens]:
    """The words of a text, block by block; FileError with the line where it is no text."""
    grammar.name = printable(os.fspath(path))
    line = 1
    try:
        with open(path, "rb") as file:
            for block in _blocks(file, grammar):
                if b"\0" in block:
                    raise grammar.error(line + lines_before(block, block.index(b"\0")), "holds '\\x00': is no text")
                yield _tokens(grammar.clean(block, line), line, grammar)
                line += block.count(b"\n")
            grammar.end(line)
    except OSError as error:
        raise FileError(f"{grammar.name}: cannot be read ({error.strerror})") from error


_NOT_TO_CUT = {*b"/#@'%-["}  # a line with these is read as a whole
_LONGEST_LINE = 64  # blocks


def _blocks(file: Any, grammar: Grammar) -> Iterator[bytes]:
    rest = b""
    while data := file.read(BLOCK_BYTES):
        data = rest + data
        cut = data.rfind(b"\n") + 1
        if not cut and not _NOT_TO_CUT & {*data}:
            cut = max(data.rfind(b" "), data.rfind(b",")) + 1
        if not cut and len(data) > _LONGEST_LINE * BLOCK_BYTES:
            raise FileError(f"{grammar.name}: has a line of {len(data)} bytes that is no row of words")
        if cut:
            yield data[:cut]
        rest = data[cut:]
    if rest:
        yield rest


_LONE_UNDERSCORE = re.compile(rb"(?<![^\s,;])_+(?![^\s,;])")
_LONE_AT = re.compile(rb"@[ \t]+(?=[0-9A-Fa-f])")


def _tokens(clean: bytes, line: int, grammar: Grammar) -> Tokens:
    if b"@" in clean and (gap := _LONE_AT.search(clean)) is not None:
        grammar.habit(line + lines_before(clean, gap.start()), "a blank after '@'")
        clean = _LONE_AT.sub(b"@", clean)
    if b"_" in clean:
        lone = _LONE_UNDERSCORE.search(clean)
        if lone is not None:
            raise grammar.error(line + lines_before(clean, lone.start()), "holds '_', needed digits")
        clean = clean.replace(b"_", b"")
    text = np.frombuffer(clean, np.uint8)
    inside = np.concatenate([[False], ~_SEPARATES[text], [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    if b"@" not in clean:
        return Tokens(text, starts, ends, (), line, grammar)
    is_address = text[starts] == ord("@")
    where = np.flatnonzero(is_address)
    addresses = []
    for count, index in enumerate(where.tolist()):
        token = clean[int(starts[index]) + 1 : int(ends[index])]
        at = line + lines_before(clean, int(starts[index]))
        addresses.append((index - count, _address(token, at, grammar)))
    return Tokens(text, starts[~is_address], ends[~is_address], tuple(addresses), line, grammar)


def _address(token: bytes, line: int, grammar: Grammar) -> int:
    if token[:2].lower() == b"0x" and len(token) > 2 and grammar.address_radix == HEXADECIMAL:
        grammar.habit(line, "'0x' in an address")
        token = token[2:]
    try:
        if not token.isalnum() or len(token) > 16:
            raise ValueError
        return int(token, grammar.address_radix)
    except ValueError:
        raise grammar.error(line, f"holds {shown(token)[1:]}, needed {_NEEDED[grammar.address_radix]}") from None


# ----------------------------------------------------------------------------------------------------------- the survey


@dataclass
class Survey:
    """What a text is made of, before anybody says in which radix its numbers are.

    words; shortest, longest: digits of a word, prefixes and signs left out.  letters: a..f.  unknowns: x or z.
    unknown_digits: within words of more than one digit.  points: a decimal point, as floats have it.  binary: 0 and 1
    alone.  padded: a word of two digits or more begins with 0.  largest: the largest number that digits alone
    stand for, read as decimal; None where one is too long for that.  prefixed: how many words begin
    with 0x.
    """

    words: int = 0
    shortest: int = MOST_DIGITS
    longest: int = 0
    letters: bool = False
    signs: bool = False
    unknowns: bool = False
    unknown_digits: bool = False
    points: bool = False
    binary: bool = True
    padded: bool = False
    largest: int | None = 0
    prefixed: int = 0
    longest_unprefixed: int = 0
    addresses: int = 0
    habits: tuple[Habit, ...] = ()
    width: int | None = None
    depth: int | None = None
    radix: int | None = None


def survey(path: PathLike, grammar: Grammar) -> Survey:
    """Look at every character of a text; FileError where one is none that numbers have."""
    found, habits = Survey(), []
    seen = 0
    for tokens in tokens_of(path, grammar):
        for line, what in grammar.habits[seen:]:
            after = int(np.count_nonzero(np.cumsum(tokens.text == ord("\n"))[tokens.starts] + tokens.line < line))
            habits.append(Habit(line, found.words + after, what))
        seen = len(grammar.habits)
        _survey_block(found, tokens, habits)
    found.habits = tuple(habits)
    found.width, found.depth, found.radix = grammar.width, grammar.depth, grammar.radix
    return found


_ALLOWED = _table((b"0123456789abcdefABCDEFxXzZ+-.@", 1), (b" \t\r\n\v\f,;", 1), rest=0).astype(bool)


def _survey_block(found: Survey, tokens: Tokens, habits: list[Habit]) -> None:
    text, starts, ends = tokens.text, tokens.starts, tokens.ends
    found.addresses += len(tokens.addresses)
    if not len(starts):
        return
    bad = ~_ALLOWED[text]
    if bad.any():
        place = int(bad.argmax())
        word = max(0, int(np.searchsorted(starts, place, "right")) - 1)
        raise tokens.refusal(word, "digits of numbers")
    lengths = ends - starts
    after = np.minimum(starts + 1, len(text) - 1)
    prefixed = (text[starts] == ord("0")) & ((text[after] | 32) == ord("x")) & (lengths > 2)
    if prefixed.any():
        found.prefixed += int(np.count_nonzero(prefixed))
        if all("0x" not in habit.what for habit in habits):
            first = int(prefixed.argmax())
            habits.append(Habit(tokens.line_of(first), found.words + first, "the prefix '0x'"))
    signs = (text[starts] == ord("-")) | (text[starts] == ord("+"))
    digits = lengths - 2 * prefixed - signs
    if not prefixed.all():
        found.longest_unprefixed = max(found.longest_unprefixed, int(digits[~prefixed].max()))
    counts = np.bincount(text, minlength=256)
    found.letters |= bool(counts[_LETTERS].sum() > _of_addresses(tokens, _LETTERS))
    found.signs |= bool(signs.any())
    found.unknowns |= bool(counts[_UNKNOWNS].sum() > np.count_nonzero(prefixed))
    lone = (lengths == 1) & np.isin(text[starts], _UNKNOWNS)
    found.unknown_digits |= bool(counts[_UNKNOWNS].sum() > np.count_nonzero(prefixed) + np.count_nonzero(lone))
    found.points |= bool(counts[ord(".")])
    found.binary &= not counts[[*b"23456789abcdefABCDEF+-."]].sum() - _of_addresses(tokens, [*b"23456789abcdefABCDEF"])
    found.padded |= bool(((text[starts] == ord("0")) & (digits > 1)).any())
    found.shortest, found.longest = min(found.shortest, int(digits.min())), max(found.longest, int(digits.max()))
    found.words += len(starts)
    if found.longest > _SIGNED_DIGITS or found.letters or found.points:
        found.largest = None
    elif found.largest is not None:
        long = digits == digits.max()
        size = int(digits.max())
        matrix = _digits(text, ends[long], np.full(int(long.sum()), size), size)
        matrix = np.where(matrix > 9, 0, matrix)
        found.largest = max(found.largest, int((matrix.astype(np.int64) @ 10 ** np.arange(size - 1, -1, -1)).max()))


def _of_addresses(tokens: Tokens, characters: list[int]) -> int:
    """How many of some characters stand in addresses, which ``starts`` leaves out."""
    if not tokens.addresses:
        return 0
    covered = np.zeros(len(tokens.text) + 1, np.int64)
    np.add.at(covered, tokens.starts, 1)
    np.add.at(covered, tokens.ends, -1)
    outside = np.cumsum(covered[:-1]) == 0
    return int(np.bincount(tokens.text[outside], minlength=256)[characters].sum())


# ------------------------------------------------------------------------------------------------------------ the words


@dataclass(frozen=True, eq=False)
class Chunk:
    """Words as uint8 (n, bytes), byte 0 the lowest; unknown: the same of the unknown bits, None where there are none.

    addresses: (number of the word of this chunk that follows it, address).  tokens: where they stand in the text.
    """

    words: Array
    unknown: Array | None
    addresses: tuple[tuple[int, int], ...]
    tokens: Tokens


def chunks(
    path: PathLike, grammar: Grammar, radix: int, word_bytes: int, prefix_beyond: int = MOST_DIGITS
) -> Iterator[Chunk]:
    """The words of a text in one radix; decimal ones as two's complement of all their bytes.

    prefix_beyond: ``0x`` is a prefix where a word has more characters than this, and otherwise a 0 and an unknown
    digit.  FileError, with the line, for digits of another radix and for a word that ``word_bytes`` do not hold.
    """
    for tokens in tokens_of(path, grammar):
        if len(tokens.starts):
            read = _decimal if radix == DECIMAL else _of_bits
            words, unknown = read(tokens, radix, word_bytes, prefix_beyond)
        else:
            words, unknown = np.zeros((0, word_bytes), np.uint8), None
        yield Chunk(words, unknown, tokens.addresses, tokens)


def _digits(text: Array, ends: Array, lengths: Array, size: int) -> Array:
    """Digits of words, int16 (n, size), the last one at the right and 0 before the first."""
    place = ends[:, None] - np.arange(size, 0, -1)
    found = _DIGIT[text[np.maximum(place, 0)]]
    found[np.arange(size, 0, -1) > lengths[:, None]] = 0
    return found


def _of_bits(tokens: Tokens, radix: int, word_bytes: int, prefix_beyond: int) -> tuple[Array, Array | None]:
    text, ends, lengths = tokens.text, tokens.ends, tokens.ends - tokens.starts
    if radix == HEXADECIMAL and lengths.max() > prefix_beyond:
        after = np.minimum(tokens.starts + 1, len(text) - 1)
        prefixed = (text[tokens.starts] == ord("0")) & ((text[after] | 32) == ord("x")) & (lengths > prefix_beyond)
        lengths = lengths - 2 * prefixed
    size = int(lengths.max())
    if size > MOST_DIGITS:
        raise tokens.refusal(int(lengths.argmax()), f"at most {MOST_DIGITS} digits")
    digits = _digits(text, ends, lengths, size)
    wrong = (digits >= radix) & (digits != _UNKNOWN)
    if wrong.any():
        raise tokens.refusal(int(wrong.any(axis=1).argmax()), _NEEDED[radix])
    holes = digits == _UNKNOWN
    unknown = None
    if holes.any():
        unknown = _as_bytes(
            _unknown_digits(holes, lengths, word_bytes * (8 if radix == BINARY else 2)) * (radix - 1), radix
        )
        if unknown[:, word_bytes:].any():
            raise tokens.refusal(int(unknown[:, word_bytes:].any(axis=1).argmax()), _NEEDED[radix])
        unknown = _widened(unknown, word_bytes)
        digits = np.where(holes, 0, digits)
    octets = _as_bytes(digits, radix)
    if octets.shape[1] > word_bytes:
        beyond_word = octets[:, word_bytes:].any(axis=1)
        if beyond_word.any():
            word = int(beyond_word.argmax())
            number = int.from_bytes(octets[word].tobytes(), "little")
            line = tokens.line_of(word)
            raise tokens.grammar.error(
                line, f"holds a number of {number.bit_length()} bits, a word has {8 * word_bytes}"
            )
    return _widened(octets, word_bytes), unknown


def _unknown_digits(holes: Array, lengths: Array, digits: int) -> Array:
    """Which digits of words are unknown, (n, digits or more): left of a word that begins with x or z all are."""
    size = holes.shape[1]
    leading = holes[np.arange(len(holes)), size - lengths]
    wide = np.pad(holes, ((0, 0), (max(0, digits - size), 0)))
    found: Array = wide | ((np.arange(wide.shape[1], 0, -1) > lengths[:, None]) & leading[:, None])
    return found


def _as_bytes(digits: Array, radix: int) -> Array:
    """Digits (n, size), the highest first, as bytes (n, bytes), the lowest first."""
    if radix == BINARY:
        return np.packbits(digits[:, ::-1].astype(np.uint8), axis=1, bitorder="little")
    digits = digits.astype(np.uint8)
    if digits.shape[1] % 2:
        digits = np.concatenate([np.zeros((len(digits), 1), np.uint8), digits], axis=1)
    return np.ascontiguousarray(((digits[:, ::2] << 4) | digits[:, 1::2])[:, ::-1])


def _widened(octets: Array, word_bytes: int) -> Array:
    """Bytes of words, cut or filled up to ``word_bytes``."""
    return np.pad(octets[:, :word_bytes], ((0, 0), (0, max(0, word_bytes - octets.shape[1]))))


def _decimal(tokens: Tokens, radix: int, word_bytes: int, prefix_beyond: int) -> tuple[Array, Array | None]:
    text, starts, ends = tokens.text, tokens.starts, tokens.ends
    negative = text[starts] == ord("-")
    lengths = ends - starts - (negative | (text[starts] == ord("+")))
    size = int(lengths.max())
    if size > 20 or int(lengths.min()) < 1:
        word = int(lengths.argmax() if size > 20 else lengths.argmin())
        raise tokens.refusal(word, "a decimal number of at most 64 bits")
    digits = _digits(text, ends, lengths, size)
    holes = (digits == _UNKNOWN).any(axis=1)
    wrong = ((digits > 9).any(axis=1) & ~holes) | (holes & ((lengths != 1) | negative))
    if wrong.any():
        raise tokens.refusal(int(wrong.argmax()), _NEEDED[DECIMAL])
    digits[holes] = 0
    if size > _SIGNED_DIGITS:
        numbers = [int(tokens.token(word)) if not holes[word] else 0 for word in range(len(starts))]
        beyond = [not -(2**63) <= number < 2**63 for number in numbers]
        if any(beyond):
            raise tokens.refusal(beyond.index(True), "a decimal number that 64 bits hold")
        values = np.array(numbers, np.int64)
    else:
        values = digits.astype(np.int64) @ (10 ** np.arange(size - 1, -1, -1, dtype=np.int64))
        values = np.where(negative, -values, values)
    octets = values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :word_bytes]
    unknown = None
    if holes.any():
        unknown = np.zeros_like(octets)
        unknown[holes] = 255
    return octets, unknown


def decimal_bytes(largest: int) -> int:
    """Bytes of the narrowest usual integer that holds numbers of -largest-1..largest.

    >>> decimal_bytes(127), decimal_bytes(255), decimal_bytes(40_000)
    (1, 2, 4)
    """
    return next(size for size in (1, 2, 4, 8) if largest < 1 << (8 * size - 1) or size == 8)
