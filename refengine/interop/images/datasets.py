"""Which data set a path is, and from there to a file of labelled images.

files called data_batch_1.bin, test_batch, train.bin ... (folder, archive, or one of them)   CIFAR (``cifar``)
files called train-images-idx3-ubyte ..., or one that begins as IDX does                     MNIST's kind (``idx``)
files called *.parquet in a folder or its folder data, or one of them                        images (``parquet``)
any other folder                                                                             images (``image_folder``)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ...errors import FileError, RefengineError
from ...text import PathLike, printable
from .archives import Files, open_files
from .cifar import MAX_NAMES, is_cifar, open_cifar
from .decode_image import Preparation
from .idx import is_idx, open_idx
from .image_file import Progress, Written, write_image_set
from .image_folder import open_image_folder
from .image_set import ImageSet, chosen_numbers
from .parquet import open_parquet, parquet_files


@dataclass(frozen=True)
class Reading:
    """How to read a data set; what is left None or False was not asked for."""

    split: str | None = None
    coarse: bool = False
    labels: str | None = None
    class_names: str | None = None
    size: tuple[int, int] | None = None
    resize: int | None = None
    filter: str | None = None
    gray: bool = False
    upright: bool = False
    skip_damaged: bool = False


OF_CIFAR = ("split", "coarse", "class_names")
OF_IDX = ("split", "labels", "class_names")
OF_PARQUET = ("split", "coarse", "class_names", "size", "resize", "filter", "gray", "upright", "skip_damaged")
OF_FOLDERS = ("labels", "class_names", "size", "resize", "filter", "gray", "upright", "skip_damaged")


@contextmanager
def open_image_set(path: PathLike, reading: Reading) -> Iterator[ImageSet]:
    """The data set that ``path`` is; FileError if it is unrecognised, RefengineError for an option of another."""
    names = None if reading.class_names is None else _names_of(reading.class_names)
    with open_files(path) as files:
        found = _recognised(path, files, reading, names)
        yield found if names is None else replace(found, class_names=names)


def _recognised(path: PathLike, files: Files, reading: Reading, names: tuple[str, ...] | None) -> ImageSet:
    if is_cifar(files):
        _refuse_others(reading, OF_CIFAR, f"{files.source} is CIFAR")
        return open_cifar(files, reading.split, reading.coarse)
    if files.kind != "archive" and is_idx(files):
        _refuse_others(reading, OF_IDX, f"{files.source} is of the kind of MNIST")
        return open_idx(files, reading.split, reading.labels)
    if files.kind != "archive" and parquet_files(path):
        _refuse_others(reading, OF_PARQUET, f"{files.source} is Parquet")
        return open_parquet(path, _preparation(reading), reading.split, reading.coarse, reading.skip_damaged)
    if files.kind == "folder":
        _refuse_others(reading, OF_FOLDERS, f"{files.source} is a folder of images")
        return open_image_folder(path, _preparation(reading), reading.labels, names, reading.skip_damaged)
    known = (
        "an archive or file of CIFAR, an IDX file as MNIST's, a folder of images or of .parquet files, one such file, "
        "or a network called .onnx"
    )
    raise FileError(f"{files.source}: unrecognised dataset; supported: {known}")


def _preparation(reading: Reading) -> Preparation:
    if reading.size is None and (reading.resize or reading.filter):
        raise RefengineError("--resize and --filter need --size, which says what is cut out")
    return Preparation(reading.size, reading.resize, reading.filter or "bilinear", reading.gray, reading.upright)


def _refuse_others(reading: Reading, known: tuple[str, ...], reason: str) -> None:
    for field in fields(reading):
        if field.name not in known and getattr(reading, field.name):
            raise RefengineError(f"--{field.name.replace('_', '-')} does not apply: {reason}")


def _names_of(path: PathLike) -> tuple[str, ...]:
    """Names of the classes, one a line, from a file of texts."""
    with open_files(path) as files:
        if files.kind != "file":
            raise FileError(f"{files.source}: is no file of texts")
        (name,) = files.names
        content = files.read(name, MAX_NAMES)
    try:
        names = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeError as error:
        raise FileError(f"{files.source}: is not UTF-8") from error
    while names and not names[-1]:
        names.pop()
    if not names or not all(names) or len(set(names)) < len(names):
        raise FileError(f"{files.source}: needed one name a line, none of them empty or twice")
    return tuple(names)


def convert_images(
    given: PathLike,
    output: PathLike,
    reading: Reading,
    *,
    source: str = "",
    licence: str = "",
    first: int = 0,
    count: int | None = None,
    evenly: int | None = None,
    progress: Progress | None = None,
) -> tuple[ImageSet, Written]:
    """Read a data set, write labelled images: ``count`` from number ``first`` on, or ``evenly`` spaced ones of those.

    FileError and RefengineError as the readers and ``write_image_set`` raise them; RangeError without such images.
    """
    target = Path(output).absolute().resolve()
    if Path(given).is_dir() and Path(given).resolve() in target.parents:
        raise FileError(f"{printable(output)}: lies in {printable(given)}, which is read; write to another folder")
    inputs = [path for path in (given, reading.labels, reading.class_names) if path is not None]
    with open_image_set(given, reading) as images:
        chosen = chosen_numbers(images.count, first, count, evenly)
        origin = {"source": source or images.what, "licence": licence}
        return images, write_image_set(output, images, chosen, origin, inputs, progress)
