"""A dump that is arrays with names, in a folder or an archive: a name says what an array is.

A name (in .npz and HDF5 without ``.npy``) is one of

    LAYER.STAGE.npy, LAYER/STAGE.npy   one stage of one layer; stages are those of a trace
    LAYER.npy                          the layer's result: its codes, or the accumulators of a layer that gives logits
    images.npy                         uint8 (N, H, W, C): what went in, if it is there

A DUT may write files of numbers in place of .npy (``number_files``): they are ``NumberFile`` here, which ``dut`` gives
the shape that the golden has.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import FileError
from ...network.hdf5_dataset import DEFLATE_RATIO
from ...network.read_hdf5 import MAX_CHILDREN
from ...text import printable, shown
from .chosen import EXCHANGED, NO_READER, Chosen, begins_with, files_below
from .dump import ARCHIVE, FOLDER, IMAGES, Damaged, Dump, Values, by_order, checked, layer_and_stage, one_or_more
from .layer_names import some
from .npy_arrays import Reopened, guarded, npy_array
from .number_files import NumberFile, is_number_file
from .reading import RESULT

_NPY, _NPY_MAGIC = ".npy", b"\x93NUMPY"
_END_OF_ARCHIVE = (1 << 16) + 22  # bytes in which an archive's last record lies, its comment included
_MORE_MEMBERS = 0xFFFF  # the number stands elsewhere


def open_folder(path: Path, chosen: Chosen, stack: ExitStack) -> Dump:
    """A folder of files, in it or one folder deeper; FileError where one is there twice or none is a layer's."""
    name = chosen.name
    found: dict[str, dict[str, tuple[str, Values]]] = {}
    usable: dict[str, Path] = {}
    for member in files_below(path, name):
        key, place = _without_ending(member, chosen.of_dut), f"{name}/{printable(member)}"
        if key == member or member.count("/") > 1:
            chosen.pass_over(member, NO_READER)
        elif chosen.takes(member, key):
            ending = member[len(key) :].lower()
            if ending in found.setdefault(key, {}):
                raise FileError(f"{place}: is there twice, in upper and lower case")
            values = checked(partial(open_file, path / member, place, chosen, stack))
            found[key][ending] = place, values
            if not isinstance(values, Damaged):
                usable[key] = path / member
    return by_name(path, chosen, FOLDER, {key: one_or_more([*forms.values()]) for key, forms in found.items()}, usable)


def open_file(file: Path, place: str, chosen: Chosen, stack: ExitStack) -> Values:
    """A file that is one array: .npy by its ending or its first bytes, of a DUT numbers in any other form."""
    with guarded(place):
        size = file.stat().st_size
        if not file.is_file():
            raise FileError(f"{place}: is not a regular file")
    if file.suffix.lower() == _NPY or begins_with(file, _NPY_MAGIC) or not chosen.of_dut:
        return npy_array(stack.enter_context(Reopened(file)), place, size, chosen.of_dut)
    return NumberFile(file, place)


def open_archive(path: Path, chosen: Chosen, stack: ExitStack) -> Dump:
    """An .npz; FileError where it is damaged, hides a member, or has one twice."""
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
            found[key] = checked(partial(opened, member, place))
    return by_name(path, chosen, ARCHIVE, found, {})


def _members_by_its_end(path: Path) -> int:
    """How many members an archive says that it has: zipfile goes by sizes alone, and a damaged one hides some."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _END_OF_ARCHIVE))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    return int.from_bytes(tail[place + 10 : place + 12], "little")


def by_name(path: Path, chosen: Chosen, kind: str, found: Mapping[str, Values], files: Mapping[str, Path]) -> Dump:
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
        raise FileError(f"{name}: holds no layer{passed}; needed {wanted}{EXCHANGED if written else ''}")
    ordered = {layer: by_order(arrays[layer]) for layer in sorted(arrays)}
    count = max(values.shape[0] for stages in ordered.values() for values in stages.values())
    known: dict[str, Any] = {"images": images, "ordered": False, "path": path, "files": origins}
    return Dump(name, kind, ordered, count, **known, **chosen.known)


def _without_ending(member: str, number_files: bool = False) -> str:
    """The name without its ending, upper case or lower: .npy, or that of a file of numbers.

    >>> _without_ending("conv.code.NPY"), _without_ending("conv.code"), _without_ending("conv.code.memh", True)
    ('conv.code', 'conv.code', 'conv.code')
    """
    if member.lower().endswith(_NPY):
        return member[: -len(_NPY)]
    return member[: -len(Path(member).suffix)] if number_files and is_number_file(member) else member
