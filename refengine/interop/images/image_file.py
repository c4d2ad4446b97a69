"""Writes a set of images as labelled images (docs/formats.md, ``format = "refengine-images"``), block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import h5py
import numpy as np

from ...errors import FileError
from ...network.images import FORMAT, VERSION
from ...network.write_hdf5 import check_space, put_array, put_attributes, write_atomically
from ...text import PathLike, printable
from .image_set import Array, Block, ImageSet, check_labels

CHUNK_IMAGES = 16
CHUNK_BYTES = 1 << 22

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Written:
    """What came of it: images, their shape (H, W, C), images of each class, and what the user should hear of."""

    count: int
    shape: tuple[int, int, int]
    classes: tuple[int, ...] | None
    damaged: tuple[str, ...]
    tilted: int


def write_image_set(
    path: PathLike,
    images: ImageSet,
    chosen: Array,
    origin: Mapping[str, str],
    inputs: Iterable[PathLike] = (),
    progress: Progress | None = None,
) -> Written:
    """Write the chosen images, labels (int32), class names and file names, whole or not at all.

    ``origin``: the texts ``source`` and ``licence``.
    FileError if the reader finds damage, no image is left, or ``path`` cannot be written.
    """
    with write_atomically(path, inputs) as file:
        put_attributes(file, {"format": FORMAT, "version": VERSION, **origin})
        writer = _Writer(file, printable(os.fspath(path)), len(chosen), images.class_names)
        for block in images.blocks(chosen):
            writer.append(block)
            if progress is not None:
                progress(writer.seen, len(chosen))
        return writer.end()


@dataclass
class _Writer:
    """A file that grows: whole chunks of pixels at a time, so that none is packed twice."""

    file: h5py.File
    place: str
    count: int
    class_names: tuple[str, ...] | None
    stored: int = 0
    tilted: int = 0
    damaged: list[str] = field(default_factory=list)
    _images: h5py.Dataset | None = None
    _waiting: list[Array] = field(default_factory=list)
    _labels: list[Array] = field(default_factory=list)
    _files: list[str] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """Images that were read and are written or wait for it."""
        return self.stored + sum(map(len, self._waiting))

    @property
    def seen(self) -> int:
        """Images that were read, damaged ones included."""
        return self.kept + len(self.damaged)

    def append(self, block: Block) -> None:
        self.damaged += block.damaged
        self.tilted += block.tilted
        if not len(block.pixels):
            return
        self._images = self._images or self._new_dataset(block.pixels.shape[1:])
        if block.labels is not None:
            if self.class_names is not None:
                check_labels(block.labels, len(self.class_names), self.place, self.kept)
            self._labels.append(block.labels)
        self._waiting.append(block.pixels)
        self._files += block.files or ()
        self._store(whole=self._images.chunks[0])

    def _new_dataset(self, shape: tuple[int, ...]) -> h5py.Dataset:
        """Room for all images; what damaged ones leave free is given back at the end."""
        size = int(np.prod(shape))
        check_space(self.file.filename, self.count * size, self.place)
        rows = max(1, min(CHUNK_IMAGES, self.count, CHUNK_BYTES // size))
        return self.file.create_dataset(
            "images",
            (self.count, *shape),
            np.uint8,
            maxshape=(self.count, *shape),
            chunks=(rows, *shape),
            compression="gzip",
            compression_opts=4,
            track_times=False,
        )

    def _store(self, whole: int) -> None:
        """Write what waits, as far as it fills chunks of ``whole`` images."""
        ready = sum(map(len, self._waiting)) // whole * whole
        if ready and self._images is not None:
            pixels = np.concatenate(self._waiting)
            self._images[self.stored : self.stored + ready] = pixels[:ready]
            self.stored += ready
            self._waiting = [pixels[ready:]]

    def end(self) -> Written:
        """Write the rest, and what is known only now."""
        if self._images is None:
            raise FileError(f"{self.damaged[0]}: is damaged, and so are all of {len(self.damaged)} images")
        self._store(whole=1)
        self._images.resize(self.stored, axis=0)
        labels = np.concatenate(self._labels) if self._labels else None
        if labels is not None:
            put_array(self.file, "labels", labels.astype(np.int32))
        self._put_texts("class_names", self.class_names)
        self._put_texts("files", self._files)
        classes = 0 if labels is None else max(len(self.class_names or ()), int(labels.max()) + 1)
        counts = None if labels is None else tuple(np.bincount(labels, minlength=classes).tolist())
        return Written(self.stored, self._images.shape[1:], counts, tuple(self.damaged), self.tilted)

    def _put_texts(self, name: str, texts: Sequence[str] | None) -> None:
        if texts:
            stored = np.array([printable(text).encode() for text in texts], "S")
            self.file.create_dataset(name, data=stored, track_times=False)
