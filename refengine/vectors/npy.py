"""NumPy's own files (.npy, version 1.0): the integers themselves, unpacked, little-endian, axes as in the contract."""

from __future__ import annotations

import math
import os
import tokenize
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import FileError
from ..network.hdf5_dataset import MAX_ARRAY_BYTES
from ..text import PathLike, printable

Array = np.ndarray[Any, Any]

MAX_AXES = 32  # of any array that is read; NumPy itself ends at 64

# what reading a damaged file raises; TokenError: NumPy parses a header that is no Python once more, as one of Python 2
BAD_FILE = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, SyntaxError, ArithmeticError, MemoryError),
    *(AttributeError, RecursionError, tokenize.TokenError),
)


def header(file: Any) -> tuple[tuple[int, int], tuple[int, ...], bool, np.dtype[Any]]:
    """Version, shape, whether in Fortran order, and type of the array that ``file`` begins with.

    ValueError for a version but 1.0 and 2.0 and for a shape of more than ``MAX_AXES`` axes; ``BAD_FILE`` for damage.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f".npy of version {version[0]}.{version[1]}, needed 1.0 or 2.0")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python, about escapes in a damaged header
        shape, fortran, dtype = read(file)
    if len(shape) > MAX_AXES:
        raise ValueError(f"its shape has {len(shape)} axes, needed at most {MAX_AXES}")
    return version, tuple(shape), fortran, dtype


def write(out: Any, dtype: str, shape: tuple[int, ...], chunks: Iterable[Array]) -> None:
    """Integers as an array of that shape; ``chunks`` are its parts in C order."""
    stored = np.dtype(dtype).newbyteorder("<")
    header = {"descr": stored.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)
    for chunk in chunks:
        out.write(np.ascontiguousarray(chunk, stored).tobytes())


def read(path: PathLike, dtype: str, shape: tuple[int, ...], start: int, stop: int) -> Array:
    """Rows start..stop-1 of an array that must be of this type and shape; FileError where it is not."""
    name, stored, row = printable(os.fspath(path)), np.dtype(dtype).newbyteorder("<"), math.prod(shape[1:])
    if not 0 <= start <= stop <= shape[0]:
        raise FileError(f"{name}: has rows 0..{shape[0] - 1}, asked for {start}..{stop - 1}")
    if (stop - start) * row * stored.itemsize > MAX_ARRAY_BYTES:
        raise FileError(f"{name}: {stop - start} rows are more than the {MAX_ARRAY_BYTES} bytes that are read at once")
    try:
        with open(path, "rb") as file:
            version, found, fortran, kind = header(file)
            if version != (1, 0):
                raise FileError(f"{name}: is .npy of version {version[0]}.{version[1]}, needed 1.0")
            if (found, fortran, kind) != (shape, False, stored):
                order = " in Fortran order" if fortran else ""
                raise FileError(f"{name}: holds {kind} {found}{order}, needed {stored} {shape}")
            claimed, size = file.tell() + math.prod(shape) * stored.itemsize, os.fstat(file.fileno()).st_size
            if claimed != size:
                raise FileError(f"{name}: has {size} bytes, needed {claimed}")
            file.seek(start * row * stored.itemsize, os.SEEK_CUR)
            values = np.frombuffer(file.read((stop - start) * row * stored.itemsize), stored)
        return values.reshape(stop - start, *shape[1:]).astype(np.dtype(dtype))
    except FileError:
        raise
    except BAD_FILE as error:
        raise FileError(f"{name}: cannot be read ({printable(error)[:200]})") from error
