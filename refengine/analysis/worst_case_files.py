"""Worst-case stimuli as files: what makes the worst case of each layer, and what comes of it, to be simulated.

    LAYER.npz               everything, with the model's hash
    LAYER/input_0.memh ...  the same in the text formats of a vector pack, a word for each integer (--format)
    LAYER/code.npy ...      the stages alone (--format npy), so that the folder is a dump that compare reads

Every array has an image for each end, low first; docs/formats.md, Worst-case stimuli, names them all.
"""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from ..network.int_network import IntLayer, IntNetwork
from ..network.total_bounds import total_bits
from ..network.whole_file import remove_leftovers
from ..numbers.requantize import total
from ..text import PathLike, printable, shown
from ..vectors import npy
from ..vectors.manifest import Entry
from ..vectors.tensors import Tensor
from ..vectors.text_formats import FORMATS, NPY, TEXT_FORMATS, extension
from ..vectors.whole_folder import write_folder
from ..vectors.words import fitted
from ..vectors.writer import words_of
from .terms import accumulates
from .worst_case import ENDS, Stimulus, proven, stimulus

STAGES = ("accumulator", "total", "code")
_INPUTS = ("input_0", "input_1", "residual")
_KNOWN = ("place", "bound", "reached", "sum")
_LONGEST_HASH = 1 << 12  # bytes of the array that holds it

Array = np.ndarray[Any, Any]


def stimuli(network: IntNetwork, layer: IntLayer) -> tuple[Stimulus, ...]:
    """The layer's stimuli for both ends, each proven by a run."""
    found = tuple(stimulus(network, layer, end) for end in ENDS)
    for one in found:
        proven(layer, one)
    return found


def stimulus_figures(found: Stimulus) -> dict[str, Any]:
    """A worst-case stimulus without its arrays, in types that JSON knows."""
    names = ("end", "bound", "reached", "sum", "padded", "attains")
    return {**{name: getattr(found, name) for name in names}, "place": list(found.place)}


def stimulus_files(
    network: IntNetwork, layer: IntLayer, found: Sequence[Stimulus], formats: Sequence[str] = ()
) -> dict[str, bytes]:
    """Name -> content of every file of a layer's stimuli: its .npz, and what ``formats`` ask for."""
    arrays = stimulus_arrays(network, layer, found)
    files = {f"{layer.name}.npz": _archive(network, layer, found, arrays)}
    for name in formats:
        for part, array in arrays.items():
            if name != NPY or part in STAGES:
                files[f"{layer.name}/{part}{extension(name)}"] = _written(network, layer, part, array, name)
    return files


def write_stimuli(
    network: IntNetwork,
    found: Sequence[tuple[IntLayer, tuple[Stimulus, ...]]],
    folder: PathLike,
    formats: Sequence[str] = (),
    inputs: Iterable[PathLike] = (),
) -> int:
    """Write the files of the layers' stimuli into a folder, which changes as a whole or not at all; how many they are.

    Stimuli of other layers that are there stay.  FileError if they cannot be written, if one of ``inputs`` lies in the
    folder, or for what ``check_folder`` refuses.
    """
    files: dict[str, bytes] = {}
    for layer, ends in found:
        if "/" in layer.name or not layer.name.isprintable():
            raise FileError(f"{printable(folder)}: layer {layer.name!r} cannot be the name of a file")
        files |= stimulus_files(network, layer, ends, formats)
    try:
        os.makedirs(Path(folder).absolute().parent, exist_ok=True)
    except OSError as error:
        raise FileError(f"{printable(folder)}: cannot be made ({error.strerror})") from error
    with write_folder(folder, inputs, lambda there: check_folder(there, network)) as made:
        if Path(folder).is_dir():
            shutil.copytree(folder, made, dirs_exist_ok=True)
        for name, content in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(content)
    return len(files)


def stimulus_arrays(network: IntNetwork, layer: IntLayer, found: Sequence[Stimulus]) -> dict[str, Array]:
    """What goes in and what comes out, an image for each stimulus."""
    arrays: dict[str, list[Array]] = {}
    for one in found:
        result = proven(layer, one, network.layers.index(layer))
        for number, operand in enumerate(one.operands):
            arrays.setdefault(f"input_{number}", []).append(operand)
        if one.residual is not None:
            arrays.setdefault("residual", []).append(one.residual)
        if result.accumulator is not None:
            arrays.setdefault("accumulator", []).append(result.accumulator)
            if layer.requantize is not None:
                arrays.setdefault("total", []).append(total(result.accumulator, layer.requantize, one.residual))
                arrays.setdefault("code", []).append(result.result)
    return {name: np.concatenate(parts) for name, parts in arrays.items()}


def _archive(
    network: IntNetwork, layer: IntLayer, found: Sequence[Stimulus], arrays: Mapping[str, Array]
) -> bytes:  # fmt: skip
    known = {name: np.array([getattr(one, name) for one in found], np.int64) for name in _KNOWN}
    content = io.BytesIO()
    names = {"model_hash": np.array(network.hash), "layer": np.array(layer.name)}
    np.savez(content, **names, **arrays, **known)  # type: ignore[arg-type]
    return content.getvalue()


def _written(network: IntNetwork, layer: IntLayer, part: str, array: Array, fmt: str) -> bytes:
    """One array in one format."""
    out = io.BytesIO()
    if fmt == NPY:
        npy.write(out, array.dtype.name, array.shape, [array])
        return out.getvalue()
    bits = {"accumulator": layer.accumulator_bits, "total": total_bits(network, layer)}.get(part)
    signed = array.dtype != np.uint8
    axes = "nhwc" if array.ndim == 4 else "nc"
    width = 8 * array.dtype.itemsize if bits is None else bits
    tensor = Tensor(layer.name, part, array.shape, axes, array.dtype.name, width, signed)
    entry = Entry(tensor, axes, fitted(width, signed), {})
    TEXT_FORMATS[fmt].write(out, entry.memory, words_of([array], entry))
    return out.getvalue()


def check_folder(folder: PathLike, network: IntNetwork) -> None:
    """FileError, before any work is done, if a folder holds anything but stimuli of this network.

    What a killed process of an earlier version left of a file there is removed.
    """
    path, name = Path(folder), printable(folder)
    if path.exists() and not path.is_dir():
        raise FileError(f"{name}: is a file, a folder was needed")
    own: set[str] = set()
    for layer in (layer.name for layer in network.layers if accumulates(layer)):
        if (path / f"{layer}.npz").exists():
            own |= {layer, f"{layer}.npz"}
            own |= {f"{layer}/{part}{extension(fmt)}" for part in (*_INPUTS, *STAGES) for fmt in FORMATS}
    remove_leftovers(path)
    try:
        for one in sorted(path.rglob("*")):
            place = one.relative_to(path).as_posix()
            if place not in own:
                raise FileError(f"{name}: holds {shown(place)}, which is no stimulus of this model; kept")
            if one.suffix == ".npz" and _hash_of(one) != network.hash:
                raise FileError(f"{name}: {shown(place)} is a stimulus of another model; kept")
    except OSError as error:
        raise FileError(f"{name}: cannot be read ({error.strerror})") from error


def _hash_of(path: Path) -> str | None:
    """The model's hash in a worst-case stimulus file; None where there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo("model_hash.npy")
            if member.file_size > _LONGEST_HASH:
                return None
            return str(np.lib.format.read_array(io.BytesIO(archive.read(member)), allow_pickle=False))
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None
