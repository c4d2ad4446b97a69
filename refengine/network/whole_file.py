"""Files that appear whole or not at all: written under a temporary name beside their own, renamed at the end.

A temporary name says who writes, so that what a killed process left is known for what it is:

    .NAME.<where: 8 hex digits><process: 8 hex digits><8 random hex digits>.part

The first write into a folder removes the leftovers there whose process is gone, and those from
elsewhere (another machine, container or version) that nobody has touched for a week.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import FileError, RefengineError
from ..text import PathLike, printable, reason_of

UNTOUCHED = 7 * 24 * 3600  # seconds after which a leftover of an unknown process is one
_LEFTOVER = re.compile(r"\..{1,80}\.(?:([0-9a-f]{8})([0-9a-f]{8})[0-9a-f]{8}|[0-9a-f]{16})\.part", re.DOTALL)
_swept: set[Path] = set()


def beside(target: Path) -> Path:
    """A temporary name in the same folder, hidden, that nothing else has; leftovers in the folder are removed."""
    if target.parent not in _swept:
        _swept.add(target.parent)
        remove_leftovers(target.parent)
    return target.with_name(f".{target.name[:80]}.{_where()}{os.getpid():08x}{secrets.token_hex(4)}.part")


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of files and folders that they wrote here; what cannot be removed stays."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (match := _LEFTOVER.fullmatch(entry.name)) and _is_left(match, entry):
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _is_left(match: re.Match[str], entry: os.DirEntry[str]) -> bool:
    """Whether nobody is writing under this name any more."""
    status = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return False
    if match[1] != _where():
        return time.time() - status.st_mtime > UNTOUCHED
    try:
        os.kill(int(match[2], 16), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's process
        return False
    return False


def _where() -> str:
    """This machine and the space of its process numbers, of which a container has its own: 8 hexadecimal digits."""
    here = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    with suppress(OSError):
        here += f" {os.stat('/proc/self/ns/pid').st_ino}"
    return f"{zlib.crc32(here.encode()):08x}"


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
