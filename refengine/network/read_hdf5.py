"""Reading HDF5 files: a file is hostile until it is checked.

``open_checked`` gives a ``CheckedGroup``; whatever is asked of it is checked before the file is believed, and
every refusal is a FileError of one line that names the file, the path inside it, what is there and what was needed.
An HDF5 file can point at other files, run plug-in filters, and claim exabytes in a header of 100 bytes.  Therefore:

* only hard links are followed (no soft, external or user-defined ones), and no external storage or virtual dataset;
* only the filters gzip, shuffle and fletcher32, each at most once;
* sizes are compared with caps *and* with what the file really stores, before anything is allocated; all chunks must
  have been written, so that a fill value never stands in for data;
* floats must be finite, and a number stored in another type than asked for must keep its value exactly.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import h5py
import numpy as np

from ..errors import FileError
from ..text import PathLike, printable, reason_of, shown
from .hdf5_dataset import (
    HDF5_ERRORS,
    MAX_ARRAY_BYTES,
    CheckedDataset,
    hdf5_guard,
    same_kind,
    storage_complaint,
)
from .heap_check import heaps_are_sound
from .text_lengths import AttributeTexts, dataset_text_lengths

MAX_CHILDREN = 1 << 16  # members of one group
MAX_ATTRIBUTES = 1 << 10  # of one object, where all of them are read
MAX_NUMBERS = 1 << 16  # numbers in one attribute
MAX_TEXT = 1 << 20  # bytes of one text attribute or one string of a dataset
MAX_FILE_BYTES = 1 << 33  # all arrays read from one opened file together
MAX_FILE_TEXT = 1 << 24  # bytes of all texts read from one opened file together
FREE_BYTES, RATIO = 1 << 28, 16  # arrays may have this many bytes, and so many times the file's bytes on top

_ATTRIBUTE_CLASSES = (h5py.h5t.STRING, h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM)
_NEEDED: Any = object()


@dataclass
class _Source:
    """An opened file: its name in messages, its bytes, and how many more may be read as arrays and as texts.

    ``data``: the file's bytes, mapped; ``base``: where HDF5's own begin.
    """

    name: str
    size: int
    data: Any
    base: int
    left: int
    texts_left: int


@contextmanager
def open_checked(path: PathLike, formats: Mapping[str, AbstractSet[int]] | None) -> Iterator[CheckedGroup]:
    """Open a file of one of ``formats`` (name -> versions; None: any), yield its root; FileError for anything else."""
    name = printable(os.fspath(path))
    size = _regular_file_size(path, name)
    with ExitStack() as stack:
        file = _open(path, name)
        stack.callback(_close, file)
        with hdf5_guard(name, "opened"):
            data = stack.enter_context(_mapped(path))
            base = file.id.get_create_plist().get_userblock()
        root = CheckedGroup(_Source(name, size, data, base, most_bytes(size), MAX_FILE_TEXT), file, "/")
        if formats is not None:
            _check_format(root, formats)
        yield root


def most_bytes(size: int) -> int:
    """How many bytes of arrays a file of ``size`` bytes may unpack to, so that no small file takes much memory."""
    return min(MAX_FILE_BYTES, FREE_BYTES + RATIO * size)


def _close(file: h5py.File) -> None:
    with suppress(*HDF5_ERRORS):
        file.close()


@contextmanager
def _mapped(path: PathLike) -> Iterator[mmap.mmap]:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _regular_file_size(path: PathLike, name: str) -> int:
    """Bytes of a regular file; FileError if it is missing, empty, a folder or a device."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: cannot be opened ({getattr(error, 'strerror', None) or reason_of(error)})") from error
    if stat.S_ISDIR(status.st_mode):
        remedy = f"images in a folder are converted first (refengine convert {name} IMAGES.h5)"
        raise FileError(f"{name}: is a folder, an HDF5 file was needed; {remedy}")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{name}: is not a regular file, an HDF5 file was needed")
    if status.st_size == 0:
        raise FileError(f"{name}: is empty, an HDF5 file was needed")
    return status.st_size


def _open(path: PathLike, name: str) -> h5py.File:
    """The file opened for reading; FileError if it is unreadable, truncated or not HDF5."""
    if not os.access(path, os.R_OK):
        raise FileError(f"{name}: may not be read (permission denied)")
    with hdf5_guard(name, "opened"):
        if not h5py.is_hdf5(os.fspath(path)):
            raise FileError(f"{name}: is not an HDF5 file{_foreign(path, name)}")
        if not heaps_are_sound(path):
            raise FileError(f"{name}: is damaged (a heap of texts has sizes that do not add up)")
        file = h5py.File(path, "r", locking="best-effort")
        if file.id.get_create_plist().get_sizes() != (8, 8):
            raise FileError(f"{name}: has addresses or lengths of other than 8 bytes, which no common program writes")
        return file


_FLOAT, _INT, _IMAGES = "refengine-float", "refengine-int", "refengine-images"


def _remedy(found: str, wanted: Mapping[str, AbstractSet[int]]) -> str:
    """What to do with a file of another format, where that is known."""
    if found == _FLOAT and _INT in wanted:
        return ": a float network, quantize it first (refengine quantize)"
    if found == _INT and _FLOAT in wanted:
        return ": this network is quantized already"
    if (found == _IMAGES) != (_IMAGES in wanted) and {found, *wanted} & {_FLOAT, _INT}:
        return ": are a network and images exchanged?"
    return ""


def _foreign(path: PathLike, name: str) -> str:
    """What to do with a file that is no HDF5, where that is known."""
    if os.fspath(path).lower().endswith(".onnx"):
        return f": an ONNX network, convert it first (refengine convert {name} NET.h5)"
    return ""


def _check_format(root: CheckedGroup, formats: Mapping[str, AbstractSet[int]]) -> None:
    """FileError unless the root attributes ``format`` and ``version`` are among ``formats``."""
    known = " or ".join(repr(name) for name in sorted(formats))
    found = root.text("format")
    if found not in formats:
        raise root.error(f"attribute 'format' is {shown(found)}, needed {known}{_remedy(found, formats)}")
    version = root.integer("version", 0, 1 << 31)
    if version not in formats[found]:
        readable = ", ".join(str(number) for number in sorted(formats[found]))
        raise root.error(f"attribute 'version' is {version}, this program reads {found!r} of version {readable}")


class CheckedGroup:
    """A group of an HDF5 file that gives away nothing unchecked; every method raises FileError and nothing else."""

    def __init__(self, source: _Source, node: h5py.Group, path: str) -> None:
        self._source = source
        self._node = node
        self.path = path

    @property
    def file(self) -> str:
        """The file's name, as messages print it."""
        return self._source.name

    def error(self, what: str, name: str | None = None) -> FileError:
        """A FileError for the caller to raise: file, path of this group (or of its child ``name``), ``what``."""
        return FileError(f"{self._place(name)}: {what}")

    def _place(self, name: str | None = None) -> str:
        return f"{self.file}: {self.path if name is None else self._path_of(name)}"

    def _path_of(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{shown(name)[1:-1]}"

    # -- children

    def names(self) -> tuple[str, ...]:
        """Names of the children in sorted order."""
        with hdf5_guard(self._place()):
            count = self._node.id.get_num_objs()
            if count > MAX_CHILDREN:
                raise self.error(f"has {count} members, at most {MAX_CHILDREN} are read")
            found = list(self._node)  # h5py gives names that are not UTF-8 as bytes
            names = sorted(n.decode("utf-8", "surrogateescape") if isinstance(n, bytes) else n for n in found)
        for name in names:
            if not name.isprintable():
                raise self.error(f"has a member called {shown(name)}, names must be printable UTF-8 text")
        return tuple(names)

    def has(self, name: str) -> bool:
        """Whether there is a child of that name, of whatever kind."""
        with hdf5_guard(self._place(name)):
            return self._node.id.links.exists(name.encode())

    def group(self, name: str) -> CheckedGroup:
        """The child group of that name."""
        node = self._child(name)
        if not isinstance(node, h5py.Group):
            raise self.error(f"is {_kind(node)}, a group was needed", name)
        return CheckedGroup(self._source, node, self._path_of(name))

    def is_group(self, name: str) -> bool:
        """Whether the child of that name is a group."""
        return isinstance(self._child(name), h5py.Group)

    def _child(self, name: str) -> h5py.Group | h5py.Dataset | h5py.Datatype:
        """The object behind a hard link."""
        if "/" in name or not self.has(name):  # a path could lead through links
            raise self.error(f"has no {shown(name)}")
        with hdf5_guard(self._place(name)):
            if self._node.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                raise self.error("is a soft or external link and is not followed, the object itself was needed", name)
            return self._node[name]

    # -- attributes

    def has_attribute(self, name: str) -> bool:
        """Whether there is an attribute of that name."""
        with hdf5_guard(self._place()):
            return bool(h5py.h5a.exists(self._node.id, name.encode()))

    def attribute_names(self) -> tuple[str, ...]:
        """Names of all attributes in sorted order."""
        with hdf5_guard(self._place()):
            count = h5py.h5a.get_num_attrs(self._node.id)
            if count > MAX_ATTRIBUTES:
                raise self.error(f"has {count} attributes, at most {MAX_ATTRIBUTES} are read")
            names = sorted(str(name) for name in self._node.attrs)
        for name in names:
            if not name.isprintable():
                raise self.error(f"has an attribute called {shown(name)}, names must be printable UTF-8 text")
        return tuple(names)

    def _attribute(self, name: str) -> Any:
        """An attribute as h5py gives it, once its size is known to be sane."""
        if not self.has_attribute(name):
            raise self.error(f"has no attribute {shown(name)}")
        with hdf5_guard(f"{self._place()}: attribute {shown(name)}"):
            attribute = h5py.h5a.open(self._node.id, name.encode())
            space = attribute.get_space()
            if space.get_simple_extent_type() == h5py.h5s.NULL:
                raise self.error(f"attribute {shown(name)} is empty")
            if space.get_simple_extent_npoints() > MAX_NUMBERS or attribute.get_storage_size() > MAX_TEXT:
                raise self.error(f"attribute {shown(name)} is larger than any that is needed")
            kind = attribute.get_type()
            if kind.get_class() not in _ATTRIBUTE_CLASSES:
                raise self.error(f"attribute {shown(name)} is neither text nor numbers")
            if kind.get_class() == h5py.h5t.STRING:
                self._check_text(name, kind, space.get_simple_extent_npoints())
            return self._node.attrs[name]

    def _check_text(self, name: str, kind: Any, count: int) -> None:
        """FileError, before anything is read, unless a text attribute is one text of a length that may be read."""
        if count != 1:
            raise self.error(f"attribute {shown(name)} is {count} texts, needed one")
        length: int | None = kind.get_size()
        if kind.is_variable_str():
            length = self._texts.length(name)
        if length is None:
            raise self.error(f"attribute {shown(name)} is stored in a way that does not tell its length beforehand")
        if length > MAX_TEXT:
            raise self.error(f"attribute {shown(name)} has {length} bytes, at most {MAX_TEXT} are read")
        self._source.texts_left -= length
        if self._source.texts_left < 0:
            raise self.error(f"attribute {shown(name)} makes the file's texts larger than {MAX_FILE_TEXT} bytes")

    @cached_property
    def _texts(self) -> AttributeTexts:
        return AttributeTexts(self._source.data, self._source.base, h5py.h5o.get_info(self._node.id).addr)

    def _wrong(self, name: str, value: object, needed: str) -> FileError:
        return self.error(f"attribute {shown(name)} is {shown(value)}, needed {needed}")

    def text(self, name: str, default: Any = _NEEDED) -> str:
        """A text attribute, stored as UTF-8 text or bytes of at most ``MAX_TEXT`` bytes."""
        if default is not _NEEDED and not self.has_attribute(name):
            return default
        value = _single(self._attribute(name))
        if not isinstance(value, str | bytes):
            raise self._wrong(name, value, "a text")
        return self._decoded(value, f"attribute {shown(name)}")

    def _decoded(self, value: str | bytes, what: str) -> str:
        """UTF-8 text of sane length; h5py smuggles wrong bytes into str as surrogates, which do not encode."""
        try:
            stored = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)
            text = stored.decode("utf-8")
        except UnicodeError:
            raise self.error(f"{what} is not UTF-8 text") from None
        if len(stored) > MAX_TEXT:
            raise self.error(f"{what} has {len(stored)} bytes, at most {MAX_TEXT} are read")
        return text

    def json(self, name: str) -> Any:
        """A text attribute that holds JSON, parsed."""
        text = self.text(name)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.error(f"attribute {shown(name)} is not readable as JSON ({reason_of(error)})") from None

    def json_texts(self, name: str) -> tuple[str, ...]:
        """A text attribute that holds a JSON list of texts."""
        value = self.json(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, value, "a JSON list of texts")
        return tuple(value)

    def integer(self, name: str, low: int, high: int, default: Any = _NEEDED) -> int:
        """An integer attribute in low..high, stored in any integer type (or boolean), scalar or of one element."""
        if default is not _NEEDED and not self.has_attribute(name):
            return default
        return self._numbers(name, "iub", 1, f"one integer in {low}..{high}", lambda x: low <= x <= high)[0]

    def integers(self, name: str, length: int | None, low: int, high: int) -> tuple[int, ...]:
        """An attribute of ``length`` integers (None: any number) in low..high."""
        needed = f"{'some' if length is None else length} integers in {low}..{high}"
        return self._numbers(name, "iub", length, needed, lambda x: low <= x <= high)

    def real(self, name: str, default: Any = _NEEDED) -> float:
        """A finite number attribute."""
        if default is not _NEEDED and not self.has_attribute(name):
            return default
        return float(self._numbers(name, "fiub", 1, "one finite number", math.isfinite)[0])

    def reals(self, name: str, length: int | None) -> tuple[float, ...]:
        """An attribute of ``length`` finite numbers (None: any number of them)."""
        needed = f"{'some' if length is None else length} finite numbers"
        return tuple(float(x) for x in self._numbers(name, "fiub", length, needed, math.isfinite))

    def _numbers(self, name: str, kinds: str, length: int | None, needed: str, legal: Any) -> tuple[Any, ...]:
        """An attribute's numbers as Python numbers; FileError unless kind, count and each value are as needed."""
        value = self._attribute(name)
        with hdf5_guard(f"{self._place()}: attribute {shown(name)}"):
            array = np.atleast_1d(np.asarray(value))
            right = array.dtype.kind in kinds and array.ndim == 1 and length in (None, array.size)
            numbers = array.tolist() if right else []
        if not right or not all(legal(number) for number in numbers):
            raise self._wrong(name, value.tolist() if isinstance(value, np.ndarray | np.generic) else value, needed)
        return tuple(int(x) if isinstance(x, bool) else x for x in numbers)

    # -- datasets

    def array(
        self, name: str, dtype: Any, shape: Sequence[int | None] | None = None, finite: bool = True
    ) -> np.ndarray[Any, Any]:
        """A whole dataset as a C-contiguous array of ``dtype``; None in ``shape`` stands for any length.

        Another stored type of the same kind (integer, floating point) is taken if every value survives exactly: float16
        for float32 always, float64 for float32 only where nothing would be rounded.
        """
        checked = self.dataset(name, dtype, shape, finite)
        if checked.nbytes > MAX_ARRAY_BYTES:
            raise self.error(f"claims {checked.nbytes} bytes, at most {MAX_ARRAY_BYTES} are read", name)
        if checked.nbytes > self._source.left:
            most = most_bytes(self._source.size)
            raise self.error(f"makes the arrays larger than the {most} bytes that a file of this size may have", name)
        self._source.left -= checked.nbytes
        return checked.whole()

    def dataset(
        self, name: str, dtype: Any, shape: Sequence[int | None] | None = None, finite: bool = True
    ) -> CheckedDataset:
        """A dataset to be read in slices along its first axis; type and shape rules as ``array``.

        ``dtype`` None: integers in the type in which they are stored.
        """
        node, place = self._dataset(name), self._place(name)
        with hdf5_guard(place):
            stored, found = node.dtype, tuple(int(size) for size in node.shape)
        if dtype is None:
            dtype = stored.newbyteorder("=") if stored.kind in "iu" else np.int64
        wanted = np.dtype(dtype)
        if not same_kind(stored, wanted):
            raise self.error(f"holds {stored}, needed {wanted}", name)
        if shape is not None and not _fits(found, shape):
            raise self.error(f"has shape {found}, needed {_wildcards(shape)}", name)
        return CheckedDataset(node, place, found, wanted, finite, most_bytes(self._source.size))

    def float_type(self, name: str) -> np.dtype[Any] | None:
        """The type of a dataset of floats, in native byte order; None for another one."""
        node, place = self._dataset(name), self._place(name)
        with hdf5_guard(place):
            stored: np.dtype[Any] = node.dtype
        return stored.newbyteorder("=") if stored.kind == "f" else None

    def texts(self, name: str, length: int | None = None) -> tuple[str, ...]:
        """A dataset of UTF-8 strings, read one by one because many entries may point at one large string."""
        node, place = self._dataset(name), self._place(name)
        with hdf5_guard(place):
            count = node.shape[0] if len(node.shape) == 1 else -1
            is_text = node.id.get_type().get_class() == h5py.h5t.STRING
        if not is_text or count < 0 or count > MAX_CHILDREN or length not in (None, count):
            wanted = f"at most {MAX_CHILDREN}" if length is None else str(length)
            raise self.error(f"has shape {node.shape} of {node.dtype}, needed {wanted} strings", name)
        found: list[str] = []
        with hdf5_guard(place):
            self._check_texts(node, name, count)
        for index in range(count):
            with hdf5_guard(place):
                value = node[index]
            if not isinstance(value, str | bytes):
                raise self.error(f"holds {shown(value)}, needed a string", name)
            found.append(self._decoded(value, f"{shown(name)}[{index}]"))
        return tuple(found)

    def _check_texts(self, node: h5py.Dataset, name: str, count: int) -> None:
        """FileError, before anything is read, where texts of a dataset are too long, each or together."""
        kind = node.id.get_type()
        lengths: list[int] | None = [kind.get_size()] * count
        if kind.is_variable_str():
            lengths = dataset_text_lengths(node, self._source.data, self._source.base, MAX_CHILDREN)
        if lengths is None:
            raise self.error("holds texts in a way that does not tell their lengths beforehand", name)
        if max(lengths, default=0) > MAX_TEXT:
            raise self.error(f"has a text of {max(lengths)} bytes, at most {MAX_TEXT} are read", name)
        self._source.texts_left -= sum(lengths)
        if self._source.texts_left < 0:
            raise self.error(f"makes the file's texts larger than {MAX_FILE_TEXT} bytes", name)

    def _dataset(self, name: str) -> h5py.Dataset:
        """A dataset whose storage is checked: inside this file, known filters, all written, no more than is there."""
        node = self._child(name)
        if not isinstance(node, h5py.Dataset):
            raise self.error(f"is {_kind(node)}, a dataset was needed", name)
        with hdf5_guard(self._place(name)):
            if node.shape is None:
                raise self.error("is empty, an array was needed", name)
            complaint = storage_complaint(node, self._source.size)
        if complaint:
            raise self.error(complaint, name)
        return node


def _kind(node: object) -> str:
    """What an object of a file is, for messages."""
    names = {h5py.Group: "a group", h5py.Dataset: "a dataset", h5py.Datatype: "a data type"}
    return next((name for kind, name in names.items() if isinstance(node, kind)), "an object of unknown kind")


def _single(value: Any) -> Any:
    """The element of a one-element array, anything else as it is."""
    return value.reshape(-1)[0] if isinstance(value, np.ndarray) and value.size == 1 else value


def _fits(shape: tuple[int, ...], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True))


def _wildcards(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
