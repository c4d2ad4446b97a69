"""Dumps: the integers of a run, whoever wrote them, behind one lazy door.

A dump is an HDF5 trace, a vector pack, or arrays with names: a folder of .npy files, one .npz, or any HDF5 file.
Images are the first axis of every array.  A name (in .npz and HDF5 without ``.npy``) says what an array is:

    LAYER.STAGE.npy, LAYER/STAGE.npy   one stage of one layer; stages are those of a trace
    LAYER.npy                          the layer's result: its codes, or the accumulators of a layer that gives logits
    images.npy                         uint8 (N, H, W, C): what went in, if it is there

Nothing is believed unchecked and nothing is read before it is asked for: arrays are read in blocks of images.  A dump
that is none is a FileError of one line; a single array that cannot be used is ``Damaged``, and the others are there.
"""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..engine.trace import STAGES, open_trace
from ..errors import FileError
from ..network.hdf5 import (
    DEFLATE_RATIO,
    MAX_CHILDREN,
    CheckedDataset,
    CheckedGroup,
    PathLike,
    open_checked,
    printable,
    shown,
)
from ..vectors.manifest import MANIFEST
from ..vectors.reader import Address, open_vectors
from .npy_arrays import Reopened, guarded, npy_array

RESULT = "result"  # the stage of LAYER.npy, which says neither code nor accumulator
IMAGES = "images"
_OPEN_DATASETS = 8
_MOST_GROUPS = 3  # layers/LAYER/STAGE
TRACE, FOLDER, ARCHIVE, HDF5, VECTORS, MEMORY = "trace", "folder", "npz", "hdf5", "vectors", "memory"

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

    file: the name that messages print.  kind: trace, folder, npz, hdf5, vectors or memory.  count: images.
    first_image, model_hash, images_sha256, images: None where the dump does not say.  model: the file of the network
    that travels with the dump.  files: what the integers of (layer, stage) are read from, where each has a file of its
    own.  notes: what could not be used although no layer needs it.
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
    notes: tuple[str, ...] = ()

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
            yield _hdf5(place, name, stack)


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


@dataclass(frozen=True, eq=False)
class Damaged:
    """An array that cannot be used: ``why`` names its file, and reading it raises that FileError."""

    why: str
    shape: tuple[int, ...] = (0,)
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    chunk_rows: int = 1

    def read(self, start: int, stop: int) -> Array:
        """FileError."""
        raise FileError(self.why)


def _checked(opened: Callable[[], Values]) -> Values:
    """What ``opened`` gives, or what is wrong with it."""
    try:
        return opened()
    except FileError as error:
        return Damaged(str(error))


def by_order(stages: Mapping[str, Any]) -> dict[str, Any]:
    """The same stages in the order in which hardware computes them, the nameless result last.

    >>> list(by_order({"code": 0, "result": 1, "accumulator": 2}))
    ['accumulator', 'code', 'result']
    """
    return {stage: stages[stage] for stage in (*STAGES, RESULT) if stage in stages}


# ---------------------------------------------------------------------------------------------------- traces and packs


def _hdf5(path: Path, name: str, stack: ExitStack) -> Dump:
    """A trace, or arrays with names where the file does not say what it is."""
    root = stack.enter_context(open_checked(path, None))
    if not root.has_attribute("format"):
        return _plain_hdf5(path, name, root)
    trace = stack.enter_context(open_trace(path))
    shelf = _Shelf(trace.stage)
    arrays = {
        layer: {stage: shelf.values(layer, stage) for stage in trace.layer(layer).stages} for layer in trace.layers
    }
    known = (trace.count, trace.first_image, trace.model_hash, trace.images_sha256, trace.images)
    return Dump(name, TRACE, arrays, *known, path=path)


class _Shelf:
    """The datasets of a file, few of them open at a time, because HDF5 keeps some megabytes for each that is."""

    def __init__(self, find: Callable[..., CheckedDataset]) -> None:
        self._find = find
        self._open: OrderedDict[tuple[Any, ...], CheckedDataset] = OrderedDict()

    def values(self, *place: Any) -> Values:
        """One array, its header checked and nothing kept open."""

        def opened() -> Values:
            dataset = self._find(*place)
            return _OnShelf(self, place, dataset.shape, dataset.dtype, dataset.chunk_rows)

        return _checked(opened)

    def dataset(self, place: tuple[Any, ...]) -> CheckedDataset:
        """An open dataset; those that were not used for longest are closed."""
        if place not in self._open:
            self._open[place] = self._find(*place)
        self._open.move_to_end(place)
        while len(self._open) > _OPEN_DATASETS:
            self._open.popitem(last=False)
        return self._open[place]


@dataclass(frozen=True, eq=False)
class _OnShelf:
    """One array of an HDF5 file."""

    shelf: _Shelf
    place: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.shelf.dataset(self.place).read(start, stop)


def _vectors(path: Path, name: str, stack: ExitStack) -> Dump:
    pack = stack.enter_context(open_vectors(path))
    arrays: dict[str, dict[str, Values]] = {
        layer: {stage: pack.values(layer, stage) for stage in pack.stages(layer)} for layer in pack.layers
    }
    known = (pack.count, pack.first_image, pack.model_hash, pack.images_sha256, pack.images, pack.model)
    return Dump(name, VECTORS, arrays, *known, path=path, address=pack.address_of)


# --------------------------------------------------------------------------------------------------- arrays with names


def _plain_hdf5(path: Path, name: str, root: CheckedGroup) -> Dump:
    """Datasets called LAYER, LAYER.STAGE or LAYER/STAGE, in a group ``layers`` or not."""

    def find(group: CheckedGroup, member: str) -> CheckedDataset:
        dataset = group.dataset(member, None)
        if not dataset.shape or 0 in dataset.shape:
            raise group.error(f"has shape {dataset.shape}, needed (images, ...), none of them 0", member)
        return dataset

    def members(group: CheckedGroup, prefix: str, depth: int) -> Iterator[tuple[str, Values]]:
        for member in group.names():
            if depth > 1 and group.is_group(member):
                yield from members(group.group(member), f"{prefix}{member}/", depth - 1)
            else:
                yield f"{prefix}{member}", shelf.values(group, member)

    shelf = _Shelf(find)
    found = {key.removeprefix("layers/"): values for key, values in members(root, "", _MOST_GROUPS)}
    return _by_name(path, name, HDF5, found, {})


def _folder(path: Path, name: str, stack: ExitStack) -> Dump:
    def members() -> Iterator[tuple[str, Path]]:
        for entry in _entries(path, name):
            if entry.is_dir():
                inner = _entries(entry, f"{name}/{printable(entry.name)}")
                yield from ((f"{entry.name}/{array.name}", array) for array in inner)
            else:
                yield entry.name, entry

    def opened(file: Path, place: str) -> Values:
        with guarded(place):
            size = file.stat().st_size
            if not file.is_file():
                raise FileError(f"{place}: is not a regular file")
        return npy_array(stack.enter_context(Reopened(file)), place, size)

    files = {member.removesuffix(".npy"): (member, file) for member, file in members() if member.endswith(".npy")}
    found = {
        key: _checked(partial(opened, file, f"{name}/{printable(member)}")) for key, (member, file) in files.items()
    }
    usable = {key: file for key, (_, file) in files.items() if not isinstance(found[key], Damaged)}
    return _by_name(path, name, FOLDER, found, usable)


def _entries(path: Path, name: str) -> list[Path]:
    with guarded(name):
        entries = sorted(path.iterdir())
    if len(entries) > MAX_CHILDREN:
        raise FileError(f"{name}: has {len(entries)} entries, at most {MAX_CHILDREN} are read")
    return entries


def _is_archive(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False  # the reader of HDF5 says what is wrong with it


def _archive(path: Path, name: str, stack: ExitStack) -> Dump:
    with guarded(name):
        archive = stack.enter_context(zipfile.ZipFile(path))
        members = archive.infolist()
    if len(members) > MAX_CHILDREN:
        raise FileError(f"{name}: has {len(members)} arrays, at most {MAX_CHILDREN} are read")

    def opened(member: zipfile.ZipInfo, place: str) -> Values:
        if member.file_size > DEFLATE_RATIO * max(1, member.compress_size):
            raise FileError(f"{place}: claims {member.file_size} bytes in {member.compress_size} packed bytes")
        with guarded(place):
            file = stack.enter_context(archive.open(member))
        return npy_array(file, place, member.file_size)

    found: dict[str, Values] = {}
    for member in sorted(members, key=lambda info: info.filename):
        key, place = member.filename.removesuffix(".npy"), f"{name}: {printable(member.filename)}"
        if key in found:
            raise FileError(f"{place}: is there twice")
        found[key] = _checked(partial(opened, member, place))
    return _by_name(path, name, ARCHIVE, found, {})


def _by_name(path: Path, name: str, kind: str, found: Mapping[str, Values], files: Mapping[str, Path]) -> Dump:
    """Sort arrays by what their names say."""
    arrays: dict[str, dict[str, Values]] = {}
    images: Values | None = None
    notes: tuple[str, ...] = ()
    origins: dict[tuple[str, str], Path] = {}
    for key, array in found.items():
        layer, stage = layer_and_stage(key)
        if not layer or not layer.isprintable():
            raise FileError(f"{name}: has an array called {shown(key)}, names must be printable text")
        if key == IMAGES:
            images, notes = (None, (f"{array.why}, not used",)) if isinstance(array, Damaged) else (array, ())
            continue
        if stage in arrays.setdefault(layer, {}):
            raise FileError(f"{name}: has two arrays for stage {stage} of layer {shown(layer)}")
        arrays[layer][stage] = array
        if key in files:
            origins[layer, stage] = files[key]
    if not arrays:
        wanted = "a trace, a vector pack, or arrays called LAYER.npy or LAYER.STAGE.npy"
        raise FileError(f"{name}: holds no layer; needed {wanted}")
    ordered = {layer: by_order(arrays[layer]) for layer in sorted(arrays)}
    count = max(values.shape[0] for stages in ordered.values() for values in stages.values())
    return Dump(name, kind, ordered, count, images=images, ordered=False, path=path, files=origins, notes=notes)


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
