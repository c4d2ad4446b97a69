"""What callers hand in: networks and images as objects, as arrays or as paths of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import RangeError
from ..network.batches import Images
from ..network.float_file import read_float_network
from ..network.float_network import FloatNetwork
from ..network.images import LabelledImages, open_images
from ..network.int_file import read_int_network
from ..network.int_network import IntNetwork
from ..text import PathLike, shown
from .image_file import ImageFile

Array = np.ndarray[Any, Any]
GivenImages = ImageFile | LabelledImages | Array | PathLike
"""A file of images, opened or not or by its path, or an array uint8 (N, H, W, C)."""
ONNX = ".onnx"


def int_network(given: object) -> IntNetwork:
    """The integer network, read where ``given`` is a path; RangeError for anything else."""
    if isinstance(given, IntNetwork):
        return given
    if isinstance(given, str | os.PathLike):
        return read_int_network(given)
    hint = "; refengine.quantize makes one" if isinstance(given, FloatNetwork) else ""
    raise RangeError(f"model is a {type(given).__name__}, needed an integer network or the path of one{hint}")


def float_network(given: object) -> FloatNetwork:
    """The float network, read where ``given`` is a path, also of ONNX; RangeError for anything else."""
    if isinstance(given, FloatNetwork):
        return given
    if isinstance(given, str | os.PathLike):
        return _float_network_in(given)
    raise RangeError(f"network is a {type(given).__name__}, needed a float network or the path of one")


def _float_network_in(path: PathLike) -> FloatNetwork:
    if is_onnx(path):
        from ..interop.onnx.convert import convert_file  # here, because only this needs it

        return convert_file(path).network
    return read_float_network(path)


def is_onnx(path: PathLike) -> bool:
    """Whether a path is called as ONNX files are."""
    return os.fspath(path).lower().endswith(ONNX)


@contextmanager
def opened_images(given: object) -> Iterator[Images]:
    """The images for the length of a ``with`` block: an opened file or an array; RangeError for anything else."""
    if isinstance(given, ImageFile):
        with given.opened() as file:
            yield file
    elif isinstance(given, LabelledImages):
        yield given
    elif isinstance(given, str | os.PathLike):
        with open_images(given, labels_required=False) as file:
            yield file
    elif isinstance(given, np.ndarray):
        yield given
    else:
        raise RangeError(f"images are {shown(given)}, needed an array uint8 (N, H, W, C), a file of images or its path")


def name_of(given: object) -> str:
    """What messages call images: the name of their file, or the argument."""
    if isinstance(given, ImageFile):
        return given.path
    if isinstance(given, LabelledImages):
        return given.file
    return os.fspath(given) if isinstance(given, str | os.PathLike) else "images"


def paths_of(*given: object) -> list[str]:
    """The files among what was handed in, none of which may be written to."""
    known = (one.path if isinstance(one, ImageFile) else one for one in given)
    return [os.fspath(one) for one in known if isinstance(one, str | os.PathLike)]
