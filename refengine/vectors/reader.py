"""The reader of vector packs: any tensor of a pack as integers again, from any of its formats, and where each one lies.

A file is believed once its size and SHA-256 are those of the manifest, which is looked at when it is first needed; its
text is checked all the same.  A pack that a simulator wrote into is opened with ``as_written=False``: its files are
read as they are, and ``changed`` names those that are not what the manifest says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FileError, RangeError
from ..network.hdf5_dataset import MAX_ARRAY_BYTES
from ..network.int_file import read_int_network
from ..network.int_network import IntNetwork
from ..runs.trace import STAGES
from ..text import PathLike, printable, shown
from . import npy
from .manifest import MODEL, Entry, Stored, read_manifest, sha256_of
from .tensors import IMAGES, LOGITS, constant
from .text_formats import NPY, TEXT_FORMATS
from .words import place, unpack

_ELEMENTS_AT_ONCE = 1 << 22

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]


class Address(NamedTuple):
    """Where an integer lies: a file of the pack, the number of a word in it, and the bit of its lowest bit."""

    file: str
    word: int
    bit: int


class Vectors:
    """An opened pack; ``open_vectors`` makes one.  It is also its own context manager.

    ``manifest`` is everything that the pack says; ``model`` the path of the integer network.  Names of layers are in
    order of execution, those that have a stage.  ``as_written``: whether a file that was changed is refused.
    """

    def __init__(self, folder: PathLike, as_written: bool = True) -> None:
        self.path = Path(folder)
        self.file = printable(os.fspath(folder))
        self.manifest = read_manifest(folder)
        self.model = self.path / MODEL
        self.count = self.manifest.count
        self.first_image = self.manifest.first_image
        self.model_hash = self.manifest.model_hash
        self.images_sha256 = self.manifest.images_sha256
        self._as_written = as_written
        self._believed: set[str] = set()
        self._entries = {entry.tensor.name: entry for entry in self.manifest.entries}
        self._streams: dict[str, _Stream] = {}

    def __enter__(self) -> Vectors:
        return self

    def __exit__(self, *_: object) -> None:
        self._streams.clear()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers of which a stage is there, in order of execution."""
        names = [str(layer["name"]) for layer in self.manifest.layers]
        return tuple(name for name in names if self._stages(name))

    def stages(self, layer: str) -> tuple[str, ...]:
        """The stages of a layer, in the order in which hardware computes them; FileError if none is there."""
        found = self._stages(layer)
        if not found:
            raise FileError(f"{self.file}: has no layer {shown(layer)}")
        return found

    def _stages(self, layer: str) -> tuple[str, ...]:
        return tuple(stage for stage in STAGES if f"{layer}/{stage}" in self._entries)

    def holds(self, name: str) -> bool:
        """Whether there is a tensor of this name; images and logits are absent where inputs of a layer were given."""
        return name in self._entries

    def entry(self, name: str) -> Entry:
        """What the manifest says of a tensor: images, logits, LAYER/weight, LAYER/code and so on."""
        if name not in self._entries:
            raise FileError(f"{self.file}: has no tensor {shown(name)}")
        return self._entries[name]

    def values(self, layer: str, stage: str, fmt: str | None = None) -> Values:
        """One stage of one layer, (N, ...), to be read in slices; ``fmt``: from which of the formats."""
        return self._values(f"{layer}/{stage}", fmt)

    def tensor(self, name: str, fmt: str | None = None) -> Values:
        """Any tensor by its name, to be read in slices; ``fmt``: from which of the formats."""
        return self._values(name, fmt)

    @property
    def images(self) -> Values:
        """uint8 (N, H, W, C)."""
        return self._values(IMAGES, None)

    @property
    def logits(self) -> Values:
        """int32 (N, classes)."""
        return self._values(LOGITS, None)

    def shape(self, layer: str, stage: str) -> tuple[int, ...]:
        """(N, ...)."""
        return self.entry(f"{layer}/{stage}").tensor.shape

    def dtype(self, layer: str, stage: str) -> np.dtype[Any]:
        """In native byte order."""
        return np.dtype(self.entry(f"{layer}/{stage}").tensor.dtype)

    def read(self, layer: str, stage: str, start: int, stop: int) -> Array:
        """Images start..stop-1 of one stage; FileError where they do not exist or are damaged."""
        return self.values(layer, stage).read(start, stop)

    def constant(self, layer: str, part: str, fmt: str | None = None) -> Array:
        """A whole constant: weight, scale, bias, sign, multiplier, shift, residual_shift."""
        values = self._values(f"{layer}/{part}", fmt)
        return values.read(0, values.shape[0])

    def whole(self, name: str, fmt: str | None = None) -> Array:
        """A whole tensor by its name."""
        values = self._values(name, fmt)
        return values.read(0, values.shape[0])

    def network(self) -> IntNetwork:
        """The network of the pack; FileError if it is damaged or another one than the manifest names."""
        self._believe(self.manifest.model)
        network = read_int_network(self.model)
        if network.hash != self.model_hash:
            raise FileError(f"{self.file}/{MODEL}: is network {network.hash}, the manifest names {self.model_hash}")
        return network

    def address_of(self, layer: str, stage: str, n: int, *index: int) -> Address:
        """File, word and bit of one integer: image n of the pack and the place (h, w, c) or (c) in it.

        In the first text format of the pack; where there is only .npy, the number of the element stands for the word.
        RangeError for an element that is not there.
        """
        return self.address(f"{layer}/{stage}", n, *index)

    def address(self, name: str, *index: int) -> Address:
        """The same by a tensor's name and a place in its shape."""
        entry = self.entry(name)
        shape = entry.tensor.shape
        if len(index) != len(shape) or not all(0 <= i < size for i, size in zip(index, shape, strict=True)):
            raise RangeError(f"{self.file}: {name} has shape {shape}, no element {tuple(index)}")
        texts = [name for name in self.manifest.formats if name != NPY]
        if not texts:
            return Address(entry.files[NPY].file, int(np.ravel_multi_index(index, shape)), 0)
        block, rest = (index[0], index[1:]) if entry.tensor.has_images else (0, index)
        word, bit = place(entry.element(*rest), entry.packing)
        return Address(entry.files[texts[0]].file, block * entry.block_words + word, bit)

    def verify(self) -> None:
        """FileError unless every file of the pack has the size and the SHA-256 of the manifest; no integer is read."""
        for stored in self.files:
            self._believe(stored)

    @property
    def files(self) -> tuple[Stored, ...]:
        """Every file that the manifest names."""
        return self.manifest.every_file

    def is_there(self, file: str) -> bool:
        """Whether a file of the pack was not deleted."""
        return os.path.lexists(self.path / file)

    def changed(self) -> tuple[str, ...]:
        """The files that have another size or SHA-256 than the manifest says; FileError for what is no file."""
        there = [stored for stored in self.files if self.is_there(stored.file)]
        return tuple(stored.file for stored in there if self._complaint(stored) is not None)

    def check(self, progress: Progress | None = None) -> None:
        """Read every file: FileError unless all are as they were written, and the formats hold the same integers."""
        network = self.network()
        for done, (name, entry) in enumerate(self._entries.items(), 1):
            tensor = entry.tensor
            step = max(1, _ELEMENTS_AT_ONCE // entry.block) if tensor.has_images else tensor.shape[0]
            for start in range(0, tensor.shape[0], step):
                stop = min(start + step, tensor.shape[0])
                wanted = None if tensor.has_images else constant(network.layer(str(tensor.layer)), tensor.part)
                for fmt in self.manifest.formats:
                    found = self._values(name, fmt).read(start, stop)
                    if wanted is not None and not np.array_equal(found, wanted):
                        raise FileError(f"{self.file}/{entry.files[fmt].file}: holds other integers than the others")
                    wanted = found
            if progress is not None:
                progress(done, len(self._entries))

    def _values(self, name: str, fmt: str | None) -> Values:
        entry = self.entry(name)
        if fmt is None:
            fmt = NPY if NPY in self.manifest.formats else self.manifest.formats[0]
        if fmt not in self.manifest.formats:
            raise FileError(f"{self.file}: is not written as {fmt}, it is as {', '.join(self.manifest.formats)}")
        return Values(self, entry, fmt)

    def _read(self, entry: Entry, fmt: str, start: int, stop: int) -> Array:
        """Rows of the first axis."""
        shape, stored = entry.tensor.shape, entry.files[fmt]
        place_of_it = f"{self.file}/{printable(stored.file)}"
        if not 0 <= start <= stop <= shape[0]:
            raise FileError(f"{place_of_it}: has rows 0..{shape[0] - 1}, asked for {start}..{stop - 1}")
        self._believe(stored)
        if fmt == NPY:
            return npy.read(self.path / stored.file, entry.tensor.dtype, shape, start, stop)
        if not entry.tensor.has_images:
            return self._unpacked(entry, fmt, 0, 1)[0][start:stop]
        return self._unpacked(entry, fmt, start, stop)

    def _unpacked(self, entry: Entry, fmt: str, start: int, stop: int) -> Array:
        """Blocks of a text file, (blocks, ...)."""
        stored, sizes = entry.files[fmt], entry.tensor.block_shape
        name, dtype = f"{self.file}/{printable(stored.file)}", np.dtype(entry.tensor.dtype)
        if (stop - start) * entry.block * dtype.itemsize > MAX_ARRAY_BYTES:
            raise FileError(f"{name}: {stop - start} rows are more than {MAX_ARRAY_BYTES} bytes")
        if stored.file not in self._streams:
            self._streams[stored.file] = _Stream(entry, fmt, self.path / stored.file)
        limits, found = np.iinfo(dtype), np.empty((stop - start, *sizes), dtype)
        for n in range(start, stop):
            words = self._streams[stored.file].take(n * entry.block_words, entry.block_words)
            try:
                values = entry.arranged(unpack(words, entry.block, entry.packing))
            except RangeError as error:
                raise FileError(f"{name}: block {n}: {error}") from None
            if int(values.min()) < limits.min or int(values.max()) > limits.max:
                raise FileError(f"{name}: block {n}: holds {values.min()}..{values.max()}, needed {dtype}")
            found[n - start] = values
        return found

    def _believe(self, stored: Stored) -> None:
        """FileError unless a file lies in the pack and is as it was written; asked once a file."""
        if stored.file in self._believed:
            return
        complaint = self._complaint(stored)
        if complaint is not None and self._as_written:
            raise FileError(complaint)
        self._believed.add(stored.file)

    def _complaint(self, stored: Stored) -> str | None:
        """In what a file is not as it was written; FileError if it is no file that lies in the pack."""
        path, name = self.path / stored.file, f"{self.file}/{printable(stored.file)}"
        try:
            inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.path))
            if not inside or not path.is_file():
                raise FileError(f"{name}: is not a file of the pack")
            if path.stat().st_size != stored.size:
                return f"{name}: has {path.stat().st_size} bytes, the manifest says {stored.size}"
            found = sha256_of(path)
        except FileError:
            raise
        except (OSError, ValueError) as error:
            raise FileError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
        if found != stored.sha256:
            return f"{name}: was changed after it was written: SHA-256 {found}, the manifest says {stored.sha256}"
        return None


@dataclass(frozen=True, eq=False)
class Values:
    """A tensor of a pack, to be read in rows of its first axis."""

    pack: Vectors
    entry: Entry
    fmt: str
    chunk_rows: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """As in the contract."""
        return self.entry.tensor.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """In native byte order."""
        return np.dtype(self.entry.tensor.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> Array:
        """Rows start..stop-1; FileError where they do not exist or are damaged."""
        return self.pack._read(self.entry, self.fmt, start, stop)


class _Stream:
    """The words of a text file, read in rising order without keeping them; a step back begins anew."""

    def __init__(self, entry: Entry, fmt: str, path: Path) -> None:
        self._entry, self._fmt, self._path = entry, fmt, path
        self._begin()

    def _begin(self) -> None:
        self._chunks = TEXT_FORMATS[self._fmt].read(self._path, self._entry.memory)
        self._next = 0
        self._left = np.zeros((0, self._entry.memory.word_bytes), np.uint8)

    def take(self, first: int, count: int) -> Array:
        """Words first..first+count-1."""
        if first < self._next:
            self._begin()
        self._advance(first - self._next)
        parts, missing = [], count
        while missing:
            if not len(self._left):
                self._left = self._more()
            parts.append(self._left[:missing])
            self._left = self._left[missing:]
            missing -= len(parts[-1])
        self._next = first + count
        if self._next == self._entry.memory.words:
            for _ in self._chunks:  # what follows the last word is checked too
                pass
            self._begin()
        return np.concatenate(parts) if parts else self._left[:0]

    def _more(self) -> Array:
        try:
            return next(self._chunks)
        except StopIteration:  # where a refusal ended the file before
            raise FileError(f"{printable(os.fspath(self._path))}: cannot be read any further") from None

    def _advance(self, words: int) -> None:
        while words > 0:
            if not len(self._left):
                self._left = self._more()
            step = min(words, len(self._left))
            self._left, words = self._left[step:], words - step


def open_vectors(directory: PathLike, as_written: bool = True) -> Vectors:
    """Open a pack; FileError if the folder is none.  May be used in a ``with`` block.

    ``as_written``: whether a file that was changed after it was written is refused; otherwise it is read as it is.
    """
    return Vectors(directory, as_written)
