"""Words: integers packed into words of any width, and back; the one place where bits are laid out.

An element is a two's-complement (or unsigned) number of ``bits`` bits, or a code of a code map.  A packed block is an
array of words, uint8 (words, bytes of a word), byte 0 the lowest; its layout has three rules.

*Padded* (``elements`` a word): the word has ``elements`` lanes of ``word_bits // elements`` bits, lane j at bit
j * lane_bits.  An element fills its lane: its sign is extended, or zeros where it has none.  The bits above the last
lane and the lanes after the last element are 0.

*Straddling* (``elements`` 0): the elements follow each other without a gap, and words are cut out of the row of bits.

``first`` says where a word begins: ``low``, its lowest bits, or ``high``: lanes are counted from the highest, and a row
of bits starts with the highest bit of its first element in the highest bit of its first word.  ``endian`` ``big`` then
turns the bytes of each word around.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import gcd
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import RangeError

MAX_WORD_BITS = 4096
FIRSTS = ("low", "high")
ENDIANS = ("little", "big")

TWOS_COMPLEMENT = "twos-complement"
CODE_MAPS: Mapping[str, Mapping[int, int]] = MappingProxyType(
    {
        TWOS_COMPLEMENT: MappingProxyType({0: 0b00, 1: 0b01, -1: 0b11}),
        "plus-minus": MappingProxyType({0: 0b00, 1: 0b01, -1: 0b10}),
        "offset": MappingProxyType({-1: 0b00, 0: 0b01, 1: 0b10}),
    }
)

_BITS_AT_ONCE = 1 << 24

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Packing:
    """How elements of ``bits`` bits lie in words of ``word_bits`` bits; ``elements`` is 0 where they straddle words.

    ``code_map`` names one of ``CODE_MAPS``, for ternary codes, or is None.  RangeError where no element fits.
    """

    bits: int
    signed: bool
    word_bits: int
    elements: int
    first: str = "low"
    endian: str = "little"
    code_map: str | None = None

    def __post_init__(self) -> None:
        _check_range("bits of an element", self.bits, 1, 64 if self.signed else 63)
        _check_range("bits of a word", self.word_bits, 1, MAX_WORD_BITS)
        _check_known("first element", self.first, FIRSTS)
        _check_known("endian", self.endian, ENDIANS)
        if self.code_map is not None:
            _check_known("code map", self.code_map, CODE_MAPS)
            _check_range("bits of a ternary code", self.bits, 2, 2)
        if not 0 <= self.elements * self.bits <= self.word_bits:
            raise RangeError(
                f"a word of {self.word_bits} bits cannot hold {self.elements} elements of {self.bits} bits"
            )
        if self.endian == "big" and self.word_bits > 8 and self.word_bits % 8:
            raise RangeError(f"a word of {self.word_bits} bits has no whole bytes that could be turned around")

    @property
    def straddles(self) -> bool:
        """Whether an element may begin in one word and end in the next."""
        return self.elements == 0

    @property
    def lane_bits(self) -> int:
        """Bits that an element takes."""
        return self.bits if self.straddles else self.word_bits // self.elements

    @property
    def extends_sign(self) -> bool:
        """Whether a wider lane repeats the element's highest bit."""
        return self.signed if self.code_map is None else self.code_map == TWOS_COMPLEMENT

    @property
    def word_bytes(self) -> int:
        """Bytes of an array's row that holds one word."""
        return -(-self.word_bits // 8)


def fitted(
    bits: int,
    signed: bool,
    word_bits: int | None = None,
    elements: int | None = None,
    straddle: bool = False,
    first: str = "low",
    endian: str = "little",
    code_map: str | None = None,
) -> Packing:
    """A packing with what is not given filled in: as many elements as fit into a word, a word for each element.

    RangeError where a word cannot hold one element and elements do not straddle.

    >>> fitted(8, True, 20).elements, fitted(8, True, elements=3).word_bits, fitted(8, True).word_bits
    (2, 24, 8)
    """
    if straddle and elements is not None:
        raise RangeError(f"elements that straddle words cannot be {elements} a word")
    if elements is not None:
        _check_range("elements of a word", elements, 1, MAX_WORD_BITS)
    width = bits * (elements or 1) if word_bits is None else word_bits
    if not straddle and elements is None:
        elements = width // bits
        if elements == 0:
            raise RangeError(
                f"a word of {width} bits holds no element of {bits} bits; "
                "needed is a wider word, or elements that straddle words"
            )
    return Packing(bits, signed, width, elements or 0, first, endian, code_map)


def word_count(count: int, packing: Packing) -> int:
    """How many words a block of ``count`` elements takes.

    >>> word_count(5, fitted(4, False, 13)), word_count(5, fitted(4, False, 13, straddle=True))
    (2, 2)
    """
    if packing.straddles:
        return -(-count * packing.bits // packing.word_bits)
    return -(-count // packing.elements)


def place(index: int, packing: Packing) -> tuple[int, int]:
    """The word of a block, and the bit of it, that holds the lowest bit of element ``index``.

    >>> place(4, fitted(8, True, 32)), place(4, fitted(8, True, 32, first="high"))
    ((1, 0), (1, 24))
    """
    if packing.straddles:
        low = packing.first == "low"
        word, bit = divmod(index * packing.bits + (0 if low else packing.bits - 1), packing.word_bits)
        bit = bit if low else packing.word_bits - 1 - bit
    else:
        word, lane = divmod(index, packing.elements)
        bit = packing.lane_bits * (lane if packing.first == "low" else packing.elements - 1 - lane)
    if packing.endian == "big":
        bit = 8 * (packing.word_bytes - 1 - bit // 8) + bit % 8
    return word, bit


def pack(values: Array, packing: Packing) -> Iterator[Array]:
    """Integers (n,) as words, uint8 (m, bytes of a word), part after part; RangeError for one that has no code."""
    for start, stop in _parts(len(values), packing):
        yield _packed(_bits_of(values[start:stop], packing), packing)


def unpack(words: Array, count: int, packing: Packing) -> Array:
    """The ``count`` integers of a block of words, int64 (count,).

    RangeError where there are fewer or more words, or where bits that hold no element are not as ``pack`` leaves them.
    """
    if len(words) != word_count(count, packing):
        raise RangeError(f"{count} elements take {word_count(count, packing)} words, found {len(words)}")
    values = np.empty(count, np.int64)
    for start, stop in _parts(count, packing):
        first, last = word_count(start, packing), word_count(stop, packing)
        values[start:stop] = _values_of(_unpacked(words[first:last], stop - start, packing), packing)
        _check_leftovers(words[first:last], values[start:stop], packing, first)
    return values


def unpack_masks(words: Array, count: int, packing: Packing) -> Array:
    """Which bits of each of ``count`` elements are set in a block of masks of words, uint64 (count,)."""
    found = np.empty(count, np.uint64)
    mask = np.uint64(2**packing.bits - 1)
    plain = replace(packing, code_map=None)
    for start, stop in _parts(count, packing):
        first, last = word_count(start, packing), word_count(stop, packing)
        found[start:stop] = (
            _values_of(_unpacked(words[first:last], stop - start, packing), plain).view(np.uint64) & mask
        )
    return found


def _parts(count: int, packing: Packing) -> Iterator[tuple[int, int]]:
    """Ranges of elements that begin and, but for the last, end with a word."""
    together = packing.word_bits // gcd(packing.bits, packing.word_bits) if packing.straddles else packing.elements
    size = together * max(1, _BITS_AT_ONCE // (together * packing.lane_bits))
    return ((start, min(start + size, count)) for start in range(0, count, size))


def _bits_of(values: Array, packing: Packing) -> Array:
    """Integers (n,) as their lanes' bits, uint8 (n, lane_bits), the lowest first."""
    codes = _mapped(values, packing.code_map) if packing.code_map else _checked(values, packing).astype(np.int64)
    octets = np.ascontiguousarray(codes, "<i8").view(np.uint8).reshape(-1, 8)
    lanes = np.unpackbits(octets, axis=1, count=min(packing.lane_bits, 64), bitorder="little")
    beyond = packing.lane_bits - lanes.shape[1]
    if beyond:  # what has no sign to extend is no negative number here, so its highest bit is 0
        lanes = np.concatenate([lanes, np.repeat(lanes[:, -1:], beyond, axis=1)], axis=1)
    return lanes


def _checked(values: Array, packing: Packing) -> Array:
    """The values, if the element's bits hold each; RangeError otherwise."""
    low = -(1 << packing.bits - 1) if packing.signed else 0
    high = low + (1 << packing.bits) - 1
    if len(values) and not (low <= int(values.min()) and int(values.max()) <= high):
        raise RangeError(f"holds {int(values.min())}..{int(values.max())}, {packing.bits} bits hold {low}..{high}")
    return values


def _mapped(values: Array, name: str) -> Array:
    """Ternary codes as the codes of a map; those of two's complement with their sign."""
    if len(values) and not (int(values.min()) >= -1 and int(values.max()) <= 1):
        raise RangeError(f"holds {int(values.min())}..{int(values.max())}, ternary codes are -1, 0 and 1")
    if name == TWOS_COMPLEMENT:
        return values.astype(np.int64)
    return np.array([CODE_MAPS[name][value] for value in (0, 1, -1)])[values.astype(np.int64)]


def _packed(lanes: Array, packing: Packing) -> Array:
    """Lanes' bits (n, lane_bits) as words."""
    if packing.straddles:
        turned = lanes if packing.first == "low" else lanes[:, ::-1]
        rows = _filled(turned.reshape(-1), packing.word_bits)
        rows = rows if packing.first == "low" else rows[:, ::-1]
    else:
        grouped = _filled(lanes, packing.elements)
        rows = (grouped if packing.first == "low" else grouped[:, ::-1]).reshape(len(grouped), -1)
    octets = np.zeros((len(rows), packing.word_bytes), np.uint8)
    found = np.packbits(rows, axis=1, bitorder="little")
    octets[:, : found.shape[1]] = found
    return octets if packing.endian == "little" else octets[:, ::-1]


def _filled(rows: Array, size: int) -> Array:
    """Rows in groups of ``size``, zeros after the last one."""
    missing = -len(rows) % size
    if missing:
        rows = np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), np.uint8)])
    return rows.reshape(-1, size, *rows.shape[1:])


def _unpacked(words: Array, count: int, packing: Packing) -> Array:
    """Words as elements' bits (count, bits), the lowest first."""
    octets = words if packing.endian == "little" else words[:, ::-1]
    rows = np.unpackbits(np.ascontiguousarray(octets), axis=1, count=packing.word_bits, bitorder="little")
    if packing.straddles:
        stream = (rows if packing.first == "low" else rows[:, ::-1]).reshape(-1)
        lanes = stream[: count * packing.bits].reshape(count, packing.bits)
        return lanes if packing.first == "low" else lanes[:, ::-1]
    used = packing.elements * packing.lane_bits
    grouped = rows[:, :used].reshape(len(rows), packing.elements, packing.lane_bits)
    grouped = grouped if packing.first == "low" else grouped[:, ::-1]
    return grouped.reshape(-1, packing.lane_bits)[:count, : packing.bits]


def _values_of(lanes: Array, packing: Packing) -> Array:
    """Elements' bits (n, bits) as integers."""
    octets = np.zeros((len(lanes), 8), np.uint8)
    found = np.packbits(lanes, axis=1, bitorder="little")
    octets[:, : found.shape[1]] = found
    codes = octets.view("<u8").reshape(-1).astype(np.uint64)
    if packing.code_map is not None:
        table = np.full(4, 2, np.int64)
        table[[*CODE_MAPS[packing.code_map].values()]] = [*CODE_MAPS[packing.code_map]]
        values = table[codes.astype(np.int64)]
        if 2 in values:
            unknown = int(codes[values == 2][0])
            raise RangeError(f"the code {unknown:02b} is none of the map {packing.code_map}")
        return values
    beyond = 64 - packing.bits
    if packing.signed:
        return (codes << np.uint64(beyond)).view(np.int64) >> beyond
    return codes.view(np.int64)


def _check_leftovers(words: Array, values: Array, packing: Packing, first: int) -> None:
    """RangeError unless these words are what the values pack to: the bits between and after elements count too."""
    wanted = _packed(_bits_of(values, packing), packing)
    wrong = (wanted != words).any(axis=1)
    if wrong.any():
        word = int(wrong.argmax())
        raise RangeError(
            f"word {first + word} is {_shown(words[word])}, needed {_shown(wanted[word])}: "
            "bits that hold no element are not as they are packed"
        )


def _shown(word: Array) -> str:
    """A word in hexadecimal, its highest bytes cut where it is long."""
    return f"0x{word[::-1].tobytes().hex()[-32:]}"


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise RangeError(f"{what}: {value}, needed {low}..{high}")


def _check_known(what: str, value: str, known: Any) -> None:
    if value not in known:
        raise RangeError(f"{what} {value!r} is unknown; available: {', '.join(known)}")
