"""The suite as files: a manifest, for each group its cases as JSON and two files of plain integers, and model files.

    manifest.json           what there is, and the SHA-256 of every other file
    GROUP.json              a line for each case: name, clauses, why, parameters, where its integers lie
    GROUP.in.bin            inputs: little-endian, C order, each array at a multiple of 8 bytes
    GROUP.out.bin           what must come out, laid out alike: an implementation writes a file like it
    models.json, models/    model files that must be accepted or refused

docs/conformance.md has every word of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import CONTRACT, __version__
from ..errors import FileError
from ..text import PathLike, printable
from ..vectors.whole_folder import write_folder
from .case import Array, Case
from .clauses import counts
from .draft import write_draft
from .file_cases import FileCase, file_cases
from .suite import answer_of, cases

FORMAT, VERSION = "refengine-conformance", 1
MANIFEST, MODELS = "manifest.json", "models"
ALIGNED = 8
TYPES = ("uint8", "int8", "int16", "int32", "int64", "uint64")
_MAX_BYTES = 1 << 30  # of one file that is read

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Place:
    """Where an array lies in its file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    def of(self, content: bytes) -> Array:
        """The array."""
        stored = np.dtype(self.dtype).newbyteorder("<")
        flat = np.frombuffer(content, stored, math.prod(self.shape), self.offset)
        return flat.reshape(self.shape).astype(self.dtype)


@dataclass(frozen=True, eq=False)
class Judged:
    """A case as verify needs it: its name, clauses and reason, and where what must come out lies."""

    name: str
    clauses: tuple[str, ...]
    why: str
    results: Mapping[str, Place]


@dataclass(frozen=True)
class Model:
    """A model file: whether it must be accepted."""

    file: str
    accept: bool
    clauses: tuple[str, ...]
    why: str


@dataclass(frozen=True, eq=False)
class Suite:
    """A suite that was read: by group its cases and the bytes of what must come out; model files."""

    level: int
    groups: Mapping[str, tuple[Judged, ...]]
    expected: Mapping[str, bytes]
    models: tuple[Model, ...]


# ------------------------------------------------------------------------------------------------------------- writing


def write_suite(path: PathLike, level: int = 1, progress: Progress | None = None) -> dict[str, int]:
    """Write a suite into a new or empty folder, whole or not at all: how many cases, model files and bytes.

    FileError where it cannot be written.
    """
    found, models = cases(level), [*file_cases()]
    done, total = 0, len(found) + len(models)
    with write_folder(path) as folder:
        groups = {}
        for group, members in found.items():
            groups[group] = {"cases": len(members), **_write_group(folder, group, members)}
            done = _step(progress, done, total)
        (folder / MODELS).mkdir()
        for number, model in enumerate(models):
            write_draft(model.draft, folder / _file_of(number))
            done = _step(progress, done, total)
        records = [_model_record(number, model) for number, model in enumerate(models)]
        (folder / f"{MODELS}.json").write_text(_listed(records), encoding="utf-8", newline="\n")
        judged = [case.clauses for members in found.values() for case in members]
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "contract": CONTRACT,
            "refengine": __version__,
            "level": level,
            "groups": groups,
            MODELS: {
                "accepted": sum(model.accept for model in models),
                "refused": sum(not model.accept for model in models),
                "list": _stored(folder / f"{MODELS}.json"),
            },
            "clauses": counts(judged + [model.clauses for model in models]),
        }
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8", newline="\n")
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    refused = sum(not model.accept for model in models)
    return {
        "cases": sum(map(len, found.values())),
        "accepted": len(models) - refused,
        "refused": refused,
        "bytes": size,
    }


def _step(progress: Progress | None, done: int, total: int) -> int:
    if progress is not None:
        progress(done + 1, total)
    return done + 1


def _write_group(folder: Path, group: str, members: Sequence[Case]) -> dict[str, Any]:
    inputs, results, records = bytearray(), bytearray(), []
    for number, case in enumerate(members):
        record = {
            "name": f"{group}-{number:04d}",
            "clauses": case.clauses,
            "why": case.why,
            "parameters": case.parameters,
            "inputs": _put(inputs, case.inputs),
            "results": _put(results, answer_of(case)),
        }
        records.append(record)
    written = {
        "list": (f"{group}.json", _listed(records).encode()),
        "inputs": (f"{group}.in.bin", bytes(inputs)),
        "results": (f"{group}.out.bin", bytes(results)),
    }
    for name, content in written.values():
        (folder / name).write_bytes(content)
    return {what: _stored(folder / name) for what, (name, _) in written.items()}


def _put(content: bytearray, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Append arrays; where they lie."""
    placed = {}
    for name, array in arrays.items():
        content += bytes(-len(content) % ALIGNED)
        placed[name] = {"dtype": array.dtype.name, "shape": array.shape, "offset": len(content)}
        content += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return placed


def _file_of(number: int) -> str:
    return f"{MODELS}/{number:04d}.h5"


def _model_record(number: int, model: FileCase) -> dict[str, Any]:
    return {"file": _file_of(number), "accept": model.accept, "clauses": model.clauses, "why": model.why}


def _listed(records: Sequence[Mapping[str, Any]]) -> str:
    """A JSON list, a line for each record."""
    return "[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n"


def _stored(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"file": path.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


# ------------------------------------------------------------------------------------------------------------- reading


def read_suite(path: PathLike) -> Suite:
    """A suite that ``write_suite`` wrote; FileError if it is none, is of another version, or was changed."""
    folder, name = Path(path), printable(os.fspath(path))
    if not folder.is_dir():
        raise FileError(f"{name}: is not a folder, one that 'refengine conform generate' wrote was needed")
    manifest = _json(folder / MANIFEST)
    try:
        if manifest["format"] != FORMAT or manifest["version"] != VERSION:
            raise FileError(f"{name}: is no conformance suite of version {VERSION}")
        if manifest["contract"] != CONTRACT:
            raise FileError(f"{name}: judges contract {manifest['contract']}, this program keeps contract {CONTRACT}")
        groups, expected = {}, {}
        for group, told in manifest["groups"].items():
            groups[group] = tuple(_judged(record) for record in json.loads(_checked(folder, told["list"])))
            expected[group] = _checked(folder, told["results"])
        models = tuple(
            Model(str(one["file"]), one["accept"] is True, tuple(one["clauses"]), str(one["why"]))
            for one in json.loads(_checked(folder, manifest[MODELS]["list"]))
        )
        return Suite(int(manifest["level"]), groups, expected, models)
    except FileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(f"{name}: its manifest is damaged ({type(error).__name__}: {printable(error)[:80]})") from None


def clauses_of(suite: Suite) -> Iterator[tuple[str, ...]]:
    """The clauses of each case and of each model file."""
    for members in suite.groups.values():
        yield from (case.clauses for case in members)
    yield from (model.clauses for model in suite.models)


def _judged(record: Mapping[str, Any]) -> Judged:
    results = {
        str(name): Place(TYPES[TYPES.index(one["dtype"])], tuple(map(int, one["shape"])), int(one["offset"]))
        for name, one in record["results"].items()
    }
    return Judged(str(record["name"]), tuple(record["clauses"]), str(record["why"]), results)


def _json(path: Path) -> Any:
    content = read_bytes(path)
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise FileError(f"{printable(path)}: is not JSON ({printable(error)[:80]})") from None


def _checked(folder: Path, told: Mapping[str, Any]) -> bytes:
    """The bytes of a file that the manifest names; FileError where they are others."""
    path = folder / Path(str(told["file"])).name
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != told["sha256"]:
        raise FileError(f"{printable(path)}: was changed after it was written")
    return content


def read_bytes(path: Path) -> bytes:
    """A file as a whole; FileError where it is missing, cannot be read or is larger than 1 GiB."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise FileError(f"{printable(path)}: has {path.stat().st_size} bytes, at most {_MAX_BYTES} are read")
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{printable(path)}: cannot be read ({error.strerror})") from error
