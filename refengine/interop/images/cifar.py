"""CIFAR-10 and CIFAR-100 as their authors publish them: the binary and the Python version, packed or unpacked.

    version      files of the training images       test images   names of the classes
    CIFAR-10     data_batch_1.bin ...               test_batch.bin  batches.meta.txt
                 data_batch_1 ...                   test_batch      batches.meta
    CIFAR-100    train.bin                          test.bin        fine_label_names.txt, coarse_label_names.txt
                 train                              test            meta

A binary file is nothing but records: one label (CIFAR-100: the coarse label and the fine one), then 32x32 bytes of red,
of green and of blue.  A file of the Python version is a pickle with ``data`` uint8 (N, 3072), in the same order, and a
list of labels; it is read as data and never executed (``plain_pickle``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import FileError
from .archives import Files
from .image_set import ROWS, Array, Block, ImageSet, check_labels, picked
from .plain_pickle import read_plain_pickle

PIXELS = 3 * 32 * 32
MAX_NAMES = 1 << 16  # bytes of a file of class names

_BATCH = re.compile(r"data_batch_(\d{1,3})(\.bin)?", re.ASCII)


@dataclass(frozen=True)
class _Version:
    """One of the four: how its files are called, and where the label stands in a record or a pickle."""

    what: str
    test: str
    train: str | None  # None: data_batch_1, ...
    meta: str
    classes: int
    binary: bool
    head: int = 0  # labels in front of a binary record
    column: int = 0  # which of them it is
    key: str = ""  # of the labels in a pickle
    names: str = ""  # key of the class names in the other pickle

    def splits(self, files: Files) -> dict[str, list[str]]:
        """Which files hold which split, in order."""
        if self.train is not None:
            found = {"train": [self.train], "test": [self.test]}
        else:
            ending = ".bin" if self.binary else None
            batches = sorted(
                (int(m[1]), name) for name in files.names if (m := _BATCH.fullmatch(name)) and m[2] == ending
            )
            found = {"train": [name for _, name in batches], "test": [self.test]}
        return {split: names for split, names in found.items() if names and set(names) <= set(files.names)}


_TEN = _Version("CIFAR-10, binary", "test_batch.bin", None, "batches.meta.txt", 10, True, head=1)
_TEN_PICKLED = _Version(
    "CIFAR-10, Python", "test_batch", None, "batches.meta", 10, False, 0, 0, "labels", "label_names"
)
_FINE = _Version("CIFAR-100, binary", "test.bin", "train.bin", "fine_label_names.txt", 100, True, head=2, column=1)
_COARSE = replace(_FINE, what="CIFAR-100, binary, coarse", meta="coarse_label_names.txt", classes=20, column=0)
_FINE_PICKLED = _Version(
    "CIFAR-100, Python", "test", "train", "meta", 100, False, 0, 0, "fine_labels", "fine_label_names"
)
_COARSE_PICKLED = replace(
    _FINE_PICKLED, what="CIFAR-100, Python, coarse", classes=20, key="coarse_labels", names="coarse_label_names"
)


def is_cifar(files: Files) -> bool:
    """Whether the files' names are those of a CIFAR."""
    return bool(_versions(files))


def open_cifar(files: Files, split: str | None = None, coarse: bool = False) -> ImageSet:
    """The images (32, 32, 3) of a split, ``train`` or ``test``; ``coarse``: the 20 coarse labels of CIFAR-100.

    FileError if a file is missing, damaged, or holds anything but images and labels; ``split`` may be None where the
    source has one alone.
    """
    versions = _versions(files)
    if len(versions) > 1:
        both = " and ".join(fine.what for fine, _ in versions)
        raise FileError(f"{files.source}: holds {both}, needed one of them")
    fine, rough = versions[0]
    if coarse and rough is None:
        raise FileError(f"{files.source}: is {fine.what}, coarse labels are those of CIFAR-100")
    version = rough if coarse and rough is not None else fine
    split, names = _chosen_split(version, files, split)
    counts = [_count(version, files, name) for name in names]

    def blocks(chosen: Array) -> Iterator[Block]:
        return picked((block for name in names for block in _blocks(version, files, name)), chosen)

    return ImageSet(f"{version.what}, {split}", sum(counts), _class_names(version, files), blocks)


def _versions(files: Files) -> list[tuple[_Version, _Version | None]]:
    """(with fine labels, with coarse ones) of the versions whose files are there."""
    pairs: list[tuple[_Version, _Version | None]] = [(_TEN, None), (_TEN_PICKLED, None)]
    pairs += [(_FINE, _COARSE), (_FINE_PICKLED, _COARSE_PICKLED)]
    # "train" and "test" are too common as names: the file beside them tells, or there is nothing else
    return [
        (fine, rough)
        for fine, rough in pairs
        if fine.splits(files) and (rough is None or fine.binary or fine.meta in files.names or files.kind == "file")
    ]


def _chosen_split(version: _Version, files: Files, split: str | None) -> tuple[str, list[str]]:
    splits = version.splits(files)
    if split is None and len(splits) > 1:
        raise FileError(f"{files.source}: has the splits {' and '.join(splits)}, needed --split with one of them")
    if split is not None and split not in splits:
        raise FileError(f"{files.source}: has no complete split {split}, there is {' and '.join(splits)}")
    chosen = split or next(iter(splits))
    names = splits[chosen]
    numbers = [int(match[1]) for name in names if (match := _BATCH.fullmatch(name))]
    if files.kind != "file" and numbers and numbers != list(range(1, len(numbers) + 1)):
        missing = min(set(range(1, numbers[-1] + 1)) - set(numbers), default=numbers[-1])
        raise FileError(f"{files.source}: has no data_batch_{missing} but a data_batch_{numbers[-1]}")
    return chosen, names


def _count(version: _Version, files: Files, name: str) -> int:
    """Images of a file; FileError if its size is not that of whole records."""
    if not version.binary:
        return len(_unpickled(version, files, name)[0])
    size, record = files.size(name), version.head + PIXELS
    if size is None:
        raise FileError(f"{files.place(name)}: is gzipped by itself, unpack it or give the archive")
    if size == 0 or size % record:
        raise FileError(
            f"{files.place(name)}: has {size} bytes, needed a multiple of {record} (labels and 32x32x3 pixels)"
        )
    return size // record


def _blocks(version: _Version, files: Files, name: str) -> Iterator[Block]:
    """All images of a file, some at a time."""
    read: Callable[..., Iterator[tuple[Array, Array]]] = _records if version.binary else _pickled
    first = 0
    for pixels, labels in read(version, files, name):
        check_labels(labels, version.classes, files.place(name), first)
        first += len(labels)
        yield Block(np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels)


def _records(version: _Version, files: Files, name: str) -> Iterator[tuple[Array, Array]]:
    record = version.head + PIXELS
    with files.open(name) as file:
        while data := file.read(ROWS * record):
            if len(data) % record:
                raise FileError(f"{files.place(name)}: is truncated in the middle of an image")
            rows = np.frombuffer(data, np.uint8).reshape(-1, record)
            yield rows[:, version.head :], rows[:, version.column].astype(np.int64)


def _pickled(version: _Version, files: Files, name: str) -> Iterator[tuple[Array, Array]]:
    pixels, labels = _unpickled(version, files, name)
    for start in range(0, len(pixels), ROWS):
        yield pixels[start : start + ROWS], labels[start : start + ROWS]


def _unpickled(version: _Version, files: Files, name: str) -> tuple[Array, Array]:
    """The pixels uint8 (N, 3072) and labels int64 (N,) of a pickle."""
    content = _content(files, name)
    pixels, labels = content.get("data"), content.get(version.key)
    if not isinstance(pixels, np.ndarray) or pixels.shape[1:] != (PIXELS,) or not len(pixels):
        raise FileError(f"{files.place(name)}: has no 'data' of uint8 (N, {PIXELS})")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        found = f"{len(labels)} of them" if isinstance(labels, list) else "none"
        raise FileError(f"{files.place(name)}: needed {len(pixels)} '{version.key}', there is {found}")
    if any(type(label) is not int or not 0 <= label < version.classes for label in labels):
        raise FileError(f"{files.place(name)}: has '{version.key}' that are not numbers in 0..{version.classes - 1}")
    return pixels, np.array(labels, np.int64)


def _content(files: Files, name: str) -> dict[str, Any]:
    """The dict of a pickle, its keys as texts."""
    with files.open(name) as file:
        content = read_plain_pickle(file, files.place(name))
    if not isinstance(content, dict):
        raise FileError(f"{files.place(name)}: holds a {type(content).__name__}, needed a dict")
    return {_text(key): value for key, value in content.items()}


def _class_names(version: _Version, files: Files) -> tuple[str, ...] | None:
    """Names of the classes from the file beside the images; None where it is missing."""
    if version.meta not in files.names:
        return None
    if version.binary:
        lines = files.read(version.meta, MAX_NAMES).decode("latin-1").split("\n")
        names = [line.strip() for line in lines if line.strip()]
    else:
        found = _content(files, version.meta).get(version.names)
        names = [_text(name) for name in found] if isinstance(found, list) else []
    if len(names) != version.classes:
        raise FileError(f"{files.place(version.meta)}: has {len(names)} names of classes, needed {version.classes}")
    return tuple(names)


def _text(value: Any) -> str:
    """A text of Python 2 or 3; anything else as an empty one, which is no key and no name."""
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
