"""Sweeps: nothing is done twice, nothing is lost, and whoever does the jobs changes no figure."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from everyday import everyday
from sweeps import told, write_files

from refengine.accuracy.grid import schemes
from refengine.accuracy.jobs import jobs_for, run_files
from refengine.accuracy.processes import Failure, answers
from refengine.accuracy.results import read_sweep
from refengine.accuracy.sweep import CSV, HDF5, run_sweep
from refengine.errors import FileError

ROOT = Path(__file__).parents[2]
GRID = ["cluster=1,2", "weights=ternary,int8"]
SLOW_GRID = [*GRID, "rounding=half_up,floor"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def jobs(files):
    return jobs_for(schemes(GRID), files)


@pytest.fixture(scope="module")
def wanted(files, jobs):
    return [told(run_files(job, files)) for job in jobs]


def here(files, done=None):
    """Jobs done in this process; ``done`` is told their keys."""

    def share(missing):
        for job in missing:
            if done is not None:
                done.append(job.key)
            yield job, run_files(job, files)

    return share


def kept(folder):
    return {path.name: path.read_bytes() for path in (folder / "jobs").iterdir()}


def test_a_sweep_runs_every_job_once_and_shows_progress(files, jobs, wanted, tmp_path):
    shown, done = [], []
    made = run_sweep(tmp_path, files, jobs, here(files, done), lambda *so_far: shown.append(so_far))
    assert [told(row.record) for row in made.rows] == wanted
    assert shown == [(number, len(jobs)) for number in range(len(jobs) + 1)]
    assert done == [job.key for job in jobs]
    assert {path.name for path in tmp_path.iterdir()} == {"jobs", "lock", "sweep.json", CSV, HDF5}
    assert len((tmp_path / CSV).read_text().splitlines()) == len(jobs) + 1
    assert [told(row.record) for row in read_sweep(tmp_path).rows] == wanted


def test_stopped_anywhere_it_goes_on(files, jobs, wanted, tmp_path):
    done = []

    def stopping(missing):
        yield next(here(files, done)(missing))
        raise KeyboardInterrupt

    for _ in jobs:
        with pytest.raises(KeyboardInterrupt):
            run_sweep(tmp_path, files, jobs, stopping)
    before = kept(tmp_path)
    made = run_sweep(tmp_path, files, jobs, here(files, done))
    assert done == [job.key for job in jobs]
    assert kept(tmp_path) == before
    assert [told(row.record) for row in made.rows] == wanted


def test_a_damaged_result_is_made_again_and_said(files, jobs, wanted, tmp_path):
    run_sweep(tmp_path, files, jobs, here(files))
    spoiled = tmp_path / "jobs" / f"{jobs[2].key}.json"
    spoiled.write_bytes(spoiled.read_bytes()[:100])
    heard, done = [], []
    made = run_sweep(tmp_path, files, jobs, here(files, done), complain=heard.append)
    assert done == [jobs[2].key]
    assert heard == [f"{spoiled}: is damaged, it is no JSON; its job is done again"]
    assert [told(row.record) for row in made.rows] == wanted


def test_a_grown_grid_does_what_is_new(files, jobs, tmp_path):
    run_sweep(tmp_path, files, jobs, here(files))
    more, done = jobs_for(schemes(SLOW_GRID), files), []
    run_sweep(tmp_path, files, more, here(files, done))
    assert len(more) == 2 * len(jobs) - 1
    assert set(done) == {job.key for job in more} - {job.key for job in jobs}


def test_another_grid_keeps_what_is_there_in_the_tables(files, jobs, wanted, tmp_path):
    """Asked for first, the rest after; the plan, and so a report, has the same."""
    run_sweep(tmp_path, files, jobs, here(files))
    asked, done = jobs_for(schemes(["weights=int4"]), files), []
    made = run_sweep(tmp_path, files, asked, here(files, done))
    assert done == [asked[1].key]
    assert [row.job for row in made.rows[:2]] == [*asked]
    assert {row.job for row in made.rows} == {*asked, *jobs}
    by_key = {job.key: record for job, record in zip(jobs, wanted, strict=True)}
    assert all(told(row.record) == by_key[row.job.key] for row in made.rows if row.job.key in by_key)
    assert len((tmp_path / CSV).read_text().splitlines()) == len(jobs) + 1 + 1
    assert [row.job for row in read_sweep(tmp_path).rows] == [row.job for row in made.rows]
    assert made.apart == read_sweep(tmp_path).apart == 0


def test_other_counts_stay_apart_and_are_counted(files, jobs, tmp_path):
    """Images differ, so nothing could be compared; asked for again they are back."""
    run_sweep(tmp_path, files, jobs, here(files))
    fewer, done = jobs_for(schemes(GRID), files, limit=5), []
    made = run_sweep(tmp_path, files, fewer, here(files))
    assert [row.job for row in made.rows] == [*fewer]
    assert made.apart == read_sweep(tmp_path).apart == len(jobs)
    back = run_sweep(tmp_path, files, jobs[:1], here(files, done))
    assert ({row.job for row in back.rows}, back.apart, done) == ({*jobs}, len(fewer), [])


def test_a_damaged_result_of_another_grid_is_no_row(files, jobs, tmp_path):
    run_sweep(tmp_path, files, jobs, here(files))
    (tmp_path / "jobs" / f"{jobs[1].key}.json").write_text("{}")
    made = run_sweep(tmp_path, files, jobs[2:], here(files))
    assert {row.job for row in made.rows} == {*jobs} - {jobs[1]}
    assert made.apart == 1


def test_failures_are_rows_and_are_tried_again(files, jobs, tmp_path):
    def failing(missing):
        for job, record in here(files)(missing):
            yield job, Failure("the process died") if job == jobs[1] else record

    made = run_sweep(tmp_path, files, jobs, failing)
    assert [row.error for row in made.rows] == [None, "the process died", *[None] * (len(jobs) - 2)]
    assert "the process died" in (tmp_path / CSV).read_text()
    assert read_sweep(tmp_path).rows[1].record is None
    done = []
    assert all(row.done for row in run_sweep(tmp_path, files, jobs, here(files, done)).rows)
    assert done == [jobs[1].key]


def test_an_overflow_is_a_row_that_stays(files, tmp_path):
    jobs, done = jobs_for(schemes(["accumulator_bits=16,32", "weights=int8"]), files), []
    for _ in range(2):
        made = run_sweep(tmp_path, files, jobs, here(files, done))
        assert [row.done for row in made.rows] == [True, False, True]
        assert "its accumulator has 16" in made.rows[1].error
    assert len(done) == 3


@pytest.mark.slow
def test_processes_change_no_figure(files, jobs, wanted, tmp_path):
    for processes, threads in ((1, 2), (2, 1)):
        share = partial(answers, work=partial(run_files, files=files, threads=threads), processes=processes)
        made = run_sweep(tmp_path / str(processes), files, jobs, share)
        assert [told(row.record) for row in made.rows] == wanted


def test_what_another_sweep_has_done_meanwhile_is_not_done_again(files, jobs, wanted, tmp_path):
    """A whole sweep between the first job of this one and its second."""
    done = []

    def interrupted(missing):
        for number, answer in enumerate(here(files, done)(missing)):
            if number == 0:
                run_sweep(tmp_path, files, jobs[1:], here(files))
            yield answer

    made = run_sweep(tmp_path, files, jobs, interrupted)
    assert done == [jobs[0].key]
    assert [told(row.record) for row in made.rows] == wanted


def test_a_folder_that_is_a_file(files, jobs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made a folder"):
        run_sweep(tmp_path / "file", files, jobs, here(files))


# ---------------------------------------------------------------------------------------------------- the verb, stopped


def verb(files, folder, *options):
    command = [sys.executable, "-m", "refengine", "sweep", files.network, "--calibration", files.calibration]
    return [*command, "--images", files.images, "--grid", *SLOW_GRID, "-o", folder, *options]


def wait_for_results(folder, count):
    for _ in range(3000):
        if (folder / "jobs").is_dir() and len(list((folder / "jobs").glob("*.json"))) >= count:
            return
        time.sleep(0.02)
    pytest.fail("no job was ever done")


@pytest.mark.parametrize(
    "number",
    everyday([signal.SIGKILL, signal.SIGINT, signal.SIGTERM], 3),
)
def test_a_sweep_that_is_killed_loses_nothing(files, tmp_path, number):
    """Results that are there stay as they are, byte for byte, and the others are those of a sweep in peace."""
    stopped = subprocess.Popen(verb(files, tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for_results(tmp_path, 2)
    os.kill(stopped.pid, number)
    errors = stopped.communicate(timeout=120)[1]
    jobs = jobs_for(schemes(SLOW_GRID), files)
    if number != signal.SIGKILL:
        *progress, last = errors.splitlines()
        assert (stopped.returncode, last) == (128 + number, "refengine: error: interrupted")
        assert all(line.startswith("sweep: ") for line in progress)
    whole = {name: content for name, content in kept(tmp_path).items() if not name.endswith(".part")}
    assert 2 <= len(whole) <= len(jobs)
    done = []
    made = run_sweep(tmp_path, files, jobs, here(files, done))
    assert len(done) == len(jobs) - len(whole)
    assert {name: content for name, content in kept(tmp_path).items() if name in whole} == whole
    assert [told(row.record) for row in made.rows] == [told(run_files(job, files)) for job in jobs]


@pytest.mark.slow
def test_two_sweeps_at_once_do_each_job_once(files, tmp_path):
    """Between them; each has all of it in the end, though one was killed on the way."""
    command = verb(files, tmp_path, "--json", "-")
    killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_results(tmp_path, 1)
    killed.kill()
    killed.wait()
    before = kept(tmp_path)
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    one, other = (running.communicate(timeout=120)[0] for running in both)
    assert [running.returncode for running in both] == [0, 0]
    assert one == other  # seconds too, so every result was made once
    after = kept(tmp_path)
    assert {name: after[name] for name in before if name.endswith(".json")} == {
        name: content for name, content in before.items() if name.endswith(".json")
    }
    assert len(list((tmp_path / "jobs").glob("[!.]*.json"))) == len(jobs_for(schemes(SLOW_GRID), files))
