"""Sweeps: nothing is done twice, nothing is lost, and whoever does the jobs changes no figure."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from sweeps import told, write_files

from refengine.accuracy.grid import schemes
from refengine.accuracy.jobs import jobs_for, run_files
from refengine.accuracy.processes import Failure, answers
from refengine.accuracy.results import read_sweep
from refengine.accuracy.sweep import CSV, HDF5, run_sweep
from refengine.errors import FileError

ROOT = Path(__file__).parents[2]
GRID = ["cluster=1,2", "weights=ternary,int8"]


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


def test_a_sweep(files, jobs, wanted, tmp_path):
    shown, done = [], []
    made = run_sweep(tmp_path, files, jobs, here(files, done), lambda *so_far: shown.append(so_far))
    assert [told(row.record) for row in made.rows] == wanted
    assert shown == [(number, len(jobs)) for number in range(len(jobs) + 1)]
    assert done == [job.key for job in jobs]
    assert {path.name for path in tmp_path.iterdir()} == {"jobs", "sweep.json", CSV, HDF5}
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
    more, done = jobs_for(schemes([*GRID, "rounding=half_up,floor"]), files), []
    run_sweep(tmp_path, files, more, here(files, done))
    assert len(more) == 2 * len(jobs) - 1
    assert set(done) == {job.key for job in more} - {job.key for job in jobs}


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


def test_processes_change_no_figure(files, jobs, wanted, tmp_path):
    for processes, threads in ((1, 2), (2, 1)):
        share = partial(answers, work=partial(run_files, files=files, threads=threads), processes=processes)
        made = run_sweep(tmp_path / str(processes), files, jobs, share)
        assert [told(row.record) for row in made.rows] == wanted


def test_a_folder_that_is_a_file(files, jobs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made a folder"):
        run_sweep(tmp_path / "file", files, jobs, here(files))


# ---------------------------------------------------------------------------------------------------- the verb, stopped


def verb(files, folder, *options):
    command = [sys.executable, "-m", "refengine", "sweep", files.network, "--calibration", files.calibration]
    return [*command, "--images", files.images, "--grid", *GRID, "rounding=half_up,floor", "-o", folder, *options]


def wait_for_results(folder, count):
    for _ in range(3000):
        if (folder / "jobs").is_dir() and len(list((folder / "jobs").glob("*.json"))) >= count:
            return
        time.sleep(0.02)
    pytest.fail("no job was ever done")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_killed_loses_nothing(files, tmp_path, number):
    """Results that are there stay as they are, byte for byte, and the others are those of a sweep in peace."""
    stopped = subprocess.Popen(verb(files, tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for_results(tmp_path, 2)
    os.kill(stopped.pid, number)
    errors = stopped.communicate(timeout=120)[1]
    jobs = jobs_for(schemes([*GRID, "rounding=half_up,floor"]), files)
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
