"""An array in NumPy's format as a dump holds it: the header checked, rows read as they are asked for.

Only integers in C order, of either byte order; pickled objects are never loaded, and the bytes that a header claims
must be those that are there.  Whatever cannot be used is a FileError of one line that names the file.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError, RefengineError
from ...network.hdf5_dataset import MAX_ARRAY_BYTES
from ...text import printable
from ...vectors.npy import BAD_FILE, header

_BAD_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, struct.error)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class NpyArray:
    """An array behind a file object that can seek; ``place`` is what messages call it."""

    file: Any
    place: str
    offset: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    chunk_rows: int = 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """In native byte order."""
        return self.stored.newbyteorder("=")

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1 of the first axis; FileError where they do not exist or are damaged."""
        if not 0 <= start <= stop <= self.shape[0]:
            raise FileError(f"{self.place}: has images 0..{self.shape[0] - 1}, asked for {start}..{stop - 1}")
        row = math.prod(self.shape[1:]) * self.stored.itemsize
        if (stop - start) * row > MAX_ARRAY_BYTES:
            raise FileError(f"{self.place}: {stop - start} images are more than {MAX_ARRAY_BYTES} bytes")
        with guarded(self.place):
            self.file.seek(self.offset + start * row)
            data = self.file.read((stop - start) * row)
        if len(data) != (stop - start) * row:
            raise FileError(f"{self.place}: is truncated, image {start + len(data) // max(1, row)} is not there")
        array = np.frombuffer(data, self.stored).reshape(stop - start, *self.shape[1:])
        return array.astype(self.dtype, copy=False)


def npy_array(file: Any, place: str, size: int, floats: bool = False) -> NpyArray:
    """The array whose header ``file`` begins with; ``size``: bytes of header and data together.

    floats: whether an array of floats is taken too, for its reader to say what becomes of it.
    """
    if size == 0:
        raise FileError(f"{place}: is empty")
    with guarded(place):
        _, shape, fortran, dtype = header(file)
        offset = file.tell()
    if dtype.kind not in ("iuf" if floats else "iu"):
        raise FileError(f"{place}: holds {printable(dtype)}, needed integers")
    if not shape or min(shape) < 1:
        raise FileError(f"{place}: has shape {shape}, needed (images, ...), none of them 0")
    if fortran:
        raise FileError(f"{place}: is stored in Fortran order, save it with np.ascontiguousarray")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != size - offset:
        missing = "is truncated: " if claimed > size - offset else ""
        raise FileError(f"{place}: {missing}claims {claimed} bytes of numbers and has {size - offset}")
    return NpyArray(file, place, offset, tuple(shape), dtype)


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """Turn whatever NumPy or zipfile raise into one FileError."""
    try:
        yield
    except RefengineError:
        raise
    except (*BAD_FILE, *_BAD_ZIP) as error:
        lines = str(error).splitlines()
        reason = printable(lines[0])[:200] if lines else type(error).__name__
        raise FileError(f"{place}: cannot be read ({reason})") from error


class Reopened(io.RawIOBase):
    """A file that is open only while it is read, so that a folder may hold more files than a process may open."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def seekable(self) -> bool:
        """True."""
        return True

    def readable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """From the beginning (0) or from here."""
        self._position = offset if whence == 0 else self._position + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next bytes, all that are left for -1."""
        with open(self._path, "rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data
