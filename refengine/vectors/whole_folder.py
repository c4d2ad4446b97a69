"""Folders that appear whole or not at all: written under another name beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import FileError
from ..network.whole_file import beside
from ..text import PathLike, printable


@contextmanager
def write_folder(
    path: PathLike, inputs: Iterable[PathLike] = (), replaceable: Callable[[Path], None] | None = None
) -> Iterator[Path]:
    """Yield a new folder that becomes ``path`` when the block ends well and vanishes when it does not.

    ``path`` must not exist or be an empty folder; where ``replaceable`` is given, also a folder that it does not refuse
    by raising, which is then replaced as a whole.  FileError for anything else, if one of ``inputs`` lies inside, or if
    writing fails.
    """
    name = printable(os.fspath(path))
    target = check_folder(path, inputs, replaceable)
    temporary = beside(target)
    try:
        temporary.mkdir()
        yield temporary
        _put_in_place(temporary, target)
    except OSError as error:
        raise FileError(f"{name}: cannot be written ({error.strerror or type(error).__name__})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(
    path: PathLike, inputs: Iterable[PathLike] = (), replaceable: Callable[[Path], None] | None = None
) -> Path:
    """Where to write, symbolic links resolved; FileError if ``write_folder`` would refuse it."""
    name = printable(os.fspath(path))
    try:
        target = Path(os.path.realpath(path))
        for source in inputs:
            if target in (Path(os.path.realpath(source)), *Path(os.path.realpath(source)).parents):
                raise FileError(f"{name}: {printable(os.fspath(source))} is read from, write to another folder")
        if target.exists():
            if not target.is_dir():
                raise FileError(f"{name}: is not a folder and is not replaced")
            if not _is_empty(target):
                if replaceable is None:
                    raise FileError(f"{name}: is not empty, a new or an empty folder was needed")
                replaceable(target)
        if not target.parent.is_dir():
            raise FileError(f"{name}: cannot be written, there is no folder {printable(target.parent)}")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise FileError(f"{name}: cannot be written, folder {printable(target.parent)} is not writable")
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: cannot be written ({getattr(error, 'strerror', None) or error})") from error
    return target


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename; what stood there before comes back if that fails."""
    if not target.exists():
        os.rename(temporary, target)
        return
    old = beside(target).with_suffix(".old")  # which nobody takes for a leftover: it is the user's
    os.rename(target, old)
    try:
        os.rename(temporary, target)
    except OSError:
        os.rename(old, target)
        raise
    with suppress(OSError):
        shutil.rmtree(old)
