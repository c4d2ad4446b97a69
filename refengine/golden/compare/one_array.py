"""One explanation for one array: its integers are right, and have a different memory layout or are off by a word.

Where one array alone differs there is no second one to confirm a layout, so it must make every integer right, of an
array of enough different ones, and no other layout may do so too.  Nothing is read that way: the option that does is
named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...errors import FileError, RangeError
from ..dumps.axes import in_words, usual_orders
from ..dumps.difference import Array
from ..dumps.dump import Damaged, Forms, Values
from ..dumps.fitted import Fitted, Packed, marks_of
from ..dumps.word_sources import RawWords

_MOST = 1 << 26  # integers; larger arrays are not looked at
_DISTINCT = 8  # fewer different integers prove nothing
_SLIPS = 16  # words that come twice, or are lost


@dataclass(frozen=True)
class Lies:
    """How an array lies, in words."""

    sentence: str


def lies(golden: Values, dut: Values) -> Lies | None:
    """The one way in which all integers of a DUT's array would be the golden's; None where none is, or several are."""
    dut = dut.judged if isinstance(dut, Forms) else dut
    sizes = [math.prod(one.shape) for one in (golden, dut)]
    if isinstance(dut, Damaged) or not 0 < max(sizes) <= _MOST:
        return None
    try:
        wanted = golden.read(0, golden.shape[0])
        marks = marks_of(dut, 0, dut.shape[0])
        if marks is not None and marks.unknown is not None:
            return None
        as_read = _as_read(dut, wanted)
        if as_read is not None and np.array_equal(as_read, wanted):
            return None  # where the values are right another order is no news
        if len(np.unique(wanted[:1])) < _DISTINCT and len(np.unique(wanted)) < _DISTINCT:
            return None
        found = [*dict.fromkeys(sentence for sentence in _ways(wanted, dut))]
    except (FileError, RangeError):
        return None
    return Lies(found[0]) if len(found) == 1 else None


def _as_read(dut: Values, wanted: Array) -> Array | None:
    """The integers in the golden's shape, as they were read; None where there are more or fewer."""
    found = dut.read(0, dut.shape[0])
    return found.reshape(wanted.shape) if found.size == wanted.size else None


def _ways(wanted: Array, dut: Values) -> Iterator[str]:
    row = _row(dut)
    if row is not None:
        yield from _orders(wanted, row)
    yield from _other_words(wanted, dut)
    if row is not None:
        stored = dut.flattened(wanted) if isinstance(dut, Fitted) else wanted.reshape(-1)
        slipped = None if stored is None else slip(stored, row)
        if slipped is not None:
            yield slipped


def _row(dut: Values) -> Array | None:
    """All integers of an array in the order in which they are stored, None where words hold several."""
    if not isinstance(dut, Fitted):
        return dut.read(0, dut.shape[0]).reshape(-1)
    return dut.flat()


def _orders(wanted: Array, row: Array) -> Iterator[str]:
    """Every order of the axes that makes all integers right."""
    shape = wanted.shape[1:]
    if len(shape) != 3:
        return
    for order in usual_orders(shape[-1]):
        if len(row) != len(wanted) * math.prod(order.stored_shape(shape)):
            continue
        made, filling = order.as_trace(row.reshape(len(wanted), -1), shape)
        if np.array_equal(made, wanted) and not filling.any():
            name = in_words(order.axes) if order.block is None else order.name
            yield f"the integers lie in the order {name}: --order {order.name} reads them"


def _other_words(wanted: Array, dut: Values) -> Iterator[str]:
    """Other bytes or lanes first."""
    if not isinstance(dut, Fitted):
        return
    source, decoder = dut.source, dut.decoder
    if isinstance(source, RawWords) and source.size > 1:
        big = not source.big
        if _all_right(wanted, replace(dut, source=replace(source, big=big))):
            first, option = ("highest", "big") if big else ("lowest", "little")
            yield f"words have their {first} byte first: --endian {option} reads them"
    if isinstance(decoder, Packed) and decoder.packing.elements > 1:
        first = "high" if decoder.packing.first == "low" else "low"
        other = replace(dut, decoder=Packed(replace(decoder.packing, first=first)))
        if _all_right(wanted, other):
            count = decoder.packing.elements
            option = f"--pack {count},{first}-first"
            yield f"the first of {count} integers is in the {first} bits of a word: {option} reads them"


def _all_right(wanted: Array, dut: Fitted) -> bool:
    try:
        return np.array_equal(dut.read(0, dut.shape[0]), wanted)
    except FileError:
        return False


def slip(wanted: Array, got: Array) -> str | None:
    """A word that comes twice or is lost, from which on each is off by as many; None where that does not explain all.

    >>> slip(np.array([1, 2, 3, 4, 5]), np.array([1, 2, 2, 3, 4]))
    'word 2 repeats the one before, and every later word comes one late'
    """
    length = min(len(wanted), len(got))
    where = np.flatnonzero(wanted[:length] != got[:length])
    if not len(where):
        return None
    first = int(where[0])
    for by in range(1, _SLIPS + 1):
        later, earlier = got[first + by :], wanted[first + by :]
        late = wanted[first : first + len(later)]
        early = got[first : first + len(earlier)]
        stalled = first > 0 and bool((got[first : first + by] == got[first - 1]).all())
        if stalled and len(late) > by and np.array_equal(later[: len(late)], late) and len(later) - len(late) <= by:
            return _said(first, by, "repeats the one before", "repeat the one before", "late")
        if len(early) > by and np.array_equal(early, earlier[: len(early)]) and len(earlier) - len(early) <= by:
            return _said(first, by, "is lost", "are lost", "early")
    return None


def _said(first: int, by: int, one: str, several: str, how: str) -> str:
    what = f"word {first} {one}" if by == 1 else f"words {first}..{first + by - 1} {several}"
    return f"{what}, and every later word comes {'one' if by == 1 else by} {how}"
