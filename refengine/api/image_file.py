"""ImageFile: labelled images that stay in their file and are read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..network.images import LabelledImages, open_images
from ..text import PathLike

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ImageFile:
    """A file of ``count`` images of ``shape`` (H, W, C); ``load`` makes one.

    ``labels`` int64 (N), None where the file has none; ``class_names``: None where it does not name them.  A slice
    reads: ``images[10:12]`` is uint8 (2, H, W, C).  The file is open only while something is read.
    """

    path: str
    count: int
    shape: tuple[int, int, int]
    labels: Array | None
    class_names: tuple[str, ...] | None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, which: int | slice) -> Array:
        """Image number ``which``, uint8 (H, W, C), or a slice of the images, uint8 (n, H, W, C).

        IndexError for an image that does not exist, FileError where the file is damaged.
        """
        if isinstance(which, slice):
            with self.opened() as file:
                return file.take(np.arange(self.count)[which])
        number = which + self.count if which < 0 else which
        if not 0 <= number < self.count:
            raise IndexError(f"{self.path}: has images 0..{self.count - 1}, asked for {which}")
        with self.opened() as file:
            return file.read(number, number + 1)[0]

    @contextmanager
    def opened(self) -> Iterator[LabelledImages]:
        """The file, open for the length of a ``with`` block."""
        with open_images(self.path, labels_required=False) as file:
            yield file


def image_file(path: PathLike) -> ImageFile:
    """What a file of images says of itself; FileError if it is not one."""
    with open_images(path, labels_required=False) as file:
        return ImageFile(os.fspath(path), file.count, file.shape, file.labels, file.class_names)
