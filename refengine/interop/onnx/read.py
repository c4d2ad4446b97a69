"""ONNX files: what is read is hostile until it is checked, like what ``network/read_hdf5.py`` reads.

The file is looked at field by field (``onnx_wire.py``) and needs no package.  An array must have exactly the bytes that
its shape asks for, so nothing is allocated that is not in the file.  Arrays may lie in another file if it stands in the
same folder under a plain name and is no link; it is mapped, not copied.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError, RefengineError
from ...text import PathLike, printable, shown
from .graph import NEWEST, OLDEST, Graph, Node, logits_of
from .wire import Message, Wire

MAX_BYTES = 1 << 31  # of the file, as protocol buffers have it, and of all arrays in other files together
MAX_NODES = 1 << 16
MAX_RANK = 8

FLOAT = 1
TYPES = {
    FLOAT: "float32",
    2: "uint8",
    3: "int8",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}
_INT32_DATA = ("uint8", "int8", "int16", "int32", "bool")
_OWN_DOMAINS = ("", "ai.onnx")
_EXTERNAL = 1

Array = np.ndarray[Any, Any]


def read_onnx(path: PathLike) -> Graph:
    """The graph of an ONNX file; FileError if it is none, damaged, larger than it can be, or of an unknown opset."""
    return parse_onnx(_file_bytes(path), printable(os.fspath(path)), Path(path).parent)


def parse_onnx(data: bytes, file: str, folder: Path | None = None) -> Graph:
    """The graph of an ONNX file's bytes; arrays in other files are looked for in ``folder``."""
    wire = Wire(file)
    model = wire.message(memoryview(data))
    if not model.has(7) or not model.has(8):
        raise wire.error("is not an ONNX file (it has no graph and opset)")
    opset = _opset(model)
    return _Reader(wire, folder).graph(model.message(7), opset)


def _file_bytes(path: PathLike) -> bytes:
    name = printable(os.fspath(path))
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise FileError(f"{name}: is a folder, an ONNX file was needed")
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{name}: is not a regular file, an ONNX file was needed")
        if not 0 < status.st_size < MAX_BYTES:
            raise FileError(f"{name}: has {status.st_size} bytes, needed an ONNX file of 1 to {MAX_BYTES - 1}")
        return Path(path).read_bytes()
    except RefengineError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: cannot be opened ({getattr(error, 'strerror', None) or error})") from error


def _opset(model: Message) -> int:
    """The version of ONNX's own operators."""
    versions = {entry.text(1): entry.integer(2) for entry in model.messages(8)}
    found = next((versions[domain] for domain in _OWN_DOMAINS if domain in versions), None)
    if found is None or not OLDEST <= found <= NEWEST:
        has = "no opset of ONNX's own operators" if found is None else f"opset {found}"
        raise model.wire.error(f"has {has}, needed {OLDEST} to {NEWEST} (onnx.version_converter changes it)")
    return found


class _Reader:
    """Reads one graph; ``folder`` is where arrays in other files are looked for."""

    def __init__(self, wire: Wire, folder: Path | None) -> None:
        self._wire, self._folder, self._left = wire, folder, MAX_BYTES

    def graph(self, graph: Message, opset: int) -> Graph:
        if graph.has(15):
            raise self._wire.error("has sparse arrays, needed dense ones")
        constants: dict[str, Array] = {}
        for tensor in graph.messages(5):
            name = tensor.text(8)
            if name in constants:
                raise self._wire.error(f"has two arrays called {shown(name)}")
            constants[name] = self._array(tensor, f"array {shown(name)}")
        image, shape = self._image(entry for entry in graph.messages(11) if entry.text(1) not in constants)
        outputs = [entry.text(1) for entry in graph.messages(12)]
        nodes = tuple(self._node(node) for node in graph.messages(1))
        if len(nodes) > MAX_NODES:
            raise self._wire.error(f"has {len(nodes)} nodes, at most {MAX_NODES} are read")
        output = logits_of(nodes, outputs)
        if output is None:
            names = ", ".join(map(shown, outputs[:8])) or "none"
            raise self._wire.error(
                f"has the outputs {names}, needed one, the logits (onnx.utils.extract_model cuts it)"
            )
        return Graph(graph.text(2), nodes, constants, image, shape, output, opset)

    def _image(self, inputs: Iterable[Message]) -> tuple[str, tuple[int | None, ...]]:
        """Name and shape of the one input that is no array; None for a size that is left open."""
        found = list(inputs)
        if len(found) != 1:
            names = ", ".join(shown(entry.text(1)) for entry in found[:8]) or "none"
            raise self._wire.error(f"has the inputs {names}, needed one, the image")
        name, kind = found[0].text(1), found[0].message(2).message(1)
        if kind.integer(1) != FLOAT:
            found_type = TYPES.get(kind.integer(1), f"type {kind.integer(1)}")
            raise self._wire.error(f"input {shown(name)} holds {found_type}, needed float32")
        sizes = [size.integer(1, -1) for size in kind.message(2).messages(1)]
        if 0 in sizes:
            raise self._wire.error(
                f"input {shown(name)} has the shape {shown(sizes)}, needed sizes above 0, or open ones"
            )
        return name, tuple(size if size > 0 else None for size in sizes)

    def _node(self, node: Message) -> Node:
        domain, op = node.text(7), node.text(4)
        attributes: dict[str, Any] = {}
        name = node.text(3)
        for attribute in node.messages(5):
            key = attribute.text(1)
            if key in attributes:
                raise self._wire.error(f"node {shown(name)} has the attribute {shown(key)} twice")
            attributes[key] = self._attribute(attribute, f"node {shown(name)}: attribute {shown(key)}")
        full = op if domain in _OWN_DOMAINS else f"{domain}::{op}"
        return Node(full, node.texts(1), node.texts(2), attributes, name)

    def _attribute(self, attribute: Message, place: str) -> Any:
        """A number, a text, a tuple of them, or an array; the kinds that no known operator has, as their number."""
        kind = attribute.integer(20)
        values = {
            1: lambda: attribute.real(2),
            2: lambda: attribute.integer(3),
            3: lambda: attribute.text(4),
            4: lambda: self._array(attribute.message(5), place),
            6: lambda: tuple(attribute.reals(7).tolist()),
            7: lambda: tuple(attribute.integers(8)),
            8: lambda: attribute.texts(9),
        }
        return values[kind]() if kind in values else f"kind {kind}"

    # ---- arrays

    def _array(self, tensor: Message, place: str) -> Array:
        """An array, read-only; FileError unless its bytes are exactly those that its shape needs."""
        shape, kind = tensor.integers(1), tensor.integer(2)
        if kind not in TYPES:
            raise self._wire.error(f"{place} holds type {kind}, known are: {', '.join(TYPES.values())}")
        if len(shape) > MAX_RANK or any(not 0 <= size < MAX_BYTES for size in shape):
            raise self._wire.error(
                f"{place} has the shape {shown(shape)}, needed up to {MAX_RANK} sizes of 0..{MAX_BYTES - 1}"
            )
        dtype = np.dtype(TYPES[kind]).newbyteorder("<")
        values = self._values(tensor, dtype, math.prod(shape) * dtype.itemsize, place)
        if values.size != math.prod(shape):
            raise self._wire.error(f"{place} has {values.size} numbers, its shape {shown(shape)} needs another count")
        return values.reshape(shape)

    def _values(self, tensor: Message, dtype: np.dtype[Any], size: int, place: str) -> Array:
        if tensor.integer(14) == _EXTERNAL:
            return self._external(tensor, dtype, size, place)
        raw = tensor.data(9)
        if raw is not None:
            if len(raw) != size:
                raise self._wire.error(f"{place} has {len(raw)} bytes, its shape needs {size}")
            return np.frombuffer(raw, dtype)
        name = dtype.name
        if name in ("float32", "float64"):
            return tensor.reals(4) if name == "float32" else tensor.reals(10, "<f8")
        if name == "float16":
            return np.array(tensor.integers(5), np.int64).astype(np.uint16).view(np.float16)
        return np.array(tensor.integers(5 if name in _INT32_DATA else 7), np.int64).astype(dtype)

    def _external(self, tensor: Message, dtype: np.dtype[Any], size: int, place: str) -> Array:
        """An array in another file of the same folder, mapped."""
        entries = {entry.text(1): entry.text(2) for entry in tensor.messages(13)}
        location = entries.get("location", "")
        if self._folder is None or not location or location != os.path.basename(location) or "\0" in location:
            raise self._wire.error(f"{place} is in the file {shown(location)}, needed a name beside this file, no path")
        path = self._folder / location
        try:
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
            status = os.lstat(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its place is no number"
            raise self._wire.error(
                f"{place} is in the file {shown(location)}, which cannot be read ({reason})"
            ) from error
        self._left -= size
        if not stat.S_ISREG(status.st_mode):
            raise self._wire.error(f"{place} is in {shown(location)}, needed a regular file and no link")
        if length != size or offset < 0 or offset + size > status.st_size or self._left < 0:
            claim = f"{length} bytes from {offset} on of the {status.st_size} in {shown(location)}"
            raise self._wire.error(f"{place} claims {claim}, its shape needs {size}")
        if size == 0:
            return np.empty(0, dtype)
        return np.asarray(np.memmap(path, dtype, "r", offset, (size // dtype.itemsize,)))
