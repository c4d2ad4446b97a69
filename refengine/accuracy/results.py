"""The folder of a sweep: one file for each job that is done, and the tables that are made of them (docs/formats.md).

    sweep.json         the jobs, in the order of the grid, the folder's others after them, and what the files are called
    jobs/<key>.json    a job's definition and its record, with the SHA-256 of both
    results.csv        a row for each job
    results.h5         the same, with every layer, and bit by bit which images were right
    lock               empty: what sweeps that run at once claim their jobs by (refengine/claims.py)

A file appears under its name when it is whole, so a sweep that is killed at any time leaves only whole results.  What
is read is believed when its hash and every type are right.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import CONTRACT, __version__
from ..errors import FileError, RefengineError
from ..network.whole_file import write_whole
from ..network.write_hdf5 import put_array, put_attributes, write_atomically
from ..quantization.scheme import Scheme
from ..text import PathLike, printable
from .evaluate import wilson
from .grid import written
from .jobs import Files, Job, LayerRecord, Record
from .sealed import as_text, check_types, sealed, typed, unsealed

FORMAT, VERSION = "refengine-sweep", 1
PLAN, JOBS = "sweep.json", "jobs"
FLOAT = "float"

_COUNTS = ("count", "correct", "correct_top5", "multiplications_replaced", "saturated", "overflowed", "model_hash")


@dataclass(frozen=True)
class Row:
    """A job and what became of it: its record, or the ``failure`` that kept it from being done, or neither yet."""

    job: Job
    record: Record | None = None
    failure: str | None = None

    @property
    def done(self) -> bool:
        """Whether there are figures."""
        return self.record is not None and self.record.error is None

    @property
    def settled(self) -> bool:
        """Whether a sweep has nothing more to do about it."""
        return self.record is not None or self.failure is not None

    @property
    def error(self) -> str | None:
        """Why there are none, and will not be unless something changes."""
        return self.failure if self.record is None else self.record.error


@dataclass(frozen=True)
class Sweep:
    """A folder's jobs, the float network's first, and what its files were called.

    apart: how many results the folder has besides, of other files, counts or versions.
    """

    files: Files
    rows: tuple[Row, ...]
    apart: int = 0

    @property
    def float_row(self) -> Row | None:
        """The float network's own row."""
        return next((row for row in self.rows if row.job.scheme is None), None)

    @property
    def settings(self) -> tuple[Row, ...]:
        """The rows of schemes."""
        return tuple(row for row in self.rows if row.job.scheme is not None)


# ------------------------------------------------------------------------------------------------------------- writing


def write_plan(folder: Path, files: Files, jobs: Sequence[Job]) -> None:
    """Make the folder and say what is to be done in it."""
    try:
        (folder / JOBS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{printable(folder)}: cannot be made a folder ({error.strerror})") from error
    jobs_told = [job.definition for job in jobs]
    plan = {"format": FORMAT, "version": VERSION, "files": vars(called(files)), "jobs": jobs_told}
    write_whole(folder / PLAN, sealed(plan), printable(folder / PLAN))


def called(files: Files) -> Files:
    """The files by their names alone: where they lay is nobody's business."""
    return Files(**{name: printable(os.path.basename(path)) for name, path in vars(files).items()})


def write_record(folder: Path, job: Job, record: Record) -> None:
    """Store what a job gave."""
    told = asdict(record)
    told["right"] = None if record.right is None else np.packbits(record.right).tobytes().hex()
    place = _place(folder, job)
    write_whole(place, sealed({"definition": job.definition, "record": told}), printable(place))


def _place(folder: Path, job: Job) -> Path:
    return folder / JOBS / f"{job.key}.json"


# ------------------------------------------------------------------------------------------------------------- reading


def read_sweep(folder: Path) -> Sweep:
    """The folder's jobs, with the records of those that are done; FileError where there is no sweep or it is damaged.

    A damaged record is one that is not there: the next ``sweep`` does the job again.
    """
    place = folder / PLAN
    if not place.exists():
        raise FileError(f"{printable(folder)}: is no folder of a sweep, needed one that 'refengine sweep -o' made")
    plan = unsealed(place)
    if (plan.get("format"), plan.get("version")) != (FORMAT, VERSION) or not isinstance(plan.get("jobs"), list):
        raise FileError(f"{printable(place)}: is no list of jobs of this version, needed {FORMAT} {VERSION}")
    files = typed(Files, plan.get("files"), place)
    jobs = [_job(definition, place) for definition in plan["jobs"]]
    return Sweep(files, tuple(_row(folder, job) for job in jobs), apart(folder, jobs))


def _row(folder: Path, job: Job) -> Row:
    try:
        return Row(job, read_record(folder, job))
    except FileError as error:
        return Row(job, failure=str(error))


def read_others(folder: Path, jobs: Sequence[Job]) -> tuple[Row, ...]:
    """What the folder has besides ``jobs`` that can stand in one table with them: the same files, counts and versions.

    Damaged results and those of other versions are left out.
    """
    wanted, known = replace(jobs[0], scheme=None), {job.key for job in jobs}
    found = []
    for place in _stored(folder):
        if place.stem not in known:
            with suppress(FileError):
                job = _job(unsealed(place).get("definition"), place)
                if replace(job, scheme=None) == wanted:
                    found.append(Row(job, read_record(folder, job)))
    return tuple(sorted(found, key=_order))


def apart(folder: Path, jobs: Sequence[Job]) -> int:
    """How many results the folder has besides those of ``jobs``."""
    known = {job.key for job in jobs}
    return sum(place.stem not in known for place in _stored(folder))


def _stored(folder: Path) -> list[Path]:
    """The files of results, whole ones alone."""
    return sorted((folder / JOBS).glob("[!.]*.json"))


def _order(row: Row) -> tuple[str, int, str]:
    """By weights and clusters, as a grid mostly has it; the file's names would be no order at all."""
    scheme = row.job.scheme if row.job.scheme is not None else Scheme()
    return scheme.weights, scheme.cluster, str(scheme)


def read_record(folder: Path, job: Job) -> Record | None:
    """The record of a job, None if it is not done; FileError where the file is damaged or another job's."""
    place = _place(folder, job)
    if not place.exists():
        return None
    content = unsealed(place)
    if as_text(content.get("definition")) != as_text(job.definition):
        raise FileError(f"{printable(place)}: is the result of another job")
    told = content.get("record")
    if not isinstance(told, dict) or not isinstance(told.get("layers"), list):
        raise FileError(f"{printable(place)}: has no record")
    layers = tuple(typed(LayerRecord, layer, place) for layer in told["layers"])
    record = typed(Record, {**told, "layers": layers, "right": None}, place)
    right = _bits(told.get("right"), record.count, place)
    if right is not None and int(right.sum()) != record.correct:
        raise FileError(f"{printable(place)}: has {int(right.sum())} images right, counted {record.correct}")
    if record.error is None and right is None:
        raise FileError(f"{printable(place)}: does not say which images were right")
    return Record(**{**vars(record), "right": right})


def _bits(text: object, count: int, place: Path) -> np.ndarray | None:
    """Packed bits as bool (count)."""
    if text is None:
        return None
    try:
        packed = np.frombuffer(bytes.fromhex(str(text)), np.uint8)
    except ValueError:
        packed = np.zeros(0, np.uint8)
    if count < 1 or len(packed) != -(-count // 8):
        raise FileError(f"{printable(place)}: has {8 * len(packed)} bits for {count} images")
    return np.unpackbits(packed, count=count).astype(bool)


def _job(definition: object, place: Path) -> Job:
    """A job of its definition; FileError where the definition is none."""
    told = {**definition} if isinstance(definition, dict) else {}
    scheme = told.get("scheme")
    try:
        if isinstance(scheme, dict):
            layers = tuple((str(pattern), str(fmt)) for pattern, fmt in scheme.get("layers", ()))
            rest = {name: value for name, value in scheme.items() if name != "layers"}
            check_types(Scheme, rest, {"layers"}, place)
            told["scheme"] = Scheme(**{**rest, "layers": layers})
        job = typed(Job, {name: told.get(name) for name in (field.name for field in fields(Job))}, place)
    except (RefengineError, TypeError, ValueError) as error:
        raise FileError(f"{printable(place)}: has a job that cannot be done ({printable(error)[:200]})") from error
    if as_text(job.definition) != as_text(definition):  # as texts: 1 is not true, though Python calls them equal
        raise FileError(f"{printable(place)}: its jobs are of another version of refengine than {__version__}")
    return job


# -------------------------------------------------------------------------------------------------------------- tables


def columns(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """A row of figures for each job: scheme, counts, Wilson's interval, seconds, key, error; None where there is none.

    ``weights`` of the float network is 'float'.
    """
    names = [field.name for field in fields(Scheme)]
    for row in rows:
        scheme, record = row.job.scheme, row.record
        told: dict[str, Any] = {
            name: None if scheme is None else written(name, getattr(scheme, name)) for name in names
        }
        if scheme is None:
            told["weights"] = FLOAT
        told |= {name: getattr(record, name) if row.done else None for name in _COUNTS}
        share = record.correct / record.count if record is not None and row.done else None
        low, high = wilson(record.correct, record.count) if record is not None and row.done else (None, None)
        told |= {"top1": share, "top1_low": low, "top1_high": high, "seconds": record.seconds if record else None}
        yield {**told, "job": row.job.key, "error": row.error}


def csv_of(rows: Sequence[Row]) -> str:
    """The table of all jobs as CSV."""
    text = io.StringIO()
    table = [*columns(rows)]
    writer = csv.DictWriter(text, fieldnames=[*table[0]] if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def write_results(sweep: Sweep, path: PathLike, inputs: Iterable[PathLike] = ()) -> None:
    """Write every record into one HDF5 file; FileError where it cannot be written."""
    with write_atomically(path, inputs) as file:
        put_attributes(file, {"format": FORMAT, "version": VERSION, "refengine": __version__, "contract": CONTRACT})
        put_attributes(file, vars(sweep.files))
        group = file.create_group("jobs")
        for number, (row, told) in enumerate(zip(sweep.rows, columns(sweep.rows), strict=True)):
            job = group.create_group(f"{number:05d}")
            put_attributes(job, told)
            if row.record is not None and row.record.right is not None:
                put_array(job, "right", np.packbits(row.record.right))
                put_attributes(job.create_group("made_with"), row.record.made_with or {})
                _put_layers(job.create_group("layers"), row.record.layers)


def _put_layers(group: Any, layers: Sequence[LayerRecord]) -> None:
    """One dataset for each field of a layer's record, one entry a layer; -1 or NaN where there is none."""
    for name in (field.name for field in fields(LayerRecord)):
        values = [getattr(layer, name) for layer in layers]
        if name == "covers":
            values = [json.dumps(value) for value in values]
        if name == "sqnr":
            put_array(group, name, np.array([math.nan if value is None else value for value in values], np.float64))
        elif any(isinstance(value, str) for value in values):
            texts = [("" if value is None else value).encode() for value in values]
            group.create_dataset(name, data=np.array(texts, "S"), track_times=False)
        else:
            put_array(group, name, np.array([-1 if value is None else value for value in values], np.int64))
