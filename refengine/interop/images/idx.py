"""Files of the IDX format, in which MNIST and its successors come: images in one file, labels in another.

    bytes 0, 1    0
    byte 2        8: the values are unsigned bytes
    byte 3        the rank: 3 for images (N, H, W), 1 for labels (N)
    then          the axes, uint32 big-endian; then the values in C order

Each may be gzipped.  A folder holds the four files of the original, ``train-`` and ``t10k-``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import FileError
from ...network.hdf5_dataset import MAX_ARRAY_BYTES
from ...text import PathLike, printable
from .archives import MAX_UNPACKED, Files, open_files
from .image_set import ROWS, Array, Block, ImageSet, picked

_NAME = re.compile(r"(.*?)(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")
_TYPES = (8, 9, 11, 12, 13, 14)  # of values, of which bytes alone are images
_SPLITS = {"train": "train", "t10k": "test", "test": "test"}


def is_idx(files: Files) -> bool:
    """Whether a folder has files that are named as MNIST's are, or one file begins as an IDX file does."""
    if files.kind == "file":
        (name,) = files.names
        with files.open(name) as file:
            return file.read(3) in [bytes([0, 0, kind]) for kind in _TYPES]
    return any(_NAME.fullmatch(name) for name in files.names)


def open_idx(files: Files, split: str | None = None, labels: PathLike | None = None) -> ImageSet:
    """The gray images (H, W, 1) of a folder's split, or of one file with the labels of another one, if any.

    FileError if a file is missing, truncated, longer than it says, or the two disagree in their number.
    """
    if files.kind == "file":
        if split is not None:
            raise FileError(f"{files.source}: is one file, splits are those of a folder")
        (images,) = files.names
        if labels is None:
            return _image_set(files, images, None, printable(images))
        with open_files(labels) as others:
            if others.kind != "file":
                raise FileError(f"{others.source}: is no IDX file")
            (name,) = others.names
            return _image_set(files, images, _labels(others, name), printable(images))
    if labels is not None:
        raise FileError(f"{files.source}: has labels of its own, --labels is for one file of images")
    pairs = _pairs(files)
    if split is None and len(pairs) > 1:
        raise FileError(f"{files.source}: has the splits {' and '.join(pairs)}, needed --split with one of them")
    chosen = split or next(iter(pairs))
    pair = pairs.get(chosen, {})
    for kind in ("images", "labels"):
        if kind not in pair:
            raise FileError(f"{files.source}: has no {kind} of the split {chosen}")
    return _image_set(files, pair["images"], _labels(files, pair["labels"]), f"{Path(files.source).name}, {chosen}")


def _pairs(files: Files) -> dict[str, dict[str, str]]:
    """Of each split the names of its two files."""
    pairs: dict[str, dict[str, str]] = {}
    for name in files.names:
        if match := _NAME.fullmatch(name):
            pair = pairs.setdefault(_SPLITS[match[2]], {})
            if match[3] in pair:
                raise FileError(
                    f"{files.source}: has both {printable(pair[match[3]])} and {printable(name)}, needed one"
                )
            pair[match[3]] = name
    return dict(sorted(pairs.items(), reverse=True))


def _image_set(files: Files, name: str, labels: Array | None, what: str) -> ImageSet:
    with files.open(name) as file:
        count = _header(file, 3, files, name)[0]
    if labels is not None and len(labels) != count:
        raise FileError(f"{files.place(name)}: has {count} images, there are {len(labels)} labels")

    def blocks(chosen: Array) -> Iterator[Block]:
        return picked(_blocks(files, name, labels), chosen)

    return ImageSet(f"IDX, {what}", count, None, blocks)


def _blocks(files: Files, name: str, labels: Array | None) -> Iterator[Block]:
    with files.open(name) as file:
        count, height, width = _header(file, 3, files, name)
        rows = max(1, min(ROWS, (1 << 24) // (height * width)))
        for start in range(0, count, rows):
            stop = min(start + rows, count)
            data = _values(file, (stop - start) * height * width, files, name)
            pixels = np.frombuffer(data, np.uint8).reshape(-1, height, width, 1)
            if stop == count:  # before the last block: nobody asks for more behind it
                _check_end(file, files, name)
            yield Block(pixels, None if labels is None else labels[start:stop])


def _labels(files: Files, name: str) -> Array:
    with files.open(name) as file:
        (count,) = _header(file, 1, files, name)
        data = _values(file, count, files, name)
        _check_end(file, files, name)
    return np.frombuffer(data, np.uint8).astype(np.int64)


def _header(file: BinaryIO, rank: int, files: Files, name: str) -> tuple[int, ...]:
    """The axes; FileError unless there are ``rank`` of them, of unsigned bytes, and as many bytes as they claim."""
    place, magic = files.place(name), file.read(4)
    if magic[:2] != b"\0\0" or len(magic) < 4:
        raise FileError(f"{place}: is no IDX file, it begins with {magic.hex(' ') or 'nothing'}")
    if magic[2:] != bytes([8, rank]):
        wanted = "images (N, H, W)" if rank == 3 else "labels (N)"
        raise FileError(f"{place}: is IDX of type {magic[2]} and rank {magic[3]}, needed {wanted}: type 8, rank {rank}")
    axes = tuple(np.frombuffer(_values(file, 4 * rank, files, name), ">u4").tolist())
    claimed, size = math.prod(axes), files.size(name)
    if 0 in axes or math.prod(axes[1:]) > MAX_ARRAY_BYTES >> 4 or (size is None and claimed > MAX_UNPACKED):
        raise FileError(f"{place}: has axes {axes}, needed at least one image or label of a possible size")
    if size is not None and size != 4 + 4 * rank + claimed:
        raise FileError(f"{place}: claims {claimed} values of one byte and has {size - 4 - 4 * rank}")
    return axes


def _values(file: BinaryIO, count: int, files: Files, name: str) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise FileError(f"{files.place(name)}: is truncated, {count} bytes were to follow and {len(data)} do")
    return data


def _check_end(file: BinaryIO, files: Files, name: str) -> None:
    if file.read(1):
        raise FileError(f"{files.place(name)}: goes on behind the last value that its header claims")
