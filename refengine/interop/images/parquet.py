"""Images in Parquet files, as Hugging Face's hub keeps data sets: a column of image files, and one of labels.

    cats/train-00000-of-00002.parquet    the splits by the names of the files, up to the first - or .
    cats/data/test.parquet               or in the folder data inside
    image  {bytes, path}                 a column called image or img, or the only one of bytes: files as in a folder
    label  int64                         label, labels, fine_label or coarse_label; names from the file's metadata

Images are numbered by the names of the files, then by rows.  pyarrow reads the files; what it raises on damaged ones
becomes a FileError.  A group of rows that says it is larger than ``MAX_GROUP`` is refused before it is read, since it
is unpacked at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError, RefengineError
from ...optional import package
from ...text import PathLike, printable, shown
from .archives import guarded
from .decode_image import Preparation, decode_content, pillow
from .image_set import Array, Block, Found, ImageSet, gathered

EXTRA = 'pip install "refengine[parquet]"'
ENDING = ".parquet"
SPLITS = ("train", "validation", "test")
IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
COARSE_COLUMNS = ("coarse_label",)
MAX_GROUP = 1 << 30  # bytes of a group of rows, unpacked
MAX_LABEL = 1 << 20
MAX_METADATA = 1 << 22
ROWS = 64  # rows that are decoded at a time


def parquet_files(path: PathLike) -> tuple[str, ...]:
    """The Parquet files of a folder or of its folder ``data``, or the one that ``path`` is, in order of their names."""
    if not os.path.isdir(path):
        return (os.fspath(path),) if os.fspath(path).endswith(ENDING) else ()
    for folder in (os.fspath(path), os.path.join(path, "data")):
        if os.path.isdir(folder):
            with guarded(printable(folder)):
                names = sorted(os.listdir(folder))
            found = [os.path.join(folder, name) for name in names if name.endswith(ENDING) and name[0] != "."]
            if found:
                return tuple(found)
    return ()


def open_parquet(
    path: PathLike,
    how: Preparation,
    split: str | None = None,
    coarse: bool = False,
    skip_damaged: bool = False,
) -> ImageSet:
    """The images of one split, RGB or gray, all of one size.

    FileError if the files have several splits and none is named, columns that are not of one kind, no image or no whole
    number in a row, or are damaged; for images as ``open_image_folder``; RefengineError without pyarrow or Pillow.
    """
    place = printable(os.fspath(path))
    chosen, files = _of_split(parquet_files(path), place, split)
    arrow, _ = package("pyarrow.parquet", EXTRA), pillow()
    opened = [_Table.open(arrow, file, coarse) for file in files]
    for table in opened[1:]:
        if (table.image, table.label, table.class_names) != (opened[0].image, opened[0].label, opened[0].class_names):
            raise FileError(f"{table.place}: has other columns or classes than {opened[0].place}")
    starts = np.cumsum([0, *(table.rows for table in opened)])
    if not starts[-1]:
        raise FileError(f"{place}: has no rows")

    def found(numbers: Array) -> Iterator[Found]:
        for table, start in zip(opened, starts, strict=False):
            inside = numbers[(numbers >= start) & (numbers < start + table.rows)] - start
            yield from table.found(inside, how)

    def blocks(numbers: Array) -> Iterator[Block]:
        return gathered(found(numbers), skip_damaged)

    label = opened[0].label
    notes = () if label is not None else (f"{place}: no column is called {' or '.join(LABEL_COLUMNS)}: no labels",)
    what = ", ".join(["Parquet", Path(place).name, *([chosen] if chosen else [])])
    return ImageSet(what, int(starts[-1]), opened[0].class_names, blocks, notes)


def _of_split(files: Sequence[str], place: str, split: str | None) -> tuple[str | None, list[str]]:
    """The split, if the names of the files say it, and its files."""
    found: dict[str | None, list[str]] = {}
    for file in files:
        word = os.path.basename(file).split("-")[0].split(".")[0]
        found.setdefault(word if word in SPLITS else None, []).append(file)
    named = [word for word in SPLITS if word in found]
    if split is None:
        if len(found) > 1:
            kinds = [*named, *([f"none ({printable(os.path.basename(found[None][0]))})"] if None in found else [])]
            raise FileError(f"{place}: has the splits {' and '.join(kinds)}, needed --split with one of them")
        return next(iter(found.items()))
    if split not in found:
        raise FileError(f"{place}: has no file of the split {split}, there is {' and '.join(named) or 'none by name'}")
    return split, found[split]


@dataclass(frozen=True)
class _Table:
    """One file: its rows, and the columns of its images (``inside``: the field of a structure) and labels."""

    arrow: Any
    file: str
    rows: int
    image: str
    inside: bool
    label: str | None
    class_names: tuple[str, ...] | None

    @property
    def place(self) -> str:
        return printable(self.file)

    @classmethod
    def open(cls, arrow: Any, file: str, coarse: bool) -> _Table:
        """The columns by the file's own description."""
        with _guarded(printable(file)):
            schema, metadata = arrow.read_schema(file), arrow.read_metadata(file)
        features = _features(schema.metadata or {}, printable(file))
        types = package("pyarrow", EXTRA).types
        image, inside = _image_column(types, schema, printable(file))
        label = _label_column(types, schema, coarse, printable(file))
        names = features.get(label or "", {}).get("names")
        classes = None
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            classes = tuple(names)
        return cls(arrow, file, metadata.num_rows, image, inside, label, classes)

    def found(self, rows: Array, how: Preparation) -> Iterator[Found]:
        """The images of rising rows."""
        for row, content, label in self._values(rows):
            file = f"{os.path.basename(self.file)}:{row}"
            place = f"{self.place}: row {row}"
            if content is None:
                raise FileError(f"{place}: {self.image} holds no bytes of an image; paths are not followed")
            if self.label is not None and (label is None or not 0 <= label < MAX_LABEL):
                raise FileError(f"{place}: {self.label} is {label}, needed 0..{MAX_LABEL - 1}")
            yield Found(file, place, label, decode_content(content, place, how))

    def _values(self, rows: Array) -> Iterator[tuple[int, bytes | None, int | None]]:
        """(row, bytes of an image, label) of rising rows; groups without any of them are not read."""
        columns = [f"{self.image}.bytes" if self.inside else self.image, *([self.label] if self.label else [])]
        with _guarded(self.place), self.arrow.ParquetFile(self.file) as file:
            start = 0
            for number in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(number)
                row, start = start, start + group.num_rows
                wanted = set(rows[(rows >= row) & (rows < start)].tolist())
                if not wanted:
                    continue
                if group.total_byte_size > MAX_GROUP:
                    size = group.total_byte_size
                    raise FileError(f"{self.place}: rows {row} to {start - 1} have {size} bytes, at most {MAX_GROUP}")
                for batch in file.iter_batches(ROWS, [number], columns):
                    images = batch.column(self.image)
                    labels = batch.column(self.label) if self.label else None
                    for place in range(len(images)):
                        if row + place in wanted:
                            value = images[place].as_py()
                            content = value and value.get("bytes") if self.inside else value
                            yield row + place, content, None if labels is None else labels[place].as_py()
                    row += len(images)


@contextmanager
def _guarded(place: str) -> Iterator[None]:
    """Turn what pyarrow raises into one FileError that names the file."""
    error_type = package("pyarrow", EXTRA).ArrowException
    try:
        with guarded(place):
            yield
    except (error_type, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileError(f"{place}: cannot be read ({printable(reason)[:200]})") from error


def _features(metadata: dict[bytes, bytes], place: str) -> dict[str, dict[str, Any]]:
    """What the library datasets says of the columns: the names of classes."""
    content = metadata.get(b"huggingface", b"")
    try:
        described = json.loads(content[:MAX_METADATA])["info"]["features"] if content else {}
        return {name: one for name, one in described.items() if isinstance(one, dict)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(f"{place}: its metadata huggingface is not that of the library datasets") from error


def _image_column(types: Any, schema: Any, place: str) -> tuple[str, bool]:
    """The column of images, and whether they are the field ``bytes`` of a structure."""
    kinds = {}
    for column in schema:
        inside = types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0
        kind = column.type.field("bytes").type if inside else column.type
        if types.is_binary(kind) or types.is_large_binary(kind):
            kinds[column.name] = inside
    named = [name for name in IMAGE_COLUMNS if name in kinds] or list(kinds)
    if len(named) != 1:
        seen = ", ".join(printable(name) for name in schema.names[:16])
        raise FileError(f"{place}: needed one column of images as bytes, called image or img; there is {seen}")
    return named[0], kinds[named[0]]


def _label_column(types: Any, schema: Any, coarse: bool, place: str) -> str | None:
    """The column of labels; None where there is none."""
    named = [name for name in (COARSE_COLUMNS if coarse else LABEL_COLUMNS) if name in schema.names]
    if coarse and not named:
        raise RefengineError(f"--coarse does not apply: {place} has no column coarse_label")
    if not named:
        return None
    kind = schema.field(named[0]).type
    if not types.is_integer(kind):
        raise FileError(f"{place}: {named[0]} is of type {shown(str(kind))}, needed whole numbers")
    return named[0]
