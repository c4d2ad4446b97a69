"""A dataset of an HDF5 file: how it may be stored, and its rows, checked as they are read.

Nothing is allocated before the sizes are compared with caps and with what the file really stores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from ..errors import FileError, RefengineError
from ..text import reason_of

MAX_ARRAY_BYTES = 1 << 31  # one array, or one slice of a streamed dataset
MAX_CHUNK_BYTES = 1 << 28  # one chunk, which HDF5 unpacks as a whole
DEFLATE_RATIO = 1040  # deflate cannot pack better than 1032 to 1, and it needs a few bytes for a header

_FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
}
HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, SystemError)


@contextmanager
def hdf5_guard(place: str, verb: str = "read") -> Iterator[None]:
    """Turn whatever h5py raises inside the block into one FileError that names the place."""
    try:
        yield
    except RefengineError:
        raise
    except HDF5_ERRORS as error:
        raise FileError(f"{place}: cannot be {verb} ({reason_of(error)})") from error


class CheckedDataset:
    """A dataset whose header has been checked and whose data are read and checked slice by slice."""

    def __init__(
        self,
        node: h5py.Dataset,
        place: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        finite: bool,
        most: int = MAX_ARRAY_BYTES,
    ) -> None:
        self._node = node
        self._place = place
        self._finite = finite
        self._most = min(most, MAX_ARRAY_BYTES)
        self.shape = shape
        self.dtype = dtype
        self.item_bytes = max(node.id.get_type().get_size(), dtype.itemsize)
        self.nbytes = math.prod(shape) * self.item_bytes
        self.chunk_rows = node.chunks[0] if node.chunks else 1

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice) -> np.ndarray[Any, Any]:
        """Rows ``start:stop`` of the first axis."""
        start, stop, step = key.indices(len(self))
        if step != 1:
            raise FileError(f"{self._place}: rows are read in steps of 1, not {step}")
        return self.read(start, stop)

    def read(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Rows start..stop-1 as an array of ``dtype``; FileError where they do not exist or are damaged."""
        if not 0 <= start <= stop <= len(self):
            raise FileError(f"{self._place}: has rows 0..{len(self) - 1}, asked for {start}..{stop - 1}")
        claimed = (stop - start) * math.prod(self.shape[1:]) * self.item_bytes
        if claimed > self._most:
            rows = f"{stop - start} rows are {claimed} bytes"
            raise FileError(f"{self._place}: {rows}, at most {self._most} are read at once")
        return self._checked(slice(start, stop), start)

    def whole(self) -> np.ndarray[Any, Any]:
        """Everything; ``CheckedGroup.array`` caps the size."""
        return self._checked((), 0)

    def _checked(self, key: Any, first: int) -> np.ndarray[Any, Any]:
        with hdf5_guard(self._place):
            data = np.asarray(self._node[key])
            if self._finite and data.dtype.kind == "f":
                self._refuse_non_finite(data, first)
            exact = _exactly(data, self.dtype)
        if exact is None:
            raise FileError(f"{self._place}: holds {data.dtype} values that {self.dtype} cannot hold exactly")
        return exact

    def _refuse_non_finite(self, data: np.ndarray[Any, Any], first: int) -> None:
        bad = ~np.isfinite(data)
        if bad.any():
            index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), data.shape))
            where = (index[0] + first, *index[1:]) if index else ()
            raise FileError(f"{self._place}: holds {data[index]} at {list(where)}, finite numbers were needed")


def same_kind(stored: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Whether a stored type may be asked for as another: integers as integers, floats (up to 64 bits) as floats."""
    if wanted.kind == "f":
        return stored.kind == "f" and stored.itemsize <= 8
    return stored.kind in "iub" and wanted.kind in "iu"


def _exactly(data: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any] | None:
    """The data as ``dtype`` in native byte order, or None if a value would change."""
    if dtype.kind in "iu" and data.dtype.kind in "iu" and data.size:
        limits = np.iinfo(dtype)
        if int(data.min()) < limits.min or int(data.max()) > limits.max:
            return None
    with np.errstate(over="ignore"):
        converted = data.astype(dtype.newbyteorder("="), copy=False)
    if dtype.kind == "f" and not np.array_equal(converted, data, equal_nan=True):
        return None
    return converted


def storage_complaint(node: h5py.Dataset, file_size: int) -> str:
    """What is wrong with the way a dataset is stored, or an empty text."""
    plan = node.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL:
        return "is a virtual dataset, the data themselves were needed"
    if plan.get_external_count():
        return "keeps its data in another file, the data themselves were needed"
    filters = [plan.get_filter(index)[0] for index in range(plan.get_nfilters())]
    if len(set(filters)) < len(filters) or not set(filters) <= set(_FILTERS):
        return f"is packed with filters {filters}, only {', '.join(_FILTERS.values())} are unpacked, each once"
    claimed, stored = math.prod(node.shape) * node.id.get_type().get_size(), node.id.get_storage_size()
    possible = stored * (DEFLATE_RATIO if h5py.h5z.FILTER_DEFLATE in filters else 1)
    if claimed > possible or stored > file_size:
        return f"claims {claimed} bytes in {stored} stored bytes of a file of {file_size}"
    return _chunk_complaint(node) if claimed and plan.get_layout() == h5py.h5d.CHUNKED else ""


def _chunk_complaint(node: h5py.Dataset) -> str:
    """What is wrong with a dataset's chunks, or an empty text."""
    size = math.prod(node.chunks) * node.id.get_type().get_size()
    if size > MAX_CHUNK_BYTES:
        return f"has chunks of {size} bytes, at most {MAX_CHUNK_BYTES} are read"
    expected = math.prod(-(-length // chunk) for length, chunk in zip(node.shape, node.chunks, strict=True))
    found = node.id.get_num_chunks()
    return "" if found == expected else f"has {found} of its {expected} chunks, the others were never written"
