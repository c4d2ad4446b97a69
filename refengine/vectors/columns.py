"""Tables of numbers as text (CSV): the one column that holds the words, by its name, its number, or what others are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import FileError
from ..text import shown
from .readmem import ReadmemGrammar

VALUES = ("value", "values", "data", "code", "got", "result", "word", "out")
PLACES = (
    "y",
    "n",
    "h",
    "w",
    "c",
    "x",
    "image",
    "row",
    "column",
    "channel",
    "i",
    "index",
    "address",
    "addr",
    "time",
    "cycle",
)
_COMMENTS = (b"#", b"//", b"--")
_HEAD_BYTES = 1 << 16
_NUMBER = re.compile(rb"[+-]?(0[xX])?[0-9a-fA-FxXzZ_]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_CELLS = re.compile(rb"[ \t]*[,;][ \t]*|[ \t]+")
_HIDDEN, _SHOWN = bytes.maketrans(b",; \t", b"\x01\x02\x03\x04"), bytes.maketrans(b"\x01\x02\x03\x04", b",; \t")


@dataclass(eq=False)
class ColumnGrammar(ReadmemGrammar):
    """Lines of cells between commas, semicolons or blanks, of which ``column`` is kept; ``head``: lines before them."""

    column: int = 0
    head: int = 0
    _first: int = field(default=1)

    def clean(self, block: bytes, line: int) -> bytes:
        """The cells of one column, a line each."""
        kept = []
        for number, text in enumerate(block.removeprefix(b"\xef\xbb\xbf").split(b"\n"), line):
            cells = split_cells(text) if text.strip() and number > self.head else [b""]
            if len(cells) <= self.column and cells != [b""]:
                raise self.error(number, f"has {len(cells)} columns, needed column {self.column}")
            cell = b"" if cells == [b""] else cells[self.column]
            if _CELLS.search(cell):
                raise self.error(number, f"holds {shown(cell.decode('latin-1'))}, needed one number a cell")
            kept.append(cell)
        return super().clean(b"\n".join(kept), line)


def split_cells(line: bytes) -> list[bytes]:
    """The cells of a line; commas between quotes belong to the cell.

    >>> split_cells(b' 1; "2" ,3\\r'), split_cells(b'"1,234" 5')
    ([b'1', b'2', b'3'], [b'1,234', b'5'])
    """
    if b'"' not in line:
        return _CELLS.split(line.strip())
    plain = re.sub(rb'"([^"]*)"', lambda found: found[1].translate(_HIDDEN), line.strip())
    return [cell.translate(_SHOWN) for cell in _CELLS.split(plain)]


def rows_of(path: Path, head: int) -> Iterator[tuple[int, list[bytes]]]:
    """The cells of each line with its number, without the lines of the head, empty ones and comments."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip()
            if number > head and _is_row(text):
                yield number, split_cells(text)


def _is_row(line: bytes) -> bool:
    """Whether a stripped line is neither empty nor a comment."""
    return bool(line) and not line.startswith(_COMMENTS)


@dataclass(frozen=True)
class Table:
    """What the first lines of a text say: names of its columns, or how many there are.

    head: how many lines end with the one that has the names.
    """

    names: tuple[str, ...]
    columns: int
    head: int = 0


def table_of(path: Path) -> Table:
    """Look at the first lines of a text; no names and one column where it is no table."""
    with open(path, "rb") as file:
        text = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    head = next((number for number, line in enumerate(text.split(b"\n"), 1) if _is_row(line.strip())), 0)
    lines = [line.strip() for line in text.splitlines() if _is_row(line.strip())]
    if not lines:
        return Table((), 1)
    first = split_cells(lines[0])
    numbers = all(_NUMBER.fullmatch(cell) or not cell for cell in first)
    words = len(first) > 1 < len(lines) and all(cell.isalpha() for cell in first) and not any(map(_letters, lines[1:]))
    if (numbers and not words) or any(b":" in cell or b"=" in cell or b"@" in cell or b"'" in cell for cell in first):
        return Table((), len(first))
    return Table(tuple(cell.decode("latin-1") for cell in first), len(first), head)


def _letters(line: bytes) -> bool:
    return any(65 <= byte <= 122 for byte in line)


def column_of(table: Table, asked: str | None, stage: str, place: str) -> int | None:
    """The number of the column that holds the words; None where every cell is one.  FileError where nothing says it."""
    names = [name.strip().lower() for name in table.names]
    if asked is not None:
        if asked.isdigit() and int(asked) < table.columns:
            return int(asked)
        if asked.lower() not in names:
            raise FileError(f"{place}: has no column {shown(asked)}, it has {', '.join(table.names) or table.columns}")
        return names.index(asked.lower())
    if not names:
        return None
    if len(names) == 1:
        return 0
    known = (stage, *(name for name in VALUES if name != "code" or stage not in names))
    found = [name for name in dict.fromkeys(known) if name in names]
    left = [name for name in names if name not in PLACES]
    if len(left) == 1 or len(found) == 1:
        return names.index(found[0] if found else left[0])
    raise FileError(f"{place}: has the columns {', '.join(table.names)}, --column NAME says which holds the words")
