"""What the other columns of a table say of its rows: whether a row is a word at all, and which word it is.

A column called ``valid`` or ``ready`` says 1 where a row is a word.  One called ``index`` or ``address`` numbers the
words, and ones called ``n``, ``y``, ``x``, ``c`` (or ``row``, ``channel``, ...) say which element a row is: where rows
lie in another order than the words, they are sorted by them.  Columns of other names say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError
from ...text import shown
from ...vectors.columns import Table, rows_of
from .expected import Expected
from .fitted import places_of, stored_elements
from .reading import Reading

GATES = ("valid", "ready", "tvalid", "tready", "enable", "en", "strobe")
NUMBERS = ("index", "idx", "i", "address", "addr")
AXES = {
    "n": ("n", "image", "batch"),
    "h": ("y", "h", "row"),
    "w": ("x", "w", "column", "col"),
    "c": ("c", "ch", "channel"),
}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """words: which rows are words, None for all.  numbers: the number of each word, None where they come in order."""

    words: Array | None
    numbers: Array | None


def rows_of_table(path: Path, place: str, table: Table, column: int, expected: Expected, reading: Reading) -> Rows:
    """What the columns beside ``column`` say; FileError where one of them is no number, or says what cannot be."""
    names = [name.strip().lower() for name in table.names]
    sides = {name: names.index(name) for name in names if names.index(name) != column and _means_something(name)}
    if not sides:
        return Rows(None, None)
    rows = [*rows_of(path, table.head)]
    held = {name: _integers(place, name, number, rows) for name, number in sides.items()}
    words = np.ones(len(next(iter(held.values()))), bool)
    for name in GATES:
        words &= held[name] != 0 if name in held else True
    kept = {name: values[words] for name, values in held.items()}
    return Rows(None if words.all() else words, _numbers(place, kept, expected, reading))


def _means_something(name: str) -> bool:
    return name in GATES or name in NUMBERS or any(name in called for called in AXES.values())


def _integers(place: str, name: str, column: int, rows: Sequence[tuple[int, list[bytes]]]) -> Array:
    """A column of numbers, hexadecimal where one has a letter: int64, one a row."""
    cells = [(line, row[column].lower() if column < len(row) else b"") for line, row in rows]
    base = 16 if any(set(cell) & {*b"abcdefx"} for _, cell in cells) else 10
    found = np.zeros(len(cells), np.int64)
    for row, (line, cell) in enumerate(cells):
        try:
            found[row] = int(cell, base)
        except (ValueError, OverflowError):
            text = shown(cell.decode("latin-1"))
            raise FileError(f"{place}: line {line}: column {shown(name)} holds {text}, needed a number") from None
    return found


def _numbers(place: str, held: Mapping[str, Array], expected: Expected, reading: Reading) -> Array | None:
    """The number of each word, None where words come in order; FileError where two columns disagree, or none can be."""
    found: list[tuple[str, Array]] = []
    for name in NUMBERS:
        if name in held and not _in_steps(held[name]):
            found.append((name, held[name] - reading.base))
    elements = _elements(place, held, expected, reading)
    if elements is not None:
        found.append(elements)
    for name, numbers in found:
        if len(numbers) and int(numbers.min()) < 0:
            raise FileError(f"{place}: column {shown(name)} holds {int(numbers.min())}, which no word has")
    if len(found) > 1 and any((numbers != found[0][1]).any() for _, numbers in found[1:]):
        raise FileError(f"{place}: columns {', '.join(shown(name) for name, _ in found)} put rows at different words")
    return found[0][1] if found else None


def _in_steps(values: Array) -> bool:
    """Whether numbers go up in equal steps, as words or as addresses of bytes."""
    steps = np.diff(values)
    return len(steps) == 0 or bool(steps[0] > 0 and (steps == steps[0]).all())


def _elements(place: str, held: Mapping[str, Array], expected: Expected, reading: Reading) -> tuple[str, Array] | None:
    """The number of each row's element, where the columns say all axes; None where they do not or rows are in order."""
    axes = [axis for axis in expected.axes if axis in AXES]
    names = {axis: next((name for name in AXES[axis] if name in held), None) for axis in axes}
    short = all(length == 1 for axis, length in zip(expected.axes, expected.shape, strict=True) if not names.get(axis))
    if len(axes) != len(expected.axes) or not short:
        return None
    rows = len(next(iter(held.values())))
    index = [_of_axis(held, names[axis], rows) for axis in axes]
    inside = [(values >= 0) & (values < length) for values, length in zip(index, expected.shape, strict=True)]
    said = ", ".join(name for name in names.values() if name is not None)
    if not np.logical_and.reduce(inside).all():
        raise FileError(f"{place}: columns {said} leave the shape {expected.shape}")
    stored = stored_elements(expected, reading)
    numbers = index[0] * stored + places_of(expected, reading)[tuple(index[1:])]
    return None if (numbers == np.arange(rows)).all() else (said, numbers)


def _of_axis(held: Mapping[str, Array], name: str | None, rows: int) -> Array:
    return np.zeros(rows, np.int64) if name is None else held[name]


def refuse_twins(table: Table, column: int, asked: str | None, place: str) -> None:
    """FileError where two columns have the name of the one that is read, unless its number was given."""
    names: Sequence[str] = [name.strip().lower() for name in table.names]
    if names.count(names[column]) > 1 and not (asked or "").isdigit():
        raise FileError(
            f"{place}: has {names.count(names[column])} columns called {shown(table.names[column])}, "
            "--column NUMBER (from 0) says which holds the words"
        )
