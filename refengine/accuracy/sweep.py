"""A sweep: do the jobs that are not done, store each when it is, and make the tables of all.

Where and by whom the jobs are done is ``share``'s business: it takes jobs and gives each back with its record, in any
order (``processes.answers`` here, ``dask_jobs.records`` on a cluster).  No figure depends on it.  Several sweeps may
work in one folder at once: each job is claimed before it is done, and the results of the others are awaited.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import FileError
from ..network.whole_file import write_whole
from ..text import printable
from .jobs import Files, Job, Record
from .processes import Failure
from .results import (
    Row,
    Sweep,
    apart,
    called,
    csv_of,
    read_others,
    read_record,
    write_plan,
    write_record,
    write_results,
)
from .settle import Hands, settle

CSV, HDF5 = "results.csv", "results.h5"

Share = Callable[[Iterable[Job]], Iterator[tuple[Job, Record | Failure]]]
Progress = Callable[[int, int], None]


def run_sweep(
    folder: Path,
    files: Files,
    jobs: Sequence[Job],
    share: Share,
    progress: Progress | None = None,
    complain: Callable[[str], None] | None = None,
) -> Sweep:
    """Do what is not done of ``jobs`` and write the tables; results that are there already are kept.

    The tables hold ``jobs`` and what else the folder has of the same files and counts.  ``progress(done, total)`` is
    called before the first job, after each, and while others are awaited; ``complain`` hears of damaged results, which
    are made again.  Killed at any time, it leaves every finished job's result.  FileError where the folder cannot be
    written.
    """
    _plan(folder, files, jobs)
    rows = {job.key: Row(job, _kept(folder, job, complain)) for job in jobs}

    def show() -> None:
        if progress is not None:
            progress(sum(row.settled for row in rows.values()), len(rows))

    show()

    def settled(job: Job, answer: Record | Failure) -> None:
        if isinstance(answer, Failure):
            rows[job.key] = Row(job, failure=answer.reason)
        else:
            write_record(folder, job, answer)
            rows[job.key] = Row(job, answer)

    def found(job: Job) -> bool:
        record = _kept(folder, job, None)
        if record is not None:
            rows[job.key] = Row(job, record)
        return record is not None

    settle(folder, jobs, share, Hands(lambda job: rows[job.key].settled, found, settled, show))
    others = _plan(folder, files, jobs)
    made = Sweep(called(files), (*rows.values(), *others), apart(folder, [*jobs, *(row.job for row in others)]))
    write_whole(folder / CSV, csv_of(made.rows).encode(), printable(folder / CSV))
    write_results(made, folder / HDF5)
    return made


def _plan(folder: Path, files: Files, jobs: Sequence[Job]) -> tuple[Row, ...]:
    """Write the plan: ``jobs``, and what else the folder has that can stand beside them, which is returned."""
    others = read_others(folder, jobs)
    write_plan(folder, files, [*jobs, *(row.job for row in others)])
    return others


def _kept(folder: Path, job: Job, complain: Callable[[str], None] | None) -> Record | None:
    """The record of an earlier sweep, None if there is none that is whole."""
    try:
        return read_record(folder, job)
    except FileError as error:
        if complain is not None:
            complain(f"{error}; its job is done again")
        return None
