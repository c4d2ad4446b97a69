"""load: whatever a path holds, as the object of its kind."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

from ..errors import FileError, RangeError
from ..interop.onnx.convert import Preprocessing, convert_file
from ..network.float_file import FORMAT as FLOAT_NETWORK
from ..network.float_file import read_float_network
from ..network.float_network import FloatNetwork
from ..network.images import FORMAT as IMAGES
from ..network.int_file import FORMAT as INT_NETWORK
from ..network.int_file import read_int_network
from ..network.int_network import IntNetwork
from ..network.read_hdf5 import open_checked
from ..runs.trace import FORMAT as TRACE
from ..text import PathLike, printable
from ..vectors.manifest import MANIFEST
from ..vectors.reader import Vectors, open_vectors
from .given import is_onnx
from .image_file import ImageFile, image_file
from .trace_file import TraceFile, trace_file

Loaded = IntNetwork | FloatNetwork | ImageFile | TraceFile | Vectors
Kind = TypeVar("Kind", IntNetwork, FloatNetwork, ImageFile, TraceFile, Vectors)

_READERS: dict[str, Any] = {
    INT_NETWORK: read_int_network,
    FLOAT_NETWORK: read_float_network,
    IMAGES: image_file,
    TRACE: trace_file,
}


@overload
def load(
    path: PathLike,
    kind: type[Kind],
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: str | None = None,
    input_shape: Sequence[int] | None = None,
) -> Kind: ...


@overload
def load(
    path: PathLike,
    kind: None = None,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: str | None = None,
    input_shape: Sequence[int] | None = None,
) -> IntNetwork | FloatNetwork | ImageFile | TraceFile | Vectors | Any: ...


def load(
    path: PathLike,
    kind: type[Any] | None = None,
    *,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    channels: str | None = None,
    input_shape: Sequence[int] | None = None,
) -> Any:
    """Load what ``path`` holds: the file says itself what it is.

    ======================================  ================
    path                                    gives
    ======================================  ================
    integer network                         ``IntNetwork``
    float network, or ONNX (``.onnx``)      ``FloatNetwork``
    labelled images                         ``ImageFile``
    trace                                   ``TraceFile``
    folder of a vector pack                 ``Vectors``
    ======================================  ================

    Networks are read and validated as a whole; images, traces and packs are read when their integers are asked for.
    ``kind``: the class that is needed, as ``IntNetwork``, which type checkers then know.  ``mean`` and ``std`` (of
    pixels 0..255), ``channels`` (RGB, BGR, gray) and ``input_shape`` (H, W, C) are for ONNX, which does not say them.
    FileError for anything else, RangeError for another kind than was needed.

        >>> import refengine as re
        >>> images = re.load("weights/fashion-calibration-1000.h5")
        >>> len(images), images.shape, images.labels[:3].tolist()
        (1000, (28, 28, 1), [9, 0, 3])
    """
    given = {"mean": mean, "std": std, "channels": channels, "input_shape": input_shape}
    if is_onnx(path):
        preprocessing = Preprocessing(_numbers(mean), _numbers(std), channels)
        found: Loaded = convert_file(path, preprocessing, input_shape=input_shape).network
    else:
        for name, value in given.items():
            if value is not None:
                raise RangeError(f"{printable(os.fspath(path))}: {name} is for ONNX files; this one says it itself")
        found = _by_format(path)
    if kind is not None and not isinstance(found, kind):
        raise RangeError(f"{printable(os.fspath(path))}: holds {type(found).__name__}, needed {kind.__name__}")
    return found


def _by_format(path: PathLike) -> Loaded:
    """What is no ONNX; FileError if it is unrecognised."""
    if (Path(path) / MANIFEST).exists():
        return open_vectors(path)
    if Path(path).is_dir():
        raise FileError(f"{printable(os.fspath(path))}: is a folder without {MANIFEST}, a vector pack has one")
    with open_checked(path, {name: {1} for name in _READERS}) as root:
        kind = root.text("format")
    found: Loaded = _READERS[kind](path)
    return found


def _numbers(given: float | Sequence[float] | None) -> tuple[float, ...] | None:
    """A number for each channel, or one for all."""
    if given is None:
        return None
    return tuple(np.asarray(given, np.float64).reshape(-1).tolist())
