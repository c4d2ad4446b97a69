"""Manifest of a vector pack: ``manifest.json``, written from and read into plain data (docs/formats.md, Vector pack).

The reader believes nothing: a manifest that lacks something, says something unknown, or contradicts itself is refused
in one line that names the place.  Names of files follow from names of tensors, so that none can lead out of the pack.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, RangeError
from ..network.read_hdf5 import MAX_CHILDREN
from ..text import PathLike, printable, shown
from .memory import Array, Memory, identifier
from .orders import Order, blocked
from .parameters import FILE as PARAMETERS
from .stream import ENDING as STREAM_ENDING
from .tensors import AXES, IMAGES, LOGITS, PARTS, Exponent, Tensor
from .text_formats import FORMATS, extension
from .words import CODE_MAPS, Packing, word_count

# 1: totals had 64 bits; what a manifest says of its bits holds for all.  3: given codes of layers, no images, no logits
FORMAT, VERSION, WITHOUT_IMAGES = "refengine-vectors", 2, 3
MANIFEST, MODEL = "manifest.json", "model.h5"
MAX_BYTES = 1 << 28
_MAX_COUNT = 1 << 40
_BYTES_AT_ONCE = 1 << 20
_MAX_AXIS = 1 << 31
_DTYPES = ("uint8", "int8", "int16", "int32", "int64")
_LAYER = re.compile(r"[0-9]{1,9}(_[^/]*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Stored:
    """One file of a pack."""

    file: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Entry:
    """A tensor, how its words are packed, and its files by format.

    order: its axes in the order of the words, as ``nchw``, or with channels in blocks, as ``nchw8c``.  stream: the file
    of tkeep and tlast (``vectors/stream.py``), if it was asked for.
    """

    tensor: Tensor
    order: str
    packing: Packing
    files: Mapping[str, Stored]
    stream: Stored | None = None

    @property
    def every_file(self) -> tuple[Stored, ...]:
        """The files of all formats, and the side file of its stream."""
        return (*self.files.values(), *([] if self.stream is None else [self.stream]))

    @property
    def block(self) -> int:
        """Elements that are packed together: one image's, or all of a constant; zeros that fill blocks are some."""
        shape = self.tensor.block_shape
        return math.prod(shape if self.blocked is None else self.blocked.stored_shape(shape))

    @property
    def block_words(self) -> int:
        """Words of a block; each block begins with a new word."""
        return word_count(self.block, self.packing)

    @property
    def blocks(self) -> int:
        """How many blocks there are: images, or one."""
        return self.tensor.shape[0] if self.tensor.has_images else 1

    @property
    def blocked(self) -> Order | None:
        """The order of images whose channels lie in blocks, None where they do not."""
        return blocked(self.order)

    def stored(self, block: Array) -> Array:
        """The integers of a block as they follow each other in the words, (elements,)."""
        if self.blocked is not None:
            return self.blocked.as_stored(block).reshape(-1)
        return block.transpose(self._permutation).reshape(-1)

    def arranged(self, elements: Array) -> Array:
        """A block from its integers as they follow each other; RangeError where what only fills blocks is not 0."""
        shape, axes = self.tensor.block_shape, self._permutation
        if self.blocked is None:
            return elements.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))
        found, filling = self.blocked.as_trace(elements, shape)
        if filling.any():
            raise RangeError(f"channels from {shape[-1]} on, which only fill blocks, are not 0")
        return found[0]

    def element(self, *index: int) -> int:
        """The number of an integer of a block, by its place in the tensor's axes."""
        shape, axes = self.tensor.block_shape, self._permutation
        if self.blocked is None:
            return int(np.ravel_multi_index([index[axis] for axis in axes], [shape[axis] for axis in axes]))
        found, _ = self.blocked.as_trace(np.arange(self.block), shape)
        return int(found[(0, *index)])

    @property
    def _permutation(self) -> tuple[int, ...]:
        """Which axis of a block lies at each place of the order."""
        if self.blocked is not None:
            return ()
        skipped = int(self.tensor.has_images)
        return tuple(self.tensor.axes.index(axis) - skipped for axis in self.order[skipped:])

    @property
    def memory(self) -> Memory:
        """What the text formats must know."""
        packing = self.packing
        numbers = packing.elements == 1 and packing.extends_sign and packing.endian == "little"
        return Memory(identifier(self.tensor.name), packing.word_bits, self.blocks * self.block_words, numbers)


@dataclass(frozen=True)
class Manifest:
    """What a pack says of itself.  layers: one record for each layer of the network, for the reader's information.

    images_sha256: None where the codes that layers read were given, and are those of no image: then there are neither
    images nor logits.
    """

    refengine: str
    contract: int
    network: str
    model_hash: str
    roundings: tuple[str, ...]
    count: int
    first_image: int
    images_sha256: str | None
    formats: tuple[str, ...]
    model: Stored
    layers: tuple[Mapping[str, Any], ...]
    entries: tuple[Entry, ...]
    parameters: tuple[Stored, ...] = ()

    @property
    def every_file(self) -> tuple[Stored, ...]:
        """The network, the headers of the layers' parameters, and the files of every tensor."""
        return (self.model, *self.parameters, *(file for entry in self.entries for file in entry.every_file))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in parts."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(_BYTES_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------------------- writing


def to_json(manifest: Manifest) -> str:
    """The text of ``manifest.json``: a line for each tensor and each layer."""
    head = {
        "format": FORMAT,
        "version": WITHOUT_IMAGES if manifest.images_sha256 is None else VERSION,
        "refengine": manifest.refengine,
        "contract": manifest.contract,
        "network": manifest.network,
        "model_hash": manifest.model_hash,
        "model": vars(manifest.model),
        "roundings": manifest.roundings,
        "count": manifest.count,
        "first_image": manifest.first_image,
        "images_sha256": manifest.images_sha256,
        "formats": manifest.formats,
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    if manifest.parameters:
        lines.append(_listed("parameters", [vars(stored) for stored in manifest.parameters]))
    lines += [_listed("layers", manifest.layers), _listed("tensors", [_record(entry) for entry in manifest.entries])]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _listed(key: str, records: Sequence[Mapping[str, Any]]) -> str:
    return f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(record) for record in records) + "\n]"


def _record(entry: Entry) -> dict[str, Any]:
    tensor, packing = entry.tensor, entry.packing
    code_map = None
    if packing.code_map is not None:
        codes = {str(value): f"{code:0{packing.bits}b}" for value, code in CODE_MAPS[packing.code_map].items()}
        code_map = {"name": packing.code_map, "codes": codes}
    return {
        "name": tensor.name,
        "layer": tensor.layer,
        "part": tensor.part,
        "shape": tensor.shape,
        "axes": tensor.axes,
        "dtype": tensor.dtype,
        "bits": tensor.bits,
        "signed": tensor.signed,
        "exponent": tensor.exponent,
        "code_map": code_map,
        "packing": {
            "order": entry.order,
            "word_bits": packing.word_bits,
            "elements_per_word": packing.elements or None,
            "lane_bits": packing.lane_bits,
            "first": packing.first,
            "endian": packing.endian,
            "words": entry.blocks * entry.block_words,
            "words_per_image": entry.block_words if tensor.has_images else None,
        },
        "files": {name: vars(stored) for name, stored in entry.files.items()},
        **({} if entry.stream is None else {"stream": vars(entry.stream)}),
    }


# ------------------------------------------------------------------------------------------------------------- reading


def read_manifest(folder: PathLike) -> Manifest:
    """The manifest of a pack; FileError if the folder is none or the manifest is damaged."""
    path = Path(folder) / MANIFEST
    name = printable(os.fspath(path))
    if not Path(folder).is_dir():
        raise FileError(f"{printable(os.fspath(folder))}: is not a folder, a vector pack was needed")
    try:
        if not path.is_file():
            raise FileError(f"{name}: does not exist, the folder is not a vector pack")
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"{name}: has {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
        record = json.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise FileError(f"{name}: cannot be read ({error.strerror})") from error
    except FileError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name}: is not JSON ({printable(error)[:200]})") from None
    return _manifest(_Fields(record, name))


class _Fields:
    """A JSON object whose members are checked as they are asked for."""

    def __init__(self, record: Any, place: str) -> None:
        self._place = place
        if not isinstance(record, dict):
            raise self.error(f"is {shown(record)}, needed an object")
        self._record = record

    def error(self, message: str) -> FileError:
        """A refusal of this object."""
        return FileError(f"{self._place}: {message}")

    def get(self, key: str) -> Any:
        """A member of any kind."""
        if key not in self._record:
            raise self.error(f"has no {key!r}")
        return self._record[key]

    def has(self, key: str) -> bool:
        """Whether a member is there."""
        return key in self._record

    def text(self, key: str, known: Collection[str] | None = None) -> str:
        """A text, one of ``known`` if given."""
        value = self.get(key)
        if not isinstance(value, str) or (known is not None and value not in known):
            wanted = "a text" if known is None else f"one of {', '.join(known)}"
            raise self.error(f"{key!r} is {shown(value)}, needed {wanted}")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        """A text of a certain form."""
        value = self.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value) or not value.isprintable():
            raise self.error(f"{key!r} is {shown(value)}, needed {what}")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer of low..high."""
        value = self.get(key)
        if type(value) is not int or not low <= value <= high:
            raise self.error(f"{key!r} is {shown(value)}, needed an integer in {low}..{high}")
        return value

    def boolean(self, key: str) -> bool:
        """true or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.error(f"{key!r} is {shown(value)}, needed true or false")
        return value

    def items(self, key: str) -> list[Any]:
        """A list that is not endless."""
        value = self.get(key)
        if not isinstance(value, list) or len(value) > MAX_CHILDREN:
            raise self.error(f"{key!r} is {shown(value)}, needed a list of at most {MAX_CHILDREN}")
        return value

    def texts(self, key: str, known: Collection[str] | None = None) -> tuple[str, ...]:
        """A list of texts, each once."""
        values = self.items(key)
        if not all(isinstance(value, str) and (known is None or value in known) for value in values):
            wanted = "texts" if known is None else f"some of {', '.join(known)}"
            raise self.error(f"{key!r} is {shown(values)}, needed {wanted}")
        if len({*values}) < len(values):
            raise self.error(f"{key!r} is {shown(values)}, needed each only once")
        return tuple(values)

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of integers of low..high."""
        values = self.items(key)
        if not all(type(value) is int and low <= value <= high for value in values):
            raise self.error(f"{key!r} is {shown(values)}, needed integers in {low}..{high}")
        return tuple(values)

    def fields(self, key: str) -> _Fields:
        """An object."""
        return _Fields(self.get(key), f"{self._place}: {key}")


def _manifest(fields: _Fields) -> Manifest:
    fields.text("format", (FORMAT,))
    of_images = fields.integer("version", 1, WITHOUT_IMAGES) != WITHOUT_IMAGES
    formats = fields.texts("formats", FORMATS)
    if not formats:
        raise fields.error("'formats' is empty, needed at least one")
    count = fields.integer("count", 1, _MAX_COUNT)
    place = fields._place
    layers = [_Fields(record, f"{place}: layer {i}") for i, record in enumerate(fields.items("layers"))]
    names = [layer.matching("name", _LAYER, "a name such as '004_conv1'") for layer in layers]
    entries = tuple(
        _entry(_Fields(record, f"{place}: tensor {i}"), formats, names, count)
        for i, record in enumerate(fields.items("tensors"))
    )
    found = [entry.tensor.name for entry in entries]
    if len({*found}) < len(found) or len({*names}) < len(names):
        raise fields.error("names a tensor or a layer twice")
    for needed in (IMAGES, LOGITS):
        if (needed in found) != of_images:
            raise fields.error(f"has {'no' if of_images else 'a'} tensor {needed!r}")
    if not of_images and fields.get("images_sha256") is not None:
        raise fields.error("'images_sha256' is given, and there are no images")
    return Manifest(
        refengine=fields.text("refengine"),
        contract=fields.integer("contract", 0, _MAX_COUNT),
        network=fields.text("network"),
        model_hash=fields.matching("model_hash", _SHA256, "a SHA-256"),
        roundings=fields.texts("roundings"),
        count=count,
        first_image=fields.integer("first_image", 0, _MAX_COUNT),
        images_sha256=fields.matching("images_sha256", _SHA256, "a SHA-256") if of_images else None,
        formats=formats,
        model=_stored(fields.fields("model"), MODEL),
        layers=tuple(fields.items("layers")),
        entries=entries,
        parameters=tuple(_header(record, fields, names) for record in _headers(fields)),
    )


def _headers(fields: _Fields) -> list[Any]:
    return fields.items("parameters") if fields.has("parameters") else []


def _header(record: Any, fields: _Fields, layers: Collection[str]) -> Stored:
    """A header of parameters, which lies beside the tensors of a layer."""
    own = _Fields(record, f"{fields._place}: parameters")
    return _stored(own, own.text("file", [f"{layer}/{PARAMETERS}" for layer in layers]))


def _entry(fields: _Fields, formats: Sequence[str], layers: Collection[str], count: int) -> Entry:
    tensor = _tensor(fields, layers, count)
    packing, order = _packing(fields, tensor)
    files = fields.fields("files")
    stored = {name: _stored(files.fields(name), f"{tensor.name}{extension(name)}") for name in formats}
    stream = None
    if fields.has("stream"):
        stream = _stored(fields.fields("stream"), f"{tensor.name}{STREAM_ENDING}")
    entry = Entry(tensor, order, packing, stored, stream)
    told = fields.fields("packing")
    wanted = {"words": entry.blocks * entry.block_words, "lane_bits": packing.lane_bits}
    wanted |= {"words_per_image": entry.block_words} if tensor.has_images else {}
    for key, value in wanted.items():
        if told.get(key) != value:
            raise told.error(f"{key!r} is {shown(told.get(key))}, needed {value} by shape and packing")
    return entry


def _tensor(fields: _Fields, layers: Collection[str], count: int) -> Tensor:
    layer = None if fields.get("layer") is None else fields.text("layer", layers)
    part = fields.text("part", (IMAGES, LOGITS) if layer is None else PARTS)
    axes = fields.text("axes", AXES)
    shape = fields.integers("shape", 1, _MAX_AXIS)
    if len(shape) != len(axes) or math.prod(shape) > _MAX_COUNT:
        raise fields.error(f"'shape' is {list(shape)}, needed the axes {axes}, at most {_MAX_COUNT} elements")
    if axes.startswith("n") and shape[0] != count:
        raise fields.error(f"'shape' is {list(shape)}, needed {count} images")
    tensor = Tensor(
        layer,
        part,
        shape,
        axes,
        fields.text("dtype", _DTYPES),
        fields.integer("bits", 1, 64),
        fields.boolean("signed"),
        _exponent(fields),
        fields.get("code_map") is not None,
    )
    if fields.text("name") != tensor.name:
        raise fields.error(f"'name' is {shown(fields.get('name'))}, needed {shown(tensor.name)}")
    if tensor.bits > 8 * np.dtype(tensor.dtype).itemsize:
        raise fields.error(f"'bits' is {tensor.bits}, more than {tensor.dtype} has")
    return tensor


def _exponent(fields: _Fields) -> Exponent:
    value = fields.get("exponent")
    if value is None or type(value) is int:
        return value
    return fields.integers("exponent", -_MAX_COUNT, _MAX_COUNT)


def _is_order(order: str, tensor: Tensor) -> bool:
    found = blocked(order)
    if found is not None:
        filled = math.prod(found.stored_shape(tensor.block_shape)) if tensor.axes == "nhwc" else _MAX_COUNT + 1
        return found.images and order == found.name.lower() and filled * tensor.shape[0] <= _MAX_COUNT
    return sorted(order) == sorted(tensor.axes) and (not tensor.has_images or order[0] == "n")


def _packing(fields: _Fields, tensor: Tensor) -> tuple[Packing, str]:
    told = fields.fields("packing")
    order = told.text("order")
    if not _is_order(order, tensor):
        raise told.error(f"'order' is {shown(order)}, needed the axes {tensor.axes} in some order, images first")
    code_map = fields.fields("code_map").text("name", CODE_MAPS) if tensor.ternary else None
    elements = 0 if told.get("elements_per_word") is None else told.integer("elements_per_word", 1, 1 << 16)
    try:
        packing = Packing(
            tensor.bits,
            tensor.signed,
            told.integer("word_bits", 1, 1 << 16),
            elements,
            told.text("first"),
            told.text("endian"),
            code_map,
        )
    except RangeError as error:
        raise told.error(str(error)) from None
    return packing, order


def _stored(fields: _Fields, name: str) -> Stored:
    if fields.text("file") != name:
        raise fields.error(f"'file' is {shown(fields.get('file'))}, needed {shown(name)}")
    return Stored(name, fields.integer("size", 1, 1 << 50), fields.matching("sha256", _SHA256, "a SHA-256"))
