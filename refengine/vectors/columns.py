"""Tables of numbers as text (CSV): the one column that holds the words, by its name, its number, or what others are."""

from __future__ import annotations

import re
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
_HEAD_BYTES = 1 << 16
_NUMBER = re.compile(rb"[+-]?(0[xX])?[0-9a-fA-FxXzZ_]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_CELLS = re.compile(rb"[ \t]*[,;][ \t]*|[ \t]+")


@dataclass(eq=False)
class ColumnGrammar(ReadmemGrammar):
    """Lines of cells between commas, semicolons or blanks, of which ``column`` is kept; ``head``: lines before them."""

    column: int = 0
    head: int = 0
    _first: int = field(default=1)

    def clean(self, block: bytes, line: int) -> bytes:
        """The cells of one column, a line each."""
        lines = block.removeprefix(b"\xef\xbb\xbf").replace(b'"', b"").split(b"\n")
        kept = []
        for number, text in enumerate(lines, line):
            cells = _CELLS.split(text.strip()) if text.strip() and number > self.head else [b""]
            if len(cells) <= self.column and cells != [b""]:
                raise self.error(number, f"has {len(cells)} columns, needed column {self.column}")
            kept.append(b"" if cells == [b""] else cells[self.column])
        return super().clean(b"\n".join(kept), line)


@dataclass(frozen=True)
class Table:
    """What the first lines of a text say: names of its columns, or how many there are."""

    names: tuple[str, ...]
    columns: int


def table_of(path: Path) -> Table:
    """Look at the first lines of a text; no names and one column where it is no table."""
    with open(path, "rb") as file:
        lines = [line.strip() for line in file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").splitlines()]
    lines = [line for line in lines if line and not line.startswith((b"#", b"//"))]
    if not lines:
        return Table((), 1)
    first = _CELLS.split(lines[0].replace(b'"', b"").strip())
    numbers = all(_NUMBER.fullmatch(cell) or not cell for cell in first)
    words = len(first) > 1 < len(lines) and all(cell.isalpha() for cell in first) and not any(map(_letters, lines[1:]))
    if (numbers and not words) or any(b":" in cell or b"=" in cell or b"@" in cell or b"'" in cell for cell in first):
        return Table((), len(first))
    return Table(tuple(cell.decode("latin-1") for cell in first), len(first))


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
    found = [name for name in (stage, *VALUES) if name in names]
    left = [name for name in names if name not in PLACES]
    if stage in names or len(left) == 1 or len(found) == 1:
        return names.index(stage if stage in names else left[0] if len(left) == 1 else found[0])
    raise FileError(f"{place}: has the columns {', '.join(table.names)}, --column NAME says which holds the words")
