"""FST files, read by pylibfst in a process of its own, because the library behind it does not survive damaged files.

python -m refengine.golden.dumps.fst FILE signals             a line of JSON: scale, and (name, handle, bits) of each
python -m refengine.golden.dumps.fst FILE changes HANDLE...   "time handle bits" a line, times rising
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import FileError, RefengineError
from ...optional import package

EXTRA = 'pip install "refengine[waves]"'
_MODULE = __spec__.name if __name__ == "__main__" else __name__


def signals_of(path: Path, place: str) -> tuple[int, list[tuple[str, str, int]]]:
    """The exponent of ten of a step in seconds, and (name, handle, bits) of each signal; FileError if it is no FST."""
    (line,) = [*_lines(path, place, "signals")] or ["null"]
    try:
        record = json.loads(line)
        scale, found = record["scale"], record["signals"]
        return int(scale), [(str(name), str(handle), int(bits)) for name, handle, bits in found]
    except (ValueError, TypeError, LookupError) as error:
        raise FileError(f"{place}: is no FST that can be read") from error


def changes_of(path: Path, place: str, handles: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """(time, handle, bits as text) of every change of some signals; FileError where the file is damaged."""
    for line in _lines(path, place, "changes", *handles):
        parts = line.split()
        if len(parts) != 3 or not parts[0].isdigit():
            raise FileError(f"{place}: is no FST that can be read")
        yield int(parts[0]), parts[1], parts[2]


def _lines(path: Path, place: str, *arguments: str) -> Iterator[str]:
    """What the other process prints; FileError if it does not end well."""
    package("pylibfst", EXTRA)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    command = [sys.executable, "-m", _MODULE, os.path.abspath(path), *arguments]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, encoding="utf-8", errors="replace"
    )
    try:
        if child.stdout is not None:
            yield from child.stdout
    finally:
        if child.stdout is not None:
            child.stdout.close()
        ended = child.wait()
    if ended:
        how = f"signal {-ended}" if ended < 0 else f"exit code {ended}"
        raise FileError(f"{place}: is no FST that can be read (its reader ended with {how})")


# ------------------------------------------------------------------------------------------------- in the other process


def _print(path: str, what: str, *handles: str) -> int:
    library = package("pylibfst", EXTRA)
    context = library.lib.fstReaderOpen(os.fsencode(path))
    if context == library.ffi.NULL:
        return 1
    if what == "signals":
        _, found = library.get_scopes_signals2(context)
        rows = [(name, str(one.handle), int(one.length)) for name, one in found.by_name.items()]
        print(json.dumps({"scale": int(library.lib.fstReaderGetTimescale(context)), "signals": rows}))
        return 0

    def note(_: Any, time: int, handle: int, value: Any) -> None:
        sys.stdout.write(f"{time} {handle} {library.string(value)}\n")

    library.lib.fstReaderClrFacProcessMaskAll(context)
    for handle in handles:
        library.lib.fstReaderSetFacProcessMask(context, int(handle))
    return 0 if library.fstReaderIterBlocks(context, note) else 1


if __name__ == "__main__":
    try:
        sys.exit(_print(*sys.argv[1:]))
    except RefengineError:
        sys.exit(1)
