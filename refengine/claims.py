"""Which process does which job of a folder, where several processes work in it at once.

A claim is a lock on one byte of the file ``lock``, the byte that the job's key names.  The system takes it back when
the process that holds it ends, however it ends, so there is nothing to clean up after a process that was killed.  Where
the system or the disk has no such locks every job is free, and two processes may do one twice.
"""

from __future__ import annotations

import time
import weakref
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import FileError
from .text import printable

fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None  # which POSIX systems have

LOCK = "lock"
_SECONDS_BETWEEN_LOOKS = 0.02
_DIGITS = 15  # of the key, in hexadecimal: a place in a file has 63 bits


class Claims:
    """The claims of this process in a folder, given back at the end of a ``with`` block or of the object."""

    def __init__(self, folder: Path) -> None:
        place = folder / LOCK
        try:
            self._file = open(place, "ab")  # noqa: SIM115  (closed by __exit__)
        except OSError as error:
            raise FileError(f"{printable(place)}: cannot be written ({error.strerror})") from error
        self._close = weakref.finalize(self, self._file.close)

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def take(self, key: str) -> bool:
        """Claim a job by its key (hex); False where another process has it."""
        if fcntl is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except (BlockingIOError, PermissionError):  # either, says POSIX
            return False
        except OSError:  # a disk without locks
            return True
        return True

    def wait(self, key: str, seconds: float) -> bool:
        """Claim a job as soon as nobody else has it; False where that took longer than so many seconds."""
        deadline = time.monotonic() + seconds
        while not self.take(key):
            if time.monotonic() > deadline:
                return False
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return True

    def give_back(self, key: str) -> None:
        """End a claim."""
        if fcntl is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key))
            except OSError:  # a disk without locks
                return


def _place(key: str) -> int:
    return int(key[:_DIGITS], 16)
