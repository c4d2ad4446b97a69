"""Files that appear whole or not at all: written under a temporary name beside their own, renamed at the end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import FileError, RefengineError
from ..text import PathLike, printable, reason_of


def beside(target: Path) -> Path:
    """A temporary name in the same folder, hidden, that nothing else has."""
    return target.with_name(f".{target.name[:80]}.{secrets.token_hex(8)}.part")


def write_whole(path: Path, content: bytes, name: str) -> None:
    """Write a file that appears whole or not at all; FileError, calling it ``name``, where it cannot be written."""
    temporary = beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{name}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def checked_target(path: PathLike, inputs: Iterable[PathLike] = ()) -> Path:
    """Where to write, symbolic links resolved; FileError if nothing may or can be written there."""
    name = printable(os.fspath(path))
    try:
        target = Path(os.path.realpath(path))
        for source in inputs:
            if Path(os.path.realpath(source)) == target or _same_file(source, target):
                raise FileError(f"{name}: is also read from, write to another file")
        if target.exists() and not target.is_file():
            raise FileError(f"{name}: is not a regular file and is not replaced")
        if not target.parent.is_dir():
            raise FileError(f"{name}: cannot be written, there is no folder {printable(target.parent)}")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise FileError(f"{name}: cannot be written, folder {printable(target.parent)} is not writable")
    except (OSError, ValueError) as error:
        if isinstance(error, RefengineError):
            raise
        raise FileError(f"{name}: cannot be written ({reason_of(error)})") from error
    return target


def _same_file(one: PathLike, other: PathLike) -> bool:
    """Whether both exist and are one file, under whatever names."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def synchronise(path: Path) -> None:
    """Wait until the file's bytes are on the disk, so that the rename never exposes a half-written file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
