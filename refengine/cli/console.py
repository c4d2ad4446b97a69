"""What all verbs do with a result: tables on stdout, progress on stderr, figures as JSON, files whole or not at all."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .. import CONTRACT, __version__
from ..errors import FileError
from ..network.whole_file import checked_target, write_whole
from ..text import printable
from . import signals

STDOUT = "-"


class Show(Protocol):
    """Shows how far some work is."""

    def __call__(self, done: int, total: int, detail: str = "") -> None: ...


_SECONDS_BETWEEN_LINES = 5  # and a twentieth of the work, unless that takes a minute
_SECONDS_AT_MOST = 60
_WIDTH_OF_A_FILE = 1 << 16
_GAP = 2  # columns of space between two of a table


# ---------------------------------------------------------------------------------------------------------------- text


def say(text: str = "") -> None:
    """One line on stdout, as it is."""
    print(printable(text))


def complain(text: str) -> None:
    """One line on stderr."""
    print(f"refengine: {printable(text)}", file=sys.stderr, flush=True)


def table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table; columns whose heads end in '>' are figures and lean to the right, None is an empty cell."""
    made = Table(box=None, pad_edge=False, padding=(0, 1))
    for head in heads:
        made.add_column(head.rstrip(">"), justify="right" if head.endswith(">") else "left")
    for row in rows:
        made.add_row(*(Text(printable("" if cell is None else cell)) for cell in row))
    return made


def show_table(made: Table) -> None:
    """Print a table: a line a row where stdout is no terminal; there, sentences are folded, no name and no number."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    console = Console(width=width, highlight=False)
    widths = _widths(made, console.width)
    for column, fitting in zip(made.columns, widths, strict=True):
        column.width = fitting
    console.width = max(console.width, _total(widths))  # a terminal that is too narrow breaks lines by itself
    with console.capture() as captured:
        console.print(made)
    lines = (line.rstrip() for line in captured.get().splitlines())
    print("\n".join(line for line in lines if line))


def _widths(made: Table, whole: int) -> list[int]:
    """Widths of columns that make a table ``whole`` wide, if they can: the widest give way, none below its words."""
    texts = [[str(column.header), *map(str, column.cells)] for column in made.columns]
    widths = [max(map(cell_len, column)) for column in texts]
    least = [max((cell_len(word) for text in column for word in text.split()), default=0) for column in texts]
    while _total(widths) > whole:
        foldable = [number for number, width in enumerate(widths) if width > least[number]]
        if not foldable:
            break
        widths[max(foldable, key=widths.__getitem__)] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


# ------------------------------------------------------------------------------------------------------------ progress


@contextmanager
def progress(what: str) -> Iterator[Show]:
    """Yield ``show(done, total, detail)``: a bar where stderr is a terminal, elsewhere a line every few seconds."""
    if sys.stderr.isatty():
        with _bar() as bar:
            task = bar.add_task(what, total=None, detail="")

            def move(done: int, total: int, detail: str = "") -> None:
                signals.check()
                bar.update(task, completed=done, total=total, detail=printable(detail))

            yield move
        return
    printed, last = time.monotonic(), 0

    def line(done: int, total: int, detail: str = "") -> None:
        nonlocal printed, last
        signals.check()
        waited = time.monotonic() - printed
        step = 20 * (done - last) >= total or done < last
        if waited >= _SECONDS_AT_MOST or (waited >= _SECONDS_BETWEEN_LINES and step):
            print(f"{what}: {done} of {total} {printable(detail)}".rstrip(), file=sys.stderr, flush=True)
            printed, last = time.monotonic(), done

    yield line


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )


# --------------------------------------------------------------------------------------------------------------- files


def check_outputs(inputs: Sequence[str], json_path: str | None, *outputs: str | None) -> None:
    """FileError, before any work is done, if a file cannot be written, is read from, or is to be written twice."""
    targets = set()
    for output in (None if json_path == STDOUT else json_path, *outputs):
        if output is not None:
            target = checked_target(output, inputs)
            if target in targets:
                raise FileError(f"{printable(output)}: would be written twice")
            targets.add(target)


def write_file(path: str, content: bytes, inputs: Iterable[str]) -> None:
    """Write a file as a whole; FileError if it cannot be written or is one of ``inputs``."""
    target = checked_target(path, inputs)
    write_whole(target, content, printable(path))


def make_folder(path: str) -> Path:
    """A folder, made if it is missing; FileError if it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: cannot be made a folder ({getattr(error, 'strerror', None) or error})") from error
    return Path(path)


def write_json(path: str | None, report: str, figures: dict[str, Any], inputs: Iterable[str]) -> bool:
    """Write figures as JSON, if asked to; True if they went to stdout, so that nothing else may."""
    if path is None:
        return False
    head = {"report": report, "refengine": __version__, "contract": CONTRACT}
    text = json.dumps({**head, **figures}, indent=2, allow_nan=False) + "\n"
    if path == STDOUT:
        sys.stdout.write(text)
        return True
    write_file(path, text.encode(), inputs)
    return False
