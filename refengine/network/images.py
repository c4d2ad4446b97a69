"""Labelled images in HDF5 files (docs/formats.md, ``format = "refengine-images"``), read in slices as needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import FileError, RangeError
from ..text import PathLike
from .hdf5_dataset import CheckedDataset
from .read_hdf5 import CheckedGroup, open_checked
from .write_hdf5 import put_array, put_attributes, write_atomically

FORMAT, VERSION = "refengine-images", 1

Array = np.ndarray[Any, Any]


class LabelledImages:
    """An opened file of N images, uint8 (N, H, W, C), RGB or gray; ``open_images`` makes one."""

    def __init__(self, root: CheckedGroup, labels_required: bool = True) -> None:
        self.file = root.file
        self._images = _checked_images(root)
        self.count: int = len(self._images)
        self.shape: tuple[int, int, int] = self._images.shape[1:]  # type: ignore[assignment]
        self.class_names = root.texts("class_names") if root.has("class_names") else None
        self.labels: Array | None = None
        if labels_required or root.has("labels"):
            self.labels = _checked_labels(root, self.count, self.class_names)

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1, uint8 (n, H, W, C); FileError if they do not exist or are damaged."""
        return self._images.read(start, stop)

    def take(self, indices: Sequence[int] | Array) -> Array:
        """The images of these numbers in this order, uint8 (n, H, W, C); RangeError if one does not exist."""
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.count):
            raise RangeError(f"{self.file}: has images 0..{self.count - 1}, asked for {wanted.min()}..{wanted.max()}")
        found = np.empty((len(wanted), *self.shape), np.uint8)
        rows = min(self._images.chunk_rows, 256)  # a chunk is unpacked as a whole, so read it once
        for block in np.unique(wanted // rows).tolist():
            start, stop = block * rows, min((block + 1) * rows, self.count)
            places = np.flatnonzero((wanted >= start) & (wanted < stop))
            found[places] = self._images.read(start, stop)[wanted[places] - start]
        return found

    def batches(self, size: int, limit: int | None = None) -> Iterator[tuple[int, Array, Array | None]]:
        """Yield (number of the first image, images, labels) for ``size`` images at a time, ``limit`` in all."""
        if size < 1:
            raise RangeError(f"a batch has {size} images, needed at least 1")
        end = self.count if limit is None else min(limit, self.count)
        for start in range(0, end, size):
            stop = min(start + size, end)
            yield start, self.read(start, stop), None if self.labels is None else self.labels[start:stop]


@contextmanager
def open_images(path: PathLike, labels_required: bool = True) -> Iterator[LabelledImages]:
    """Open a file of images for the length of a ``with`` block; FileError if it is not one."""
    with open_checked(path, {FORMAT: {VERSION}}) as root:
        yield LabelledImages(root, labels_required)


def _checked_images(root: CheckedGroup) -> CheckedDataset:
    images = root.dataset("images", np.uint8, (None, None, None, None))
    if 0 in images.shape or images.shape[3] not in (1, 3):
        raise root.error(f"has shape {images.shape}, needed at least one image of 1 or 3 channels", "images")
    return images


def _checked_labels(root: CheckedGroup, count: int, class_names: tuple[str, ...] | None) -> Array:
    """Labels as int64 (N,), each a number of a class; FileError otherwise."""
    labels = root.array("labels", np.int64, (count,))
    limit = len(class_names) if class_names is not None else np.iinfo(np.int32).max
    if labels.min() < 0 or labels.max() >= limit:
        raise root.error(f"holds {labels.min()}..{labels.max()}, needed class numbers in 0..{limit - 1}", "labels")
    labels.flags.writeable = False
    return labels


def evenly_spaced(count: int, wanted: int) -> Array:
    """``wanted`` of the numbers 0..count-1 at even distances, all of them if there are no more; int64, rising.

    >>> evenly_spaced(10, 4)
    array([0, 2, 5, 7])
    """
    if count < 1 or wanted < 1:
        raise RangeError(f"cannot choose {wanted} of {count}, needed at least 1 of at least 1")
    chosen = min(count, wanted)
    return np.arange(chosen, dtype=np.int64) * count // chosen


def chosen_images(count: int, first: int, wanted: int | None, file: str) -> range:
    """Numbers of the images ``first``, ``first + 1``, ...: ``wanted`` of them, or as many as the file has."""
    if not 0 <= first < count:
        raise RangeError(f"{file}: has images 0..{count - 1}, asked for {first}")
    if wanted is not None and wanted < 1:
        raise RangeError(f"{file}: {wanted} images are asked for, needed at least 1")
    return range(first, count if wanted is None else min(count, first + wanted))


def write_images(
    path: PathLike,
    images: Array,
    labels: Sequence[int] | Array | None,
    class_names: Sequence[str] | None = None,
    source: str = "",
    licence: str = "",
    inputs: Iterable[PathLike] = (),
) -> None:
    """Write uint8 images (N, H, W, C) and their labels (N,); FileError if they are something else."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape or images.shape[3] not in (1, 3):
        raise FileError(f"images are {images.dtype} {images.shape}, needed uint8 (N, H, W, 1 or 3)")
    with write_atomically(path, inputs) as file:
        put_attributes(file, {"format": FORMAT, "version": VERSION, "source": source, "licence": licence})
        put_array(file, "images", images, chunks=(min(16, len(images)), *images.shape[1:]))
        if labels is not None:
            put_array(file, "labels", _labels_to_write(labels, len(images), class_names))
        if class_names is not None:
            names = [name.encode() for name in class_names]
            file.create_dataset("class_names", data=np.array(names, "S"), track_times=False)


def _labels_to_write(labels: Sequence[int] | Array, count: int, class_names: Sequence[str] | None) -> Array:
    """Labels as int32; FileError unless there is one class number for each image."""
    array = np.asarray(labels)
    limit = len(class_names) if class_names is not None else np.iinfo(np.int32).max
    if array.dtype.kind not in "iu" or array.shape != (count,) or array.min() < 0 or array.max() >= limit:
        raise FileError(f"labels are {array.dtype} {array.shape}, needed {count} integers in 0..{limit - 1}")
    return array.astype(np.int32)
