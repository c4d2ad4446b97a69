"""Dumps: the integers of a run, whoever wrote them, behind one lazy door.

A dump is an HDF5 trace, a vector pack, a folder of .npy files, or one .npz of the same arrays.  Images are the first
axis of every array.  In a folder (and, without ``.npy``, in an .npz) a name says what an array is:

    LAYER.STAGE.npy, LAYER/STAGE.npy   one stage of one layer; stages are those of a trace
    LAYER.npy                          the layer's result: its codes, or the accumulators of a layer that gives logits
    images.npy                         uint8 (N, H, W, C): what went in, if it is there

Nothing is believed unchecked and nothing is read before it is asked for: arrays are read in blocks of images, and
whatever cannot be used is a FileError of one line.  Pickled objects are never loaded.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..engine.trace import STAGES, Trace, open_trace
from ..errors import FileError, RangeError
from ..network.hdf5 import DEFLATE_RATIO, MAX_ARRAY_BYTES, MAX_CHILDREN, CheckedDataset, PathLike, printable, shown
from ..vectors.manifest import MANIFEST
from ..vectors.reader import Address, open_vectors

RESULT = "result"  # the stage of LAYER.npy, which says neither code nor accumulator
IMAGES = "images"
_OPEN_DATASETS = 8
TRACE, FOLDER, ARCHIVE, VECTORS, MEMORY = "trace", "folder", "npz", "vectors", "memory"

_BAD_ARRAY = (OSError, ValueError, EOFError, LookupError, TypeError, SyntaxError, OverflowError, MemoryError)
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, struct.error)

Array = np.ndarray[Any, Any]


class Values(Protocol):
    """One stage of one layer: (N, ...) integers, read in blocks of images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """An integer type in native byte order."""
        ...

    @property
    def chunk_rows(self) -> int:
        """Images that are stored together, so that reading fewer at a time costs more."""
        ...

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        ...


@dataclass(frozen=True, eq=False)
class Dump:
    """The integers of a run: ``arrays[layer][stage]``, layers in order of execution as far as that is known.

    file: the name that messages print.  kind: trace, folder, npz, vectors or memory.  count: images.  first_image,
    model_hash, images_sha256, images: None where the dump does not say.  model: the file of the network that travels
    with the dump.  files: what the integers of (layer, stage) are read from, where each has a file of its own.
    """

    file: str
    kind: str
    arrays: Mapping[str, Mapping[str, Values]]
    count: int
    first_image: int | None = None
    model_hash: str | None = None
    images_sha256: str | None = None
    images: Values | None = None
    model: Path | None = None
    ordered: bool = True
    path: Path | None = None
    files: Mapping[tuple[str, str], Path] | None = None
    address: Callable[..., Address] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in order of execution where ``ordered``, otherwise sorted."""
        return tuple(self.arrays)

    def stages(self, layer: str) -> tuple[str, ...]:
        """The stages of a layer, in the order in which hardware computes them; FileError for an unknown layer."""
        if layer not in self.arrays:
            raise FileError(f"{self.file}: has no layer {shown(layer)}")
        return tuple(self.arrays[layer])

    def values(self, layer: str, stage: str) -> Values:
        """One stage of one layer, nothing read yet; FileError if the dump does not hold it."""
        if stage not in self.stages(layer):
            raise FileError(f"{self.file}: layer {shown(layer)} has no stage {shown(stage)}")
        return self.arrays[layer][stage]

    def shape(self, layer: str, stage: str) -> tuple[int, ...]:
        """(N, ...)."""
        return self.values(layer, stage).shape

    def dtype(self, layer: str, stage: str) -> np.dtype[Any]:
        """An integer type."""
        return self.values(layer, stage).dtype

    def read(self, layer: str, stage: str, start: int, stop: int) -> Array:
        """Images start..stop-1; FileError where they do not exist or are damaged."""
        return self.values(layer, stage).read(start, stop)

    def address_of(self, layer: str, stage: str, n: int, *index: int) -> Address | None:
        """File, word and bit of one integer in a vector pack; None in other dumps."""
        return None if self.address is None else self.address(layer, stage, n, *index)


@contextmanager
def open_dump(path: PathLike) -> Iterator[Dump]:
    """Open a dump of any kind for the length of a ``with`` block; FileError if it is none."""
    place, name = Path(path), printable(os.fspath(path))
    with ExitStack() as stack:
        if place.is_dir():
            pack = (place / MANIFEST).exists()
            yield _vectors(place, name, stack) if pack else _folder(place, name, stack)
        elif _is_archive(place):
            yield _archive(place, name, stack)
        else:
            yield _trace(place, name, stack)


def in_memory(arrays: Mapping[str, Mapping[str, Array]], **known: Any) -> Dump:
    """A dump of arrays that are there already: layer -> stage -> integers (N, ...)."""
    held = {
        layer: {stage: Held(array) for stage, array in by_order(stages).items()} for layer, stages in arrays.items()
    }
    count = max((values.shape[0] for stages in held.values() for values in stages.values()), default=0)
    return Dump(**{"file": "memory", "kind": MEMORY, "arrays": held, "count": count, **known})


@dataclass(frozen=True, eq=False)
class Held:
    """Values that are in memory."""

    array: Array
    chunk_rows: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy has it."""
        return self.array.dtype

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.array[start:stop]


def by_order(stages: Mapping[str, Any]) -> dict[str, Any]:
    """The same stages in the order in which hardware computes them, the nameless result last.

    >>> list(by_order({"code": 0, "result": 1, "accumulator": 2}))
    ['accumulator', 'code', 'result']
    """
    return {stage: stages[stage] for stage in (*STAGES, RESULT) if stage in stages}


# ---------------------------------------------------------------------------------------------------- traces and packs


def _trace(path: Path, name: str, stack: ExitStack) -> Dump:
    trace = stack.enter_context(open_trace(path))
    shelf = _Shelf(trace)
    arrays: dict[str, dict[str, Values]] = {
        layer: {stage: shelf.values(layer, stage) for stage in trace.layer(layer).stages} for layer in trace.layers
    }
    known = (trace.count, trace.first_image, trace.model_hash, trace.images_sha256, trace.images)
    return Dump(name, TRACE, arrays, *known, path=path)


class _Shelf:
    """The datasets of a trace, few of them open at a time, because HDF5 keeps some megabytes for each that is."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._open: OrderedDict[tuple[str, str], CheckedDataset] = OrderedDict()

    def values(self, layer: str, stage: str) -> _OnShelf:
        """One stage, its header checked and nothing kept open."""
        dataset = self._trace.stage(layer, stage)
        return _OnShelf(self, layer, stage, dataset.shape, dataset.dtype, dataset.chunk_rows)

    def dataset(self, layer: str, stage: str) -> CheckedDataset:
        """An open dataset; those that were not used for longest are closed."""
        if (layer, stage) not in self._open:
            self._open[layer, stage] = self._trace.stage(layer, stage)
        self._open.move_to_end((layer, stage))
        while len(self._open) > _OPEN_DATASETS:
            self._open.popitem(last=False)
        return self._open[layer, stage]


@dataclass(frozen=True, eq=False)
class _OnShelf:
    """One stage of one layer of a trace."""

    shelf: _Shelf
    layer: str
    stage: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.shelf.dataset(self.layer, self.stage).read(start, stop)


def _vectors(path: Path, name: str, stack: ExitStack) -> Dump:
    pack = stack.enter_context(open_vectors(path))
    arrays: dict[str, dict[str, Values]] = {
        layer: {stage: pack.values(layer, stage) for stage in pack.stages(layer)} for layer in pack.layers
    }
    known = (pack.count, pack.first_image, pack.model_hash, pack.images_sha256, pack.images, pack.model)
    return Dump(name, VECTORS, arrays, *known, path=path, address=pack.address_of)


# -------------------------------------------------------------------------------------------------------- NumPy's files


@dataclass(frozen=True, eq=False)
class _Stored:
    """An array in NumPy's format, behind a file object that can seek; rows are read as they are asked for."""

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
        """Images start..stop-1; FileError where they do not exist or are damaged."""
        if not 0 <= start <= stop <= self.shape[0]:
            raise FileError(f"{self.place}: has images 0..{self.shape[0] - 1}, asked for {start}..{stop - 1}")
        row = math.prod(self.shape[1:]) * self.stored.itemsize
        if (stop - start) * row > MAX_ARRAY_BYTES:
            raise FileError(f"{self.place}: {stop - start} images are more than {MAX_ARRAY_BYTES} bytes")
        with _guard(self.place):
            self.file.seek(self.offset + start * row)
            data = self.file.read((stop - start) * row)
        if len(data) != (stop - start) * row:
            raise FileError(f"{self.place}: is truncated, image {start + len(data) // max(1, row)} is not there")
        array = np.frombuffer(data, self.stored).reshape(stop - start, *self.shape[1:])
        return array.astype(self.dtype, copy=False)


@contextmanager
def _guard(place: str) -> Iterator[None]:
    """Turn whatever NumPy or zipfile raise into one FileError."""
    try:
        yield
    except (FileError, RangeError):
        raise
    except (*_BAD_ARRAY, *_BAD_ZIP) as error:
        lines = str(error).splitlines()
        reason = printable(lines[0])[:200] if lines else type(error).__name__
        raise FileError(f"{place}: cannot be read ({reason})") from error


def _stored(file: Any, place: str, size: int) -> _Stored:
    """The header of an array in NumPy's format, checked; ``size``: bytes of header and data together."""
    with _guard(place):
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise FileError(
                f"{place}: is .npy of version {version[0]}.{version[1]}, arrays of integers have 1.0 or 2.0"
            )
        offset = file.tell()
    if dtype.kind not in "iu":
        raise FileError(f"{place}: holds {printable(dtype)}, needed integers")
    if len(shape) < 2 or min(shape) < 1:
        raise FileError(f"{place}: has shape {shape}, needed (images, ...), none of them 0")
    if fortran:
        raise FileError(f"{place}: is stored in Fortran order, save it with np.ascontiguousarray")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != size - offset:
        raise FileError(f"{place}: claims {claimed} bytes of numbers and has {size - offset}")
    return _Stored(file, place, offset, tuple(shape), dtype)


def _folder(path: Path, name: str, stack: ExitStack) -> Dump:
    def members() -> Iterator[tuple[str, Path]]:
        for entry in _entries(path, name):
            if entry.is_dir():
                inner = _entries(entry, f"{name}/{printable(entry.name)}")
                yield from ((f"{entry.name}/{array.name}", array) for array in inner)
            else:
                yield entry.name, entry

    found: dict[str, _Stored] = {}
    files: dict[str, Path] = {}
    for member, file in members():
        if not member.endswith(".npy"):
            continue
        place = f"{name}/{printable(member)}"
        with _guard(place):
            size = file.stat().st_size
            if not file.is_file():
                raise FileError(f"{place}: is not a regular file")
            opened = stack.enter_context(_Reopened(file))
        key = member.removesuffix(".npy")
        found[key], files[key] = _stored(opened, place, size), file
    return _by_name(path, name, FOLDER, found, files)


class _Reopened(io.RawIOBase):
    """A file that is open only while it is read, so that a folder may hold more files than a process may open."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset if whence == 0 else self._position + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        with open(self._path, "rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data


def _entries(path: Path, name: str) -> list[Path]:
    with _guard(name):
        entries = sorted(path.iterdir())
    if len(entries) > MAX_CHILDREN:
        raise FileError(f"{name}: has {len(entries)} entries, at most {MAX_CHILDREN} are read")
    return entries


def _is_archive(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False  # the reader of traces says what is wrong with it


def _archive(path: Path, name: str, stack: ExitStack) -> Dump:
    with _guard(name):
        archive = stack.enter_context(zipfile.ZipFile(path))
        members = archive.infolist()
    if len(members) > MAX_CHILDREN:
        raise FileError(f"{name}: has {len(members)} arrays, at most {MAX_CHILDREN} are read")
    found: dict[str, _Stored] = {}
    for member in sorted(members, key=lambda info: info.filename):
        place = f"{name}: {printable(member.filename)}"
        if member.file_size > DEFLATE_RATIO * max(1, member.compress_size):
            raise FileError(f"{place}: claims {member.file_size} bytes in {member.compress_size} packed bytes")
        key = member.filename.removesuffix(".npy")
        if key in found:
            raise FileError(f"{place}: is there twice")
        with _guard(place):
            opened = stack.enter_context(archive.open(member))
        found[key] = _stored(opened, place, member.file_size)
    return _by_name(path, name, ARCHIVE, found, {})


def _by_name(path: Path, name: str, kind: str, found: Mapping[str, _Stored], files: Mapping[str, Path]) -> Dump:
    """Sort arrays by what their names say."""
    arrays: dict[str, dict[str, Values]] = {}
    images: Values | None = None
    origins: dict[tuple[str, str], Path] = {}
    for key, array in found.items():
        layer, stage = layer_and_stage(key)
        if not layer or not layer.isprintable():
            raise FileError(f"{name}: has an array called {shown(key)}, names must be printable text")
        if key == IMAGES:
            images = array
            continue
        if stage in arrays.setdefault(layer, {}):
            raise FileError(f"{name}: has two arrays for stage {stage} of layer {shown(layer)}")
        arrays[layer][stage] = array
        if key in files:
            origins[layer, stage] = files[key]
    if not arrays:
        wanted = "a trace, a vector pack, or arrays called LAYER.npy or LAYER.STAGE.npy"
        raise FileError(f"{name}: holds no layer; needed {wanted}")
    layers = sorted(arrays)
    ordered = {layer: by_order(arrays[layer]) for layer in layers}
    count = max(values.shape[0] for stages in ordered.values() for values in stages.values())
    return Dump(name, kind, ordered, count, images=images, ordered=False, path=path, files=origins)


def layer_and_stage(name: str) -> tuple[str, str]:
    """What an array's name means; names of layers may hold dots.

    >>> [layer_and_stage(name) for name in ("1.conv", "1.conv.code", "1.conv/total")]
    [('1.conv', 'result'), ('1.conv', 'code'), ('1.conv', 'total')]
    """
    for separator in "/.":
        layer, found, stage = name.rpartition(separator)
        if found and stage in STAGES:
            return layer, stage
    return name, RESULT
