"""A folder of image files: one folder a class, or a table that says each file's class, or no classes at all.

    photos/ant/1.png     class 0: the folders' names in order of their characters' numbers
    photos/bee/a/2.jpg   class 1, folders inside included

Images are numbered in the order of their paths, or in that of the table, a CSV file of ``file,label`` with paths from
the folder on.  Its labels are whole numbers, all of them, or texts: then the classes are the texts in sorted order, or
``class_names``.  A table of both is refused, for sorting it would give numbers that look like labels and are none.
Hidden files are passed over, other files that no image's name has are counted, and so are images that a table leaves
out; links to folders are refused.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import FileError
from ...text import PathLike, printable, shown
from .archives import guarded
from .decode_image import Preparation, decode, pillow
from .image_set import Array, Block, Found, ImageSet, gathered

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MAX_DEPTH = 16
MAX_LABEL = 1 << 20
SHOWN_CLASSES = 3
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class _Listing:
    """Paths from the folder on, their labels if any, the classes' names, and what is to be said."""

    files: tuple[str, ...]
    labels: tuple[int, ...] | None
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()


def open_image_folder(
    folder: PathLike,
    how: Preparation,
    labels: PathLike | None = None,
    class_names: Sequence[str] | None = None,
    skip_damaged: bool = False,
) -> ImageSet:
    """The images of a folder, RGB or gray, all of one size.

    FileError if there are none, an image is damaged (unless ``skip_damaged``), refused, or of another size than the
    first; if the table names a file twice or one that is not there, or its labels are neither all whole numbers nor
    all texts; RefengineError without Pillow.
    """
    place = printable(os.fspath(folder))
    with guarded(place):
        listing = _listed(Path(folder), place) if labels is None else _table(Path(folder), labels, class_names)
    pillow()

    def found(chosen: Array) -> Iterator[Found]:
        for number in chosen.tolist():
            path = Path(folder) / listing.files[number]
            label = None if listing.labels is None else listing.labels[number]
            yield Found(listing.files[number], printable(path), label, decode(path, how))

    def blocks(chosen: Array) -> Iterator[Block]:
        return gathered(found(chosen), skip_damaged)

    return ImageSet(Path(place).name, len(listing.files), listing.class_names, blocks, listing.notes)


# ------------------------------------------------------------------------------------------ which files, which class


def _listed(folder: Path, place: str) -> _Listing:
    """What lies in a folder of class folders, or of images alone."""
    found = list(_files(folder, PurePosixPath()))
    images = [path for path in found if path.suffix.lower() in ENDINGS]
    others = [path for path in found if path.suffix.lower() not in ENDINGS]
    notes = _left_out(others, "files are no images by their names")
    loose = [path for path in images if len(path.parts) == 1]
    with os.scandir(folder) as entries:
        classes = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if loose and classes:
        raise FileError(f"{place}: has images, as {printable(loose[0])}, beside folders of classes, as {classes[0]}")
    if not images:
        raise FileError(f"{place}: unrecognised dataset: holds no images, and no files of CIFAR, MNIST or Parquet")
    if not classes:
        return _Listing(tuple(str(path) for path in images), None, None, notes)
    empty = [name for name in classes if name not in {path.parts[0] for path in images}]
    if empty:
        raise FileError(f"{place}: has no image of class {printable(empty[0])}")
    numbers = {name: number for number, name in enumerate(classes)}
    labels = tuple(numbers[path.parts[0]] for path in images)
    return _Listing(tuple(str(path) for path in images), labels, tuple(classes), notes)


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


def _left_out(paths: Sequence[object], why: str) -> tuple[str, ...]:
    """A note that counts files, if there are any."""
    return (f"{len(paths)} {why} and left out, as {printable(paths[0])}",) if paths else ()


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
    notes = _left_out(_unlisted(folder, files), f"images are not in {place}")
    lines = tuple(files.values())
    if all(map(_is_whole, texts)):
        return _Listing(tuple(files), _whole_numbers(texts, lines, place), None, notes)
    labels, names = _classes(texts, lines, class_names, place)
    which = ", ".join(f"{number} is {name}" for number, name in enumerate(names[:SHOWN_CLASSES]))
    more = ", ..." if len(names) > SHOWN_CLASSES else ""
    return _Listing(tuple(files), labels, names, (*notes, f"{place}: the labels are texts, class {which}{more}"))


def _unlisted(folder: Path, listed: Container[str]) -> list[str]:
    """Paths of images in a folder that a table does not have."""
    found = []
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = PurePosixPath(Path(inside).relative_to(folder).as_posix())
        images = (here / name for name in sorted(names) if name.lower().endswith(ENDINGS) and not name.startswith("."))
        found += [str(path) for path in images if str(path) not in listed]
    return found


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _whole_numbers(texts: Sequence[str], lines: Sequence[int], place: str) -> tuple[int, ...]:
    labels = tuple(int(text[:20]) for text in texts)
    for label, line in zip(labels, lines, strict=True):
        if label >= MAX_LABEL:
            raise FileError(f"{place}: line {line}: has the label {label}, needed 0..{MAX_LABEL - 1}")
    return labels


def _classes(
    texts: Sequence[str], lines: Sequence[int], class_names: Sequence[str] | None, place: str
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Class numbers of labels that are texts, and the classes' names; FileError for a label that has none."""
    if class_names is None:
        _check_texts(texts, lines, place)
    names = tuple(class_names or sorted(set(texts)))
    numbers = {name: number for number, name in enumerate(names)}
    for text, line in zip(texts, lines, strict=True):
        if text not in numbers:
            where = f"{place}: line {line}"
            raise FileError(f"{where}: has the label {shown(text)}, which is not among the classes' names")
    return tuple(numbers[text] for text in texts), names


def _check_texts(texts: Sequence[str], lines: Sequence[int], place: str) -> None:
    """FileError, naming the line, for a label that is empty or a number: nobody means a class called 3.0."""
    whole = next((number for number, text in enumerate(texts) if _is_whole(text)), None)
    for text, line in zip(texts, lines, strict=True):
        where = f"{place}: line {line}"
        if not text:
            raise FileError(f"{where}: has an empty label")
        if _NUMBER.fullmatch(text) and not _is_whole(text):
            raise FileError(f"{where}: has the label {shown(text)}, needed a whole number from 0 on, or a text")
        if whole is not None and not _is_whole(text):
            others = f"line {lines[whole]} the number {texts[whole][:20]}"
            raise FileError(f"{where}: has the label {shown(text)}, {others}; needed numbers alone or texts alone")


def _rows(table: PathLike, place: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of a CSV file in UTF-8, without its head, empty lines, and blanks around a label."""
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                fields = [*row[:1], *(field.strip() for field in row[1:])]
                if fields and not (reader.line_num == 1 and fields == ["file", "label"]):
                    yield reader.line_num, fields
    except (OSError, UnicodeError, csv.Error) as error:
        raise FileError(f"{place}: cannot be read ({getattr(error, 'strerror', None) or printable(error)})") from error
