"""A sweep: do the jobs that are not done, store each when it is, and make the tables of all.

Where and by whom the jobs are done is ``share``'s business: it takes jobs and gives each back with its record, in any
order (``processes.answers`` here, ``dask_jobs.records`` on a cluster).  No figure depends on it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import FileError
from .jobs import Files, Job, Record
from .processes import Failure
from .results import Row, Sweep, called, csv_of, read_record, write_plan, write_record, write_results, write_whole

CSV, HDF5 = "results.csv", "results.h5"

Share = Callable[[Sequence[Job]], Iterator[tuple[Job, Record | Failure]]]
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

    ``progress(done, total)`` is called before the first job and after each; ``complain`` hears of damaged results,
    which are made again.  Killed at any time, it leaves every finished job's result.  FileError where the folder cannot
    be written.
    """
    write_plan(folder, files, jobs)
    rows = {job.key: Row(job, _kept(folder, job, complain)) for job in jobs}
    missing = [row.job for row in rows.values() if row.record is None]
    done = len(rows) - len(missing)
    if progress is not None:
        progress(done, len(rows))
    for job, answer in share(missing) if missing else ():
        if isinstance(answer, Failure):
            rows[job.key] = Row(job, failure=answer.reason)
        else:
            write_record(folder, job, answer)
            rows[job.key] = Row(job, answer)
        done += 1
        if progress is not None:
            progress(done, len(rows))
    made = Sweep(called(files), tuple(rows.values()))
    write_whole(folder / CSV, csv_of(made.rows).encode())
    write_results(made, folder / HDF5)
    return made


def _kept(folder: Path, job: Job, complain: Callable[[str], None] | None) -> Record | None:
    """The record of an earlier sweep, None if there is none that is whole."""
    try:
        return read_record(folder, job)
    except FileError as error:
        if complain is not None:
            complain(f"{error}; its job is done again")
        return None
