"""Dumps: the integers of a run, in any format, read lazily through a common interface.

A dump is an HDF5 trace, a vector pack, or arrays with names: a folder of .npy files, one .npz, or any HDF5 file.
Images are the first axis of every array.  A name (in .npz and HDF5 without ``.npy``) says what an array is:

    LAYER.STAGE.npy, LAYER/STAGE.npy   one stage of one layer; stages are those of a trace
    LAYER.npy                          the layer's result: its codes, or the accumulators of a layer that gives logits
    images.npy                         uint8 (N, H, W, C): what went in, if it is there

A DUT may write files of numbers in place of .npy (``number_files``): they are ``NumberFile`` here, which ``dut`` gives
the shape that the golden has.
Nothing is believed unchecked and nothing is read before it is asked for: arrays are read in blocks of images.  A dump
that is none is a FileError of one line; a single array that cannot be used is ``Damaged``, and the others are there.

Nothing that a dump holds is passed over in silence: what no reader takes is in ``passed_over``, by name, unless a
pattern of ``ignore`` means it; then it is as if it were not there, and in ``ignored``.  An array that is there in
several forms is ``Forms``: the first is judged, and the others must hold the same integers.
"""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import FileError
from ...network.read_hdf5 import DEFLATE_RATIO, MAX_CHILDREN, CheckedDataset, CheckedGroup, open_checked
from ...ops import OPS
from ...runs.trace import STAGES, open_trace
from ...text import PathLike, printable, shown
from ...vectors.manifest import MANIFEST
from ...vectors.reader import Address, Vectors, open_vectors
from ...vectors.tensors import LOGITS
from .expected import Expected, of_array, of_entry
from .fit import Fitted, marks_of
from .layer_names import covered, some
from .npy_arrays import Reopened, guarded, npy_array
from .number_files import NumberFile, fitted_pack_file, is_number_file
from .reading import RESULT, Reading
from .waves import is_waves

IMAGES = "images"
NO_READER = "not read: no array is called so"
CONSTANT_CHANGED = "changed since it was written, and nothing that a layer gives"
_NPY, _NPY_MAGIC, _ZIP = ".npy", b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
_END_OF_ARCHIVE = (1 << 16) + 22  # bytes in which an archive's last record lies, its comment included
_MORE_MEMBERS = 0xFFFF  # the number stands elsewhere
_OPEN_DATASETS = 8
_MOST_GROUPS = 3  # layers/LAYER/STAGE
TRACE, FOLDER, ARCHIVE, HDF5, VECTORS, MEMORY = "trace", "folder", "npz", "hdf5", "vectors", "memory"
WAVES = "waves"

Array = np.ndarray[Any, Any]


class Values(Protocol):
    """One stage of one layer: (N, ...) integers, read in blocks of images."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """An integer type in native byte order."""
        ...

    @property
    def chunk_rows(self) -> int:
        """Images that are stored together, so that reading fewer at a time costs more."""
        ...

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        ...


@dataclass(frozen=True, eq=False)
class Dump:
    """The integers of a run: ``arrays[layer][stage]``, layers in order of execution as far as that is known.

    file: the name that messages print.  kind: trace, folder, npz, hdf5, vectors, waves or memory.  count: images.
    first_image, model_hash, images_sha256, images: None where the dump does not say.  model: the file of the network
    that travels with the dump.  files: what the integers of (layer, stage) are read from, where each has a file of its
    own.  logits: what the last layer gives, where the dump holds that apart.  notes: what a reader should know.
    expected: of a vector pack, what its manifest says of a stage.  asked: the golden's layer that one file alone is of.
    passed_over: what is there and was not read, by name, and why.  ignored: names of what ``ignore`` left out.  inputs:
    layers of a vector pack that are there because the others read their codes; given: those whose codes are of no
    image, and do not follow from each other.
    """

    file: str
    kind: str
    arrays: Mapping[str, Mapping[str, Values]]
    count: int
    first_image: int | None = None
    model_hash: str | None = None
    images_sha256: str | None = None
    images: Values | None = None
    model: Path | None = None
    ordered: bool = True
    path: Path | None = None
    files: Mapping[tuple[str, str], Path] | None = None
    address: Callable[..., Address] | None = None
    notes: tuple[str, ...] = ()
    logits: Values | None = None
    passed_over: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    inputs: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    expected: Callable[[str, str], Expected] | None = None
    asked: tuple[str, ...] = ()

    def expects(self, layer: str, stage: str) -> Expected:
        """What is to be known of an array before another dump's is read; FileError if the dump does not hold it."""
        values = self.values(layer, stage)
        return of_array(values.shape, values.dtype) if self.expected is None else self.expected(layer, stage)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in order of execution where ``ordered``, otherwise sorted."""
        return tuple(self.arrays)

    def stages(self, layer: str) -> tuple[str, ...]:
        """The stages of a layer, in the order in which hardware computes them; FileError for an unknown layer."""
        if layer not in self.arrays:
            raise FileError(f"{self.file}: has no layer {shown(layer)}")
        return tuple(self.arrays[layer])

    def values(self, layer: str, stage: str) -> Values:
        """One stage of one layer, nothing read yet; FileError if the dump does not hold it."""
        if stage not in self.stages(layer):
            raise FileError(f"{self.file}: layer {shown(layer)} has no stage {shown(stage)}")
        return self.arrays[layer][stage]

    def shape(self, layer: str, stage: str) -> tuple[int, ...]:
        """(N, ...)."""
        return self.values(layer, stage).shape

    def dtype(self, layer: str, stage: str) -> np.dtype[Any]:
        """An integer type."""
        return self.values(layer, stage).dtype

    def read(self, layer: str, stage: str, start: int, stop: int) -> Array:
        """Images start..stop-1; FileError where they do not exist or are damaged."""
        return self.values(layer, stage).read(start, stop)

    def address_of(self, layer: str, stage: str, n: int, *index: int) -> Address | None:
        """File, word and bit of one integer in a vector pack; None in other dumps."""
        return None if self.address is None else self.address(layer, stage, n, *index)

    def where(self, layer: str, stage: str, n: int, *index: int) -> str | None:
        """Where one integer stands in a file of numbers, or when it came; None in other dumps."""
        held = self.arrays.get(layer, {})
        values = held.get(stage, held.get(RESULT))
        values = values.judged if isinstance(values, Forms) else values
        return f"{values.source.place}, {values.where(n, *index)}" if isinstance(values, Fitted) else None


@contextmanager
def open_dump(
    path: PathLike, ignore: Sequence[str] = (), as_written: bool = True, name: str | None = None
) -> Iterator[Dump]:
    """Open a dump of any kind for the length of a ``with`` block; FileError if it is none.

    ignore: names or shell patterns of files, members and layers that are taken as if they were not there.  as_written:
    whether a vector pack of which a file was changed is refused, as a golden must be; a DUT's is read as it is, and
    it may hold files of numbers and floats.  name: what the one array of a file is, LAYER.STAGE.
    """
    place = Path(path)
    chosen = _Chosen(printable(os.fspath(path)), tuple(ignore), not as_written)
    with ExitStack() as stack:
        if place.is_dir():
            pack = (place / MANIFEST).exists()
            if not pack and not chosen.of_dut:
                _refuse_packs(place, chosen.name)
            yield _vectors(place, chosen, stack, as_written) if pack else _folder(place, chosen, stack)
        elif begins_with(place, *_ZIP):
            yield _archive(place, chosen, stack)
        elif name is not None:
            yield _by_name(
                place, chosen, FOLDER, {name: _checked(partial(_file, place, chosen.name, chosen, stack))}, {}
            )
        elif not chosen.of_dut and _is_written_by_a_dut(place):
            raise FileError(f"{chosen.name}: is a file that a DUT writes, and no golden{_EXCHANGED}")
        else:
            yield _hdf5(place, chosen, stack)


def _refuse_packs(folder: Path, name: str) -> None:
    """FileError for a golden that is a folder of vector packs, as ``vectors --directed`` writes."""
    found = sorted(path.parent for path in (*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}")))
    if found:
        packs = some([os.fspath(path) for path in found], 3)
        raise FileError(f"{name}: is a folder of vector packs, each is compared by itself: {packs}")


_EXCHANGED = " (compare GOLDEN DUT: are the two exchanged?)"


def _is_written_by_a_dut(path: Path) -> bool:
    """Whether a golden's path is that of numbers without a shape, or of waves."""
    name = is_number_file(path.name) or is_waves(path)
    return path.is_file() and name and not begins_with(path, b"\x89HDF")


class _Chosen:
    """What is read of a dump called ``name``, what a pattern left out, and what was passed over.

    of_dut: whether it is a DUT's, which may hold files of numbers and floats.
    """

    def __init__(self, name: str, ignore: tuple[str, ...], of_dut: bool) -> None:
        self.name = name
        self.of_dut = of_dut
        self._ignore = ignore
        self._ignored: dict[str, None] = {}
        self._passed_over: dict[str, str] = {}

    def takes(self, member: str, key: str | None = None) -> bool:
        """Whether a file, member or array is to be read, by its name and by what that says, ``key``."""
        names = [member, member.rpartition("/")[2]]
        if key is not None:
            layer, stage = layer_and_stage(key)
            names += [key, layer, f"{layer}.{stage}", f"{layer}/{stage}"]
        if not covered(self._ignore, *names):
            return True
        self._ignored[member] = None
        return False

    def pass_over(self, member: str, why: str) -> None:
        """Name what is there and cannot be read, unless a pattern leaves it out."""
        if self.takes(member, member.rpartition(".")[0] or None):
            self._passed_over[member] = why

    @property
    def known(self) -> dict[str, Any]:
        """The fields of a Dump."""
        return {"passed_over": self._passed_over, "ignored": tuple(self._ignored)}


def _without_ending(member: str, number_files: bool = False) -> str:
    """The name without its ending, upper case or lower: .npy, or that of a file of numbers.

    >>> _without_ending("conv.code.NPY"), _without_ending("conv.code"), _without_ending("conv.code.memh", True)
    ('conv.code', 'conv.code', 'conv.code')
    """
    if member.lower().endswith(_NPY):
        return member[: -len(_NPY)]
    return member[: -len(Path(member).suffix)] if number_files and is_number_file(member) else member


def in_memory(arrays: Mapping[str, Mapping[str, Array]], **known: Any) -> Dump:
    """A dump of arrays that are there already: layer -> stage -> integers (N, ...)."""
    held = {
        layer: {stage: Held(array) for stage, array in by_order(stages).items()} for layer, stages in arrays.items()
    }
    count = max((values.shape[0] for stages in held.values() for values in stages.values()), default=0)
    return Dump(**{"file": "memory", "kind": MEMORY, "arrays": held, "count": count, **known})


@dataclass(frozen=True, eq=False)
class Held:
    """Values that are in memory."""

    array: Array
    chunk_rows: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy has it."""
        return self.array.dtype

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.array[start:stop]


@dataclass(frozen=True, eq=False)
class Damaged:
    """An array that cannot be used: ``why`` names its file, and reading it raises that FileError."""

    why: str
    shape: tuple[int, ...] = (0,)
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    chunk_rows: int = 1

    def read(self, start: int, stop: int) -> Array:
        """FileError."""
        raise FileError(self.why)


@dataclass(frozen=True, eq=False)
class Forms:
    """One array that a dump holds in several forms: ``judged`` is read, each of ``others`` must hold the same integers.

    place, and the first of each of the others: what messages call a form.
    """

    judged: Values
    place: str
    others: tuple[tuple[str, Values], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the form that is judged."""
        return self.judged.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the form that is judged."""
        return self.judged.dtype

    @property
    def chunk_rows(self) -> int:
        """As much as any form stores together."""
        return max([self.judged.chunk_rows, *(form.chunk_rows for _, form in self.others)])

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1 of the form that is judged."""
        return self.judged.read(start, stop)


def one_or_more(forms: Sequence[tuple[str, Values]]) -> Values:
    """One form of an array as it is, several as ``Forms``; one that is damaged stands for all of them."""
    damaged = next((values for _, values in forms if isinstance(values, Damaged)), None)
    if len(forms) == 1 or damaged is not None:
        return damaged or forms[0][1]
    return Forms(forms[0][1], forms[0][0], tuple(forms[1:]))


def other_forms(values: Values) -> tuple[tuple[str, Values], ...]:
    """Further forms of an array, each with its place; what wraps ``Forms`` has ``others`` too."""
    found: tuple[tuple[str, Values], ...] = getattr(values, "others", ())
    return found


def contradiction(values: Values, start: int, stop: int, block: Array) -> str | None:
    """Which other form of an array holds other integers than ``block``; FileError where one cannot be read."""
    for place, form in other_forms(values):
        if marks_of(form, start, stop) is not None or not np.array_equal(form.read(start, stop), block):
            return f"{place} is another form of what was judged, and holds other integers"
    return None


def _checked(opened: Callable[[], Values]) -> Values:
    """What ``opened`` gives, or what is wrong with it."""
    try:
        return opened()
    except FileError as error:
        return Damaged(str(error))


def by_order(stages: Mapping[str, Any]) -> dict[str, Any]:
    """The same stages in the order in which hardware computes them, the nameless result last.

    >>> list(by_order({"code": 0, "result": 1, "accumulator": 2}))
    ['accumulator', 'code', 'result']
    """
    return {stage: stages[stage] for stage in (*STAGES, RESULT) if stage in stages}


# ---------------------------------------------------------------------------------------------------- traces and packs


def _hdf5(path: Path, chosen: _Chosen, stack: ExitStack) -> Dump:
    """A trace, or arrays with names where the file does not say what it is."""
    root = stack.enter_context(open_checked(path, None))
    if not root.has_attribute("format"):
        return _plain_hdf5(path, chosen, root)
    trace = stack.enter_context(open_trace(path))
    shelf = _Shelf(trace.stage)
    arrays = {
        layer: {
            stage: shelf.values(layer, stage)
            for stage in trace.layer(layer).stages
            if chosen.takes(f"layers/{layer}/{stage}", f"{layer}/{stage}")
        }
        for layer in trace.layers
    }
    for member in root.names():
        if member not in ("layers", IMAGES, LOGITS):
            chosen.pass_over(member, NO_READER)
    images, logits = (getattr(trace, one) if chosen.takes(one) else None for one in (IMAGES, LOGITS))
    known = (trace.count, trace.first_image, trace.model_hash, trace.images_sha256, images)
    held = {layer: stages for layer, stages in arrays.items() if stages}
    return Dump(chosen.name, TRACE, held, *known, path=path, logits=logits, **chosen.known)


class _Shelf:
    """The datasets of a file, few of them open at a time, because HDF5 keeps some megabytes for each that is."""

    def __init__(self, find: Callable[..., CheckedDataset]) -> None:
        self._find = find
        self._open: OrderedDict[tuple[Any, ...], CheckedDataset] = OrderedDict()

    def values(self, *place: Any) -> Values:
        """One array, its header checked and nothing kept open."""

        def opened() -> Values:
            dataset = self._find(*place)
            return _OnShelf(self, place, dataset.shape, dataset.dtype, dataset.chunk_rows)

        return _checked(opened)

    def dataset(self, place: tuple[Any, ...]) -> CheckedDataset:
        """An open dataset; those that were not used for longest are closed."""
        if place not in self._open:
            self._open[place] = self._find(*place)
        self._open.move_to_end(place)
        while len(self._open) > _OPEN_DATASETS:
            self._open.popitem(last=False)
        return self._open[place]


@dataclass(frozen=True, eq=False)
class _OnShelf:
    """One array of an HDF5 file."""

    shelf: _Shelf
    place: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.shelf.dataset(self.place).read(start, stop)


def _vectors(path: Path, chosen: _Chosen, stack: ExitStack, as_written: bool) -> Dump:
    """A pack as it was written, or what a DUT made of one."""
    pack = stack.enter_context(open_vectors(path, as_written))
    if as_written:
        pack.verify()
    changed = () if as_written else pack.changed()
    arrays: dict[str, dict[str, Values]] = {}
    said: list[str] = []
    for layer in pack.layers:
        found = {stage: _forms(pack, f"{layer}/{stage}", changed, chosen, said) for stage in pack.stages(layer)}
        held = {stage: values for stage, values in found.items() if values is not None}
        if held:
            arrays[layer] = held
    images, logits = (
        _forms(pack, tensor, changed, chosen, said) if pack.holds(tensor) else None for tensor in (IMAGES, LOGITS)
    )
    inputs = frozenset(_inputs(pack))
    own = {MANIFEST, *(stored.file for stored in pack.files)}
    for file in _files(path, chosen.name):
        if file not in own:
            chosen.pass_over(file, "not a file of the pack")
    judged = {f"{layer}/{stage}" for layer in pack.layers for stage in pack.stages(layer)} | {IMAGES, LOGITS}
    for file in changed:
        if file.rpartition(".")[0] not in judged:
            chosen.pass_over(file, CONSTANT_CHANGED)
    read = [file for file in changed if file.rpartition(".")[0] in judged and file not in chosen.known["ignored"]]
    notes = (f"{chosen.name}: {some(read)}: changed since it was written, judged as it is",) if read else ()
    return Dump(
        chosen.name,
        VECTORS,
        arrays,
        pack.count,
        pack.first_image,
        pack.model_hash,
        pack.images_sha256,
        images,
        pack.model if pack.is_there(pack.model.name) else None,
        path=path,
        address=pack.address_of,
        notes=(*notes, *said),
        logits=logits,
        inputs=inputs,
        given=frozenset() if pack.holds(IMAGES) else inputs,
        expected=lambda layer, stage: of_entry(pack.entry(f"{layer}/{stage}")),
        **chosen.known,
    )


def _inputs(pack: Vectors) -> Iterator[str]:
    """Layers that a pack holds as inputs of others alone: without their sums, or without what they read."""
    there = pack.layers
    if not pack.holds(IMAGES):
        yield from there[:-1]  # the codes of all but the last one were given
        return
    for layer in pack.manifest.layers:
        name, op, inputs, residual = (layer.get(key) for key in ("name", "op", "inputs", "residual"))
        if name not in there:
            continue
        if op not in (*OPS,) or not isinstance(inputs, list):
            raise FileError(
                f"{pack.file}/{MANIFEST}: layer {shown(name)}: needed 'op' and 'inputs' of a known operator"
            )
        sums = OPS[op].ACCUMULATES and "accumulator" not in pack.stages(name)
        if sums or not all(read in there for read in (*inputs, residual) if read is not None):
            yield name


_RADIX = {"readmemh": 16, "readmemb": 2, "hex": 16, "dat": 10}
_WRITTEN_BY_SIMULATORS = (*_RADIX, "coe", "mif")


def _forms(pack: Vectors, tensor: str, changed: Sequence[str], chosen: _Chosen, said: list[str]) -> Values | None:
    """A tensor of a pack in every format whose file is there, those first that were changed; None where none is."""

    def opened(fmt: str) -> Values:
        file = files[fmt]
        if file not in changed or fmt not in _WRITTEN_BY_SIMULATORS:
            return pack.tensor(tensor, fmt)
        place = f"{chosen.name}/{printable(file)}"
        found, notes = fitted_pack_file(pack.path / file, place, pack.entry(tensor), Reading(radix=_RADIX.get(fmt)))
        said.extend(notes)
        return found

    files = {fmt: stored.file for fmt, stored in pack.entry(tensor).files.items() if pack.is_there(stored.file)}
    taken = (fmt for fmt in files if chosen.takes(files[fmt], tensor))
    formats = sorted(taken, key=lambda fmt: files[fmt] not in changed)
    forms = [(f"{chosen.name}/{printable(files[fmt])}", _checked(partial(opened, fmt))) for fmt in formats]
    return one_or_more(forms) if forms else None


def _files(path: Path, name: str) -> Iterator[str]:
    """Every file below a folder, by its path in it; links to folders are not followed, and named as files are."""

    def refuse(error: OSError) -> None:
        raise FileError(f"{name}: cannot be read ({error.strerror})") from error

    count = 0
    for folder, inner, files in os.walk(path, onerror=refuse):
        links = [one for one in inner if os.path.islink(os.path.join(folder, one))]
        count += len(files) + len(links)
        if count > MAX_CHILDREN:
            raise FileError(f"{name}: has more than {MAX_CHILDREN} files")
        for file in sorted([*files, *links]):
            yield (Path(folder) / file).relative_to(path).as_posix()


# --------------------------------------------------------------------------------------------------- arrays with names


def _plain_hdf5(path: Path, chosen: _Chosen, root: CheckedGroup) -> Dump:
    """Datasets called LAYER, LAYER.STAGE or LAYER/STAGE, in a group ``layers`` or not."""

    def find(group: CheckedGroup, member: str) -> CheckedDataset:
        dataset = group.dataset(member, group.float_type(member) if chosen.of_dut else None)
        if not dataset.shape or 0 in dataset.shape:
            raise group.error(f"has shape {dataset.shape}, needed (images, ...), none of them 0", member)
        return dataset

    def members(group: CheckedGroup, prefix: str, depth: int) -> Iterator[tuple[str, Values]]:
        for member in group.names():
            if depth > 1 and group.is_group(member):
                yield from members(group.group(member), f"{prefix}{member}/", depth - 1)
            else:
                yield f"{prefix}{member}", shelf.values(group, member)

    shelf = _Shelf(find)
    found: dict[str, Values] = {}
    for member, values in members(root, "", _MOST_GROUPS):
        key = member.removeprefix("layers/")
        if key in found:
            raise root.error(f"is there twice, as {shown(member)} too", key)
        if chosen.takes(member, key):
            found[key] = values
    return _by_name(path, chosen, HDF5, found, {})


def _folder(path: Path, chosen: _Chosen, stack: ExitStack) -> Dump:
    name = chosen.name
    found: dict[str, dict[str, tuple[str, Values]]] = {}
    usable: dict[str, Path] = {}
    for member in _files(path, name):
        key, place = _without_ending(member, chosen.of_dut), f"{name}/{printable(member)}"
        if key == member or member.count("/") > 1:
            chosen.pass_over(member, NO_READER)
        elif chosen.takes(member, key):
            ending = member[len(key) :].lower()
            if ending in found.setdefault(key, {}):
                raise FileError(f"{place}: is there twice, in upper and lower case")
            values = _checked(partial(_file, path / member, place, chosen, stack))
            found[key][ending] = place, values
            if not isinstance(values, Damaged):
                usable[key] = path / member
    return _by_name(path, chosen, FOLDER, {key: one_or_more([*forms.values()]) for key, forms in found.items()}, usable)


def _file(file: Path, place: str, chosen: _Chosen, stack: ExitStack) -> Values:
    """A file that is one array: .npy by its ending or its first bytes, of a DUT numbers in any other form."""
    with guarded(place):
        size = file.stat().st_size
        if not file.is_file():
            raise FileError(f"{place}: is not a regular file")
    if file.suffix.lower() == _NPY or begins_with(file, _NPY_MAGIC) or not chosen.of_dut:
        return npy_array(stack.enter_context(Reopened(file)), place, size, chosen.of_dut)
    return NumberFile(file, place)


def begins_with(path: Path, *magic: bytes) -> bool:
    """Whether a file begins with some bytes; False where it cannot be read, for its reader to say why."""
    try:
        with open(path, "rb") as file:
            return file.read(max(map(len, magic))).startswith(magic)
    except OSError:
        return False


def _members_by_its_end(path: Path) -> int:
    """How many members an archive says that it has: zipfile goes by sizes alone, and a damaged one hides some."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _END_OF_ARCHIVE))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    return int.from_bytes(tail[place + 10 : place + 12], "little")


def _archive(path: Path, chosen: _Chosen, stack: ExitStack) -> Dump:
    name = chosen.name
    with guarded(name):
        archive = stack.enter_context(zipfile.ZipFile(path))
        members = archive.infolist()
        counted = _members_by_its_end(path)
    if len(members) > MAX_CHILDREN:
        raise FileError(f"{name}: has {len(members)} arrays, at most {MAX_CHILDREN} are read")
    if counted not in (len(members), _MORE_MEMBERS):
        raise FileError(f"{name}: is damaged, says that it has {counted} members, and {len(members)} are found")

    def opened(member: zipfile.ZipInfo, place: str) -> Values:
        if member.file_size > DEFLATE_RATIO * max(1, member.compress_size):
            raise FileError(f"{place}: claims {member.file_size} bytes in {member.compress_size} packed bytes")
        with guarded(place):
            file = stack.enter_context(archive.open(member))
        return npy_array(file, place, member.file_size, chosen.of_dut)

    found: dict[str, Values] = {}
    for member in sorted(members, key=lambda info: info.filename):
        key, place = _without_ending(member.filename), f"{name}: {printable(member.filename)}"
        if key in found:
            raise FileError(f"{place}: is there twice")
        if chosen.takes(member.filename, key):
            found[key] = _checked(partial(opened, member, place))
    return _by_name(path, chosen, ARCHIVE, found, {})


def _by_name(path: Path, chosen: _Chosen, kind: str, found: Mapping[str, Values], files: Mapping[str, Path]) -> Dump:
    """Sort arrays by what their names say."""
    name = chosen.name
    arrays: dict[str, dict[str, Values]] = {}
    images: Values | None = None
    origins: dict[tuple[str, str], Path] = {}
    for key, array in found.items():
        layer, stage = layer_and_stage(key)
        if not layer or not layer.isprintable():
            raise FileError(f"{name}: has an array called {shown(key)}, names must be printable text")
        if key == IMAGES:
            images = None if isinstance(array, Damaged) else array
            if isinstance(array, Damaged):
                chosen.pass_over(key, array.why)
            continue
        if stage in arrays.setdefault(layer, {}):
            raise FileError(f"{name}: has two arrays for stage {stage} of layer {shown(layer)}")
        arrays[layer][stage] = array
        if key in files:
            origins[layer, stage] = files[key]
    for layer, stages in arrays.items():
        if RESULT in stages and "code" in stages:
            raise FileError(f"{name}: has two arrays for what layer {shown(layer)} ends in, one of them called code")
    if not arrays:
        passed = f" ({some([*chosen.known['passed_over']])}: not read)" if chosen.known["passed_over"] else ""
        wanted = "a trace, a vector pack, or arrays called LAYER.npy or LAYER.STAGE.npy"
        written = not chosen.of_dut and any(is_number_file(member) for member in chosen.known["passed_over"])
        raise FileError(f"{name}: holds no layer{passed}; needed {wanted}{_EXCHANGED if written else ''}")
    ordered = {layer: by_order(arrays[layer]) for layer in sorted(arrays)}
    count = max(values.shape[0] for stages in ordered.values() for values in stages.values())
    known: dict[str, Any] = {"images": images, "ordered": False, "path": path, "files": origins}
    return Dump(name, kind, ordered, count, **known, **chosen.known)


def layer_and_stage(name: str) -> tuple[str, str]:
    """What an array's name means; names of layers may hold dots.

    >>> [layer_and_stage(name) for name in ("1.conv", "1.conv.code", "1.conv/total")]
    [('1.conv', 'result'), ('1.conv', 'code'), ('1.conv', 'total')]
    """
    for separator in "/.":
        layer, found, stage = name.rpartition(separator)
        if found and stage in STAGES:
            return layer, stage
    return name, RESULT
