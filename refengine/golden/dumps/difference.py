"""How two blocks of integers differ: counts, the first place, sizes and signs; exact, whatever the type.

A ``Tally`` is fed block by block, so that it never sees more than one.  Differences are ``got - wanted``; their sizes
are counted by powers of two, because that is how errors of hardware come: by a last bit, by a carry, by a sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_LOW_WORD = np.uint64(2**32 - 1)


@dataclass(frozen=True)
class Element:
    """One place at which two dumps differ: ``index`` is (image, ...), ``bits`` the width of what is stored there.

    unknown: mask of the bits of ``got`` that are neither 0 nor 1.
    """

    index: tuple[int, ...]
    wanted: int
    got: int
    bits: int
    unknown: int = 0

    @property
    def xor(self) -> int:
        """Which bits differ."""
        return (self.wanted ^ self.got) & (2**self.bits - 1)


@dataclass(frozen=True)
class Difference:
    """What a Tally has seen: values compared, how many differ, the largest distance, and where the first one is.

    histogram: (smallest distance of the class with its sign, how many), rising, for classes that occur: ``-2`` counts
    differences of -2 and -3.  ends: how many of the values that differ lie at the lowest and at the highest code, in
    what was wanted and in what was got.
    """

    values: int
    different: int
    largest: int
    histogram: tuple[tuple[int, int], ...]
    ends: tuple[int, int, int, int]
    first: Element | None


class Tally:
    """Counts differences; ``lo`` and ``hi`` are the ends of the format, ``bits`` its width."""

    def __init__(self, lo: int, hi: int, bits: int) -> None:
        self._lo, self._hi, self._bits = lo, hi, bits
        self._values = self._different = self._largest = 0
        self._classes = np.zeros((2, 65), np.int64)
        self._ends = np.zeros(4, np.int64)
        self._first: Element | None = None

    def add(
        self, start: int, wanted: Array, got: Array, unknown: Array | None = None, missing: Array | None = None
    ) -> None:
        """Two arrays of one shape, integers of any types, whose first image has the number ``start``.

        unknown: masks of bits of ``got`` that are neither 0 nor 1: such a value differs, whatever its other bits are.
        missing: values of ``got`` that are not there and do not count.
        """
        self._values += wanted.size
        if wanted.dtype == got.dtype and unknown is None and missing is None and same_bytes(wanted, got):
            return
        differs = wanted.reshape(-1) != got.reshape(-1)
        if unknown is not None:
            differs |= unknown.reshape(-1) != 0
        if missing is not None:
            self._values -= int(np.count_nonzero(missing))
            differs &= ~missing.reshape(-1)
        where = np.flatnonzero(differs)
        if not len(where):
            return
        w, g = wanted.reshape(-1)[where], got.reshape(-1)[where]
        if self._first is None:
            index = tuple(int(i) for i in np.unravel_index(int(where[0]), wanted.shape))
            mask = 0 if unknown is None else int(unknown.reshape(-1)[where[0]])
            self._first = _element((index[0] + start, *index[1:]), int(w[0]), int(g[0]), self._bits, mask)
        self._different += len(where)
        size = distances(w, g)
        self._largest = max(self._largest, int(size.max()))
        above = (g > w).astype(np.int64)
        self._classes += np.bincount(bit_lengths(size) + 65 * above, minlength=130).reshape(2, 65)
        self._ends += [np.count_nonzero(side == end) for side in (w, g) for end in (self._lo, self._hi)]

    def end(self) -> Difference:
        """What was seen."""
        low, high, low_got, high_got = self._ends.tolist()
        ends = (low, high, low_got, high_got)
        return Difference(self._values, self._different, self._largest, tuple(self._histogram()), ends, self._first)

    def _histogram(self) -> Iterator[tuple[int, int]]:
        below, above = self._classes.tolist()
        yield from ((-(1 << (k - 1)), below[k]) for k in range(64, 0, -1) if below[k])
        yield from ((1 << (k - 1), above[k]) for k in range(1, 65) if above[k])


def same_bytes(one: Array, other: Array) -> bool:
    """Whether two arrays of one type hold the same; the quick answer of the common case."""
    return bool(np.array_equal(one, other))


def distances(one: Array, other: Array) -> Array:
    """abs(one - other) as uint64, exact over the whole range of int64 and uint64.

    >>> distances(np.array([-(2**63), 5]), np.array([2**63 - 1, 7])).tolist()
    [18446744073709551615, 2]
    """
    larger = one > other
    high, low = np.where(larger, one, other), np.where(larger, other, one)
    return high.astype(np.uint64) - low.astype(np.uint64)


def bit_lengths(values: Array) -> Array:
    """``int.bit_length`` of uint64 values, exactly: each half fits a float.

    >>> bit_lengths(np.array([0, 1, 2, 3, 2**53 - 1, 2**53, 2**64 - 1], np.uint64)).tolist()
    [0, 1, 2, 2, 53, 54, 64]
    """
    high, low = values >> np.uint64(32), values & _LOW_WORD
    _, of_high = np.frexp(high.astype(np.float64))
    _, of_low = np.frexp(low.astype(np.float64))
    return np.where(high > 0, of_high + 32, of_low).astype(np.int64)


def _element(index: tuple[int, ...], wanted: int, got: int, bits: int, unknown: int = 0) -> Element:
    """Widened to the next usual width where a value does not fit, or a bit above it is unknown."""
    while not all(-(2 ** (bits - 1)) <= value < 2**bits for value in (wanted, got)) or unknown >= 2**bits:
        bits = max(2 * bits, 8)
    return Element(index, wanted, got, bits, unknown & (2**bits - 1))


def as_hex(value: int, bits: int, unknown: int = 0) -> str:
    """Two's complement of ``bits`` bits; a digit with an unknown bit is x.

    >>> as_hex(-3, 8), as_hex(5, 20), as_hex(5, 8, 0x10)
    ('0xfd', '0x00005', '0xx5')
    """
    digits = f"{value & (2**bits - 1):0{-(-bits // 4)}x}"
    return f"0x{_crossed(digits, f'{unknown:0{len(digits)}x}')}"


def _crossed(digits: str, unknown: str) -> str:
    """Digits with x wherever ``unknown`` is not 0."""
    return "".join(digit if mask == "0" else "x" for digit, mask in zip(digits, unknown, strict=True))


def as_binary(value: int, bits: int, unknown: int = 0) -> str:
    """Two's complement of ``bits`` bits, in groups of four; an unknown bit is x.

    >>> as_binary(-3, 8), as_binary(5, 6), as_binary(5, 6, 0b11)
    ('1111_1101', '00_0101', '00_01xx')
    """
    digits = _crossed(f"{value & (2**bits - 1):0{bits}b}", f"{unknown:0{bits}b}")
    first = len(digits) % 4
    groups = [digits[:first], *(digits[i : i + 4] for i in range(first, len(digits), 4))]
    return "_".join(group for group in groups if group)


def class_name(smallest: int) -> str:
    """A class of the histogram as people read it.

    >>> [class_name(smallest) for smallest in (-4, -1, 1, 2)]
    ['-7..-4', '-1', '+1', '+2..+3']
    """
    if abs(smallest) == 1:
        return f"{smallest:+d}"
    other = 2 * smallest - (1 if smallest > 0 else -1)
    return f"{min(smallest, other):+d}..{max(smallest, other):+d}"
