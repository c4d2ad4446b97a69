"""A folder of image files: one folder a class, or a table that says each file's class, or no classes at all.

    photos/ant/1.png     class 0: the folders' names in order of their characters' numbers
    photos/bee/a/2.jpg   class 1, folders inside included

Images are numbered in the order of their paths, or in that of the table, a CSV file of ``file,label`` with paths from
the folder on.  Its labels are numbers, or texts: then the classes are the texts in sorted order, or ``class_names``.
Hidden files are passed over, other files that no image's name has are counted; links to folders are refused.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import FileError
from ..network.hdf5 import PathLike, printable, shown
from .archives import guarded
from .decode_image import Decoded, Preparation, decode, pillow
from .image_set import Array, Block, ImageSet

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MAX_DEPTH = 16
MAX_LABEL = 1 << 20
BLOCK_IMAGES = 64
BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class _Listing:
    """Paths from the folder on, their labels if any, and the classes' names."""

    files: tuple[str, ...]
    labels: tuple[int, ...] | None
    class_names: tuple[str, ...] | None
    others: tuple[str, ...] = ()


def open_image_folder(
    folder: PathLike,
    how: Preparation,
    labels: PathLike | None = None,
    class_names: Sequence[str] | None = None,
    skip_damaged: bool = False,
) -> ImageSet:
    """The images of a folder, RGB or gray, all of one size.

    FileError if there are none, an image is damaged (unless ``skip_damaged``), refused, or of another size than the
    first; if the table names a file twice or one that is not there; RefengineError without Pillow.
    """
    place = printable(os.fspath(folder))
    with guarded(place):
        listing = _listed(Path(folder), place) if labels is None else _table(Path(folder), labels, class_names)
    pillow()
    numbers = None if listing.labels is None else np.array(listing.labels, np.int64)

    def blocks(chosen: Array) -> Iterator[Block]:
        return _blocks(Path(folder), listing.files, numbers, chosen, how, skip_damaged)

    notes: tuple[str, ...] = ()
    if listing.others:
        notes = (f"{len(listing.others)} files are no images by their names and left out, as {listing.others[0]}",)
    return ImageSet(Path(place).name, len(listing.files), listing.class_names, blocks, notes)


# ------------------------------------------------------------------------------------------ which files, which class


def _listed(folder: Path, place: str) -> _Listing:
    """What lies in a folder of class folders, or of images alone."""
    found = list(_files(folder, PurePosixPath()))
    images = [path for path in found if path.suffix.lower() in ENDINGS]
    others = tuple(printable(path) for path in found if path.suffix.lower() not in ENDINGS)
    loose = [path for path in images if len(path.parts) == 1]
    with os.scandir(folder) as entries:
        classes = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if loose and classes:
        raise FileError(f"{place}: has images, as {printable(loose[0])}, beside folders of classes, as {classes[0]}")
    if not images:
        raise FileError(f"{place}: holds no data set that is known: no images, and no files of CIFAR or MNIST")
    if not classes:
        return _Listing(tuple(str(path) for path in images), None, None, others)
    empty = [name for name in classes if name not in {path.parts[0] for path in images}]
    if empty:
        raise FileError(f"{place}: has no image of class {printable(empty[0])}")
    numbers = {name: number for number, name in enumerate(classes)}
    labels = tuple(numbers[path.parts[0]] for path in images)
    return _Listing(tuple(str(path) for path in images), labels, tuple(classes), others)


def _files(folder: Path, inside: PurePosixPath) -> Iterator[PurePosixPath]:
    """Files below a folder, in order of their paths."""
    place = printable(folder / inside)
    if len(inside.parts) > MAX_DEPTH:
        raise FileError(f"{place}: lies deeper than {MAX_DEPTH} folders")
    with guarded(place), os.scandir(folder / inside) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if entry.is_symlink():
                raise FileError(f"{printable(entry.path)}: is a link to a folder, which is not followed")
            yield from _files(folder, inside / entry.name)
        elif entry.is_file():
            yield inside / entry.name


def _table(folder: Path, table: PathLike, class_names: Sequence[str] | None) -> _Listing:
    """What a CSV file lists."""
    place = printable(os.fspath(table))
    files: dict[str, int] = {}
    texts: list[str] = []
    for line, row in _rows(table, place):
        where = f"{place}: line {line}"
        if len(row) != 2:
            raise FileError(f"{where}: has {len(row)} fields, needed file,label")
        path = PurePosixPath(row[0])
        if path.is_absolute() or ".." in path.parts or "\0" in row[0]:
            raise FileError(f"{where}: {shown(row[0])} leads out of the folder")
        if str(path) in files:
            raise FileError(f"{where}: names {shown(row[0])} again, it is in line {files[str(path)]}")
        if not os.path.isfile(folder / path):
            raise FileError(f"{where}: names {shown(row[0])}, which is no file in {printable(folder)}")
        files[str(path)] = line
        texts.append(row[1])
    if not files:
        raise FileError(f"{place}: lists no images")
    if all(text.isascii() and text.isdigit() for text in texts):
        labels = tuple(int(text[:20]) for text in texts)
        if max(labels) >= MAX_LABEL:
            raise FileError(f"{place}: has the label {max(labels)}, needed 0..{MAX_LABEL - 1}")
        return _Listing(tuple(files), labels, None)
    names = tuple(class_names or sorted(set(texts)))
    numbers = {name: number for number, name in enumerate(names)}
    unknown = [text for text in texts if text not in numbers]
    if unknown:
        raise FileError(f"{place}: has the label {shown(unknown[0])}, which is not among the classes' names")
    return _Listing(tuple(files), tuple(numbers[text] for text in texts), names)


def _rows(table: PathLike, place: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of a CSV file in UTF-8, without its head and without empty lines."""
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if row and not (reader.line_num == 1 and row == ["file", "label"]):
                    yield reader.line_num, row
    except (OSError, UnicodeError, csv.Error) as error:
        raise FileError(f"{place}: cannot be read ({getattr(error, 'strerror', None) or printable(error)})") from error


# -------------------------------------------------------------------------------------------------------------- pixels


@dataclass
class _Gathering:
    """Images on their way into a block."""

    numbers: list[int] = field(default_factory=list)
    pixels: list[Array] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    tilted: int = 0

    def is_full(self) -> bool:
        seen = len(self.pixels) + len(self.damaged)
        return seen >= BLOCK_IMAGES or sum(pixels.nbytes for pixels in self.pixels) >= BLOCK_BYTES

    def block(self, files: Sequence[str], labels: Array | None) -> Block:
        pixels = np.stack(self.pixels) if self.pixels else np.empty((0, 0, 0, 0), np.uint8)
        names = tuple(files[number] for number in self.numbers)
        return Block(pixels, None if labels is None else labels[self.numbers], names, tuple(self.damaged), self.tilted)


def _blocks(
    folder: Path, files: Sequence[str], labels: Array | None, chosen: Array, how: Preparation, skip_damaged: bool
) -> Iterator[Block]:
    gathering, first = _Gathering(), None
    for number in chosen.tolist():
        path = folder / files[number]
        decoded = decode(path, how)
        if decoded.damage is not None:
            if not skip_damaged:
                raise FileError(f"{printable(path)}: {decoded.damage}")
            gathering.damaged.append(printable(files[number]))
        else:
            first = first or (decoded.pixels.shape, path)
            _check_size(decoded, path, *first)
            gathering.numbers.append(number)
            gathering.pixels.append(decoded.pixels)
            gathering.tilted += decoded.tilted
        if gathering.is_full():
            yield gathering.block(files, labels)
            gathering = _Gathering()
    yield gathering.block(files, labels)


def _check_size(decoded: Decoded, path: Path, shape: tuple[int, ...], first: Path) -> None:
    height, width, _ = decoded.pixels.shape
    if decoded.pixels.shape != shape:
        raise FileError(f"{printable(path)}: is {height}x{width}, needed {shape[0]}x{shape[1]} as {printable(first)}; "
                        f"--size makes them one size")  # fmt: skip
