"""Judge the results that an implementation wrote for the cases of a suite.

    RESULTS/GROUP.bin       laid out as GROUP.out.bin, or
    RESULTS/GROUP.npz       arrays CASE.RESULT, as conv-0001.code; what is not there is missing
    RESULTS/models.txt      a line for each model file: its name, and accepted or refused
    RESULTS/skipped.txt     a shell pattern a line: cases, or CASE.RESULT, that are not to be judged

A case passes if each of its results is the contract's, integer by integer.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ..errors import FileError
from ..golden.dumps.npy_arrays import guarded, npy_array
from ..text import PathLike, printable, shown
from .case import Array
from .folder import Judged, Model, Place, Suite, read_bytes

EQUAL, DIFFERENT, INCOMPLETE = "EQUAL", "DIFFERENT", "INCOMPLETE"
SKIPPED, ANSWERS = "skipped.txt", "models.txt"
_WORDS = {"accepted": True, "refused": False}

Source = Callable[[str, Place], Array | None]


@dataclass(frozen=True)
class Failure:
    """A case that does not pass: what it is there for, and the first integer that differs, or why there is none."""

    case: str
    clauses: tuple[str, ...]
    why: str
    said: str


@dataclass(frozen=True)
class Group:
    """How the cases of a group came out; the model files are one too.  skipped: some result was not to be judged."""

    name: str
    cases: int
    passed: int
    failed: int
    missing: int
    skipped: int


@dataclass(frozen=True)
class Verdict:
    """How everything came out.  clauses: clause -> (cases that failed, cases that were judged), where some failed."""

    groups: tuple[Group, ...]
    failures: tuple[Failure, ...]
    missing: tuple[str, ...]
    clauses: Mapping[str, tuple[int, int]]
    unread: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """DIFFERENT where an integer differs, INCOMPLETE where a case has no results or none was tested, else EQUAL."""
        if self.failures:
            return DIFFERENT
        return INCOMPLETE if self.missing or not any(group.passed for group in self.groups) else EQUAL


@dataclass(frozen=True)
class _Outcome:
    """One case: ``said`` where it fails, None where not; ``judged``: how many of its results were there."""

    clauses: tuple[str, ...]
    said: str | None
    judged: int
    missing: int
    skipped: int


def verify(suite: Suite, results: PathLike) -> Verdict:
    """What an implementation wrote, held against the suite; FileError for results that cannot be read."""
    folder, name = Path(results), printable(os.fspath(results))
    if not folder.is_dir():
        raise FileError(f"{name}: is not a folder of results")
    skipped = _lines(folder / SKIPPED) if (folder / SKIPPED).exists() else []
    outcomes: dict[str, list[tuple[str, str, _Outcome]]] = {}
    for group, members in suite.groups.items():
        source = _source(folder, group, len(suite.expected[group]))
        patterns = [pattern for pattern in skipped if _may_mean(pattern, group)]
        judged = [(case.name, case.why, _judge(case, suite.expected[group], source, patterns)) for case in members]
        outcomes[group] = judged
    outcomes["models"] = [*_models(folder, suite.models, skipped)]
    return _verdict(outcomes, _unread(folder, suite))


def _verdict(outcomes: Mapping[str, list[tuple[str, str, _Outcome]]], unread: tuple[str, ...]) -> Verdict:
    groups, failures, missing = [], [], []
    failed, judged = Counter[str](), Counter[str]()
    for group, members in outcomes.items():
        wrong = [Failure(name, one.clauses, why, one.said) for name, why, one in members if one.said is not None]
        absent = [name for name, _, one in members if one.said is None and one.missing]
        left = sum(bool(one.skipped) for _, _, one in members)
        passed = sum(one.said is None and one.judged > 0 and not one.missing for _, _, one in members)
        groups.append(Group(group, len(members), passed, len(wrong), len(absent), left))
        failures += wrong
        missing += absent
        judged.update(clause for _, _, one in members if one.judged for clause in one.clauses)
        failed.update(clause for one in wrong for clause in one.clauses)
    return Verdict(
        tuple(groups),
        tuple(failures),
        tuple(missing),
        {clause: (count, judged[clause]) for clause, count in failed.most_common()},
        unread,
    )


def _judge(case: Judged, expected: bytes, source: Source, patterns: Sequence[str]) -> _Outcome:
    said, judged, missing, skipped = None, 0, 0, 0
    for name, place in case.results.items():
        if any(fnmatchcase(case.name, one) or fnmatchcase(f"{case.name}.{name}", one) for one in patterns):
            skipped += 1
            continue
        got = source(f"{case.name}.{name}", place)
        if got is None:
            missing += 1
            continue
        judged += 1
        said = said or _difference(name, place.of(expected), got)
    return _Outcome(case.clauses, said, judged, missing, skipped)


def _difference(name: str, wanted: Array, got: Array) -> str | None:
    """The first integer that differs, in words; None where all are equal."""
    if wanted.shape != got.shape:
        return f"{name}: shape {got.shape}, needed {wanted.shape}"
    differs = wanted != got
    count = int(np.count_nonzero(differs))
    if not count:
        return None
    first = np.unravel_index(int(np.argmax(differs)), wanted.shape) if wanted.shape else ()
    where = ", ".join(str(int(index)) for index in first)
    return f"{name}[{where}]: expected {wanted[first]}, got {got[first]}; {count} of {wanted.size} differ"


# ------------------------------------------------------------------------------------------------------------- results


def _source(folder: Path, group: str, size: int) -> Source:
    """What gives the results of a group: its .bin, its .npz, or nothing."""
    plain, archive = folder / f"{group}.bin", folder / f"{group}.npz"
    if plain.exists() and archive.exists():
        raise FileError(f"{printable(folder)}: has {plain.name} and {archive.name}, needed one of them")
    if plain.exists():
        content = read_bytes(plain)
        if len(content) != size:
            raise FileError(f"{printable(plain)}: has {len(content)} bytes, needed {size} as {group}.out.bin has")
        return lambda name, place: place.of(content)
    if archive.exists():
        arrays = dict(_archive(archive))
        return lambda name, place: arrays.get(name)
    return lambda name, place: None


def _archive(path: Path) -> Iterator[tuple[str, Array]]:
    name = printable(path)
    content = read_bytes(path)
    with guarded(name):
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = archive.infolist()
    if sum(member.file_size for member in members) > 1 << 30:
        raise FileError(f"{name}: its arrays have more than 1 GiB")
    for member in members:
        place = f"{name}: {printable(member.filename)}"
        with guarded(place), archive.open(member) as file:
            array = npy_array(io.BytesIO(file.read()), place, member.file_size)
            yield member.filename.removesuffix(".npy"), array.read(0, array.shape[0])


def _models(folder: Path, models: Sequence[Model], skipped: Sequence[str]) -> Iterator[tuple[str, str, _Outcome]]:
    said = _answers(folder / ANSWERS) if (folder / ANSWERS).exists() else {}
    for model in models:
        if any(fnmatchcase(model.file, pattern) for pattern in skipped):
            yield model.file, model.why, _Outcome(model.clauses, None, 0, 0, 1)
        elif model.file not in said:
            yield model.file, model.why, _Outcome(model.clauses, None, 0, 1, 0)
        else:
            word, other = ("accepted", "refused") if model.accept else ("refused", "accepted")
            wrong = None if said[model.file] is model.accept else f"must be {word}, was {other}"
            yield model.file, model.why, _Outcome(model.clauses, wrong, 1, 0, 0)


def _answers(path: Path) -> dict[str, bool]:
    found = {}
    for line in _lines(path):
        words = line.split()
        if len(words) != 2 or words[1] not in _WORDS:
            raise FileError(f"{printable(path)}: the line {shown(line)}, needed 'FILE accepted' or 'FILE refused'")
        found[words[0]] = _WORDS[words[1]]
    return found


def _lines(path: Path) -> list[str]:
    """Lines that are not empty and no comments."""
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise FileError(f"{printable(path)}: is not UTF-8 ({error.reason})") from None
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _may_mean(pattern: str, group: str) -> bool:
    """Whether a pattern can mean a case of the group: what stands before its first wildcard begins no other name."""
    literal = pattern[: min((pattern.find(sign) for sign in "*?[" if sign in pattern), default=len(pattern))]
    name = f"{group}-"
    return literal.startswith(name) or name.startswith(literal)


def _unread(folder: Path, suite: Suite) -> tuple[str, ...]:
    """Files that are no results of any group."""
    known = {f"{group}.{ending}" for group in suite.groups for ending in ("bin", "npz")} | {SKIPPED, ANSWERS}
    return tuple(sorted(printable(file.name) for file in folder.iterdir() if file.name not in known))
