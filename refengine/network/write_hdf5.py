"""Writing HDF5 files: a file appears whole or not at all.

``write_atomically`` writes under a temporary name in the same folder and renames at the end; ``put_array`` stores
little-endian arrays without time stamps, so that the same content gives the same bytes (with the same zlib).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import h5py
import numpy as np

from ..errors import FileError
from ..text import PathLike, printable, reason_of
from .hdf5_dataset import HDF5_ERRORS, hdf5_guard
from .whole_file import beside, checked_target, synchronise

SPARE_BYTES = 1 << 22  # left free on the disk for what HDF5 adds to the arrays
COMPRESS_FROM = 4096  # arrays of fewer bytes are stored plainly


@contextmanager
def write_atomically(path: PathLike, inputs: Iterable[PathLike] = ()) -> Iterator[h5py.File]:
    """Yield a new h5py file that becomes ``path`` when the block ends well and vanishes when it does not.

    FileError if ``path`` is one of ``inputs``, is no regular file, its folder is missing, or writing fails.
    """
    target, name = checked_target(path, inputs), printable(os.fspath(path))
    temporary = beside(target)
    check_space(str(target), 0, name)
    try:
        with hdf5_guard(name, "written"):
            file = h5py.File(temporary, "x")
        try:
            yield file
            with hdf5_guard(name, "written"):
                file.flush()
        except BaseException as error:
            with suppress(*HDF5_ERRORS):
                file.close()
            if isinstance(error, OSError):
                raise FileError(f"{name}: cannot be written ({reason_of(error)})") from error
            raise
        with hdf5_guard(name, "written"):
            file.close()
            synchronise(temporary)
            os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()


def put_array(
    group: h5py.Group, name: str, array: np.ndarray[Any, Any], chunks: tuple[int, ...] | None = None
) -> h5py.Dataset:
    """Store an array of numbers little-endian (booleans as uint8), from ``COMPRESS_FROM`` bytes on gzip and shuffle."""
    data = np.asarray(array)
    data = data.astype(np.uint8 if data.dtype.kind == "b" else data.dtype.newbyteorder("<"), copy=False)
    place = f"{printable(group.file.filename)}: {group.name}/{name}"
    if data.dtype.kind not in "iuf":
        raise FileError(f"{place}: holds {data.dtype}, only numbers are stored")
    check_space(group.file.filename, data.nbytes, place)
    packing: dict[str, Any] = {}
    if data.nbytes >= COMPRESS_FROM and data.ndim:
        packing = {"chunks": chunks or True, "compression": "gzip", "compression_opts": 4, "shuffle": True}
    with hdf5_guard(place, "written"):
        return group.create_dataset(name, data=data, track_times=False, **packing)


def check_space(filename: str, size: int, place: str) -> None:
    """FileError if the disk may be too small, said beforehand because HDF5 2.0 crashes where a write fails."""
    with suppress(OSError):
        free = shutil.disk_usage(os.path.dirname(os.path.abspath(filename))).free
        if size + SPARE_BYTES > free:
            raise FileError(f"{place}: cannot be written, {size} bytes may not fit on a disk with {free} bytes free")


def put_attributes(group: h5py.Group, values: Mapping[str, object]) -> None:
    """Store texts, integers, floats and sequences of them as attributes, in sorted order; None is left out."""
    for name in sorted(values):
        value = values[name]
        if value is not None:
            with hdf5_guard(f"{printable(group.file.filename)}: {group.name} attribute {name}", "written"):
                group.attrs[name] = _plain(value)


def _plain(value: object) -> object:
    """A value in the type in which attributes are stored: text, int64, float64 or an array of one of these."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    return array.astype("<f8" if array.dtype.kind == "f" else "<i8")
