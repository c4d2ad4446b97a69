"""The folder of a search: whose it is, and a file for each job that is done, so that a search can go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import FileError
from ..network.whole_file import write_whole
from ..text import printable
from .processes import Failure
from .sealed import as_text, sealed, typed, unsealed
from .search_jobs import Given, SearchJob, Sensitivity, Trial
from .settle import Hands, settle

HEAD, JOBS = "search.json", "jobs"
FORMAT, VERSION = "refengine-search", 1

Share = Callable[[Iterable[SearchJob]], Iterator[tuple[SearchJob, "Sensitivity | Trial | Failure"]]]


def claim_folder(folder: Path, given: Given) -> None:
    """Make the folder this search's; FileError where it is another one's."""
    place = folder / HEAD
    told = {"format": FORMAT, "version": VERSION, "given": vars(given)}
    try:
        (folder / JOBS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{printable(folder)}: cannot be made a folder ({error.strerror})") from error
    if place.exists():
        before = unsealed(place)
        if before == told:
            return
        other = before.get("given")
        told_before = other if isinstance(other, dict) else {}
        changed = [name for name, value in vars(given).items() if told_before.get(name) != value]
        raise FileError(
            f"{printable(folder)}: is the folder of a search with another {' and '.join(changed) or 'version'}, "
            "needed the same files and counts, or another folder"
        )
    write_whole(place, sealed(told), printable(place))


def answers_of(
    folder: Path,
    jobs: Sequence[SearchJob],
    share: Share,
    show: Callable[[int, int], None],
    complain: Callable[[str], None],
) -> dict[str, Sensitivity | Trial | Failure]:
    """What every job gave, by its key, those done before included."""
    answers: dict[str, Sensitivity | Trial | Failure] = {}

    def found(job: SearchJob, say: Callable[[str], None] = lambda line: None) -> bool:
        try:
            record = _read(folder, job)
        except FileError as error:
            say(f"{error}; its job is done again")
            return False
        if record is not None:
            answers[job.key] = record
        return record is not None

    def store(job: SearchJob, answer: Sensitivity | Trial | Failure) -> None:
        answers[job.key] = answer
        if not isinstance(answer, Failure):
            place = _place(folder, job)
            write_whole(place, sealed({"definition": job.definition, "record": vars(answer)}), printable(place))

    def shown_so_far() -> None:
        show(len(answers), len(jobs))

    for job in jobs:
        found(job, complain)
    shown_so_far()
    settle(folder, jobs, share, Hands(lambda job: job.key in answers, found, store, shown_so_far))
    return answers


def _place(folder: Path, job: SearchJob) -> Path:
    return folder / JOBS / f"{job.key}.json"


def _read(folder: Path, job: SearchJob) -> Sensitivity | Trial | None:
    """What a job gave before, None if nothing; FileError where the file is damaged or another job's."""
    place = _place(folder, job)
    if not place.exists():
        return None
    content = unsealed(place)
    if as_text(content.get("definition")) != as_text(job.definition):
        raise FileError(f"{printable(place)}: is the result of another job")
    made: Sensitivity | Trial = typed(Trial if job.layer is None else Sensitivity, content.get("record"), place)
    if isinstance(made, Sensitivity) and len(made.errors) != len(job.options):
        raise FileError(f"{printable(place)}: has {len(made.errors)} errors for {len(job.options)} options")
    return made
