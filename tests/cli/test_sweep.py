"""refengine sweep: the public function's rows, refusals in one line, and exit codes."""

import json

import pytest
from sweeps import told
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.accuracy.grid import schemes
from refengine.accuracy.jobs import Files, jobs_for, run_files
from refengine.accuracy.results import read_sweep
from refengine.cli import sweep as verb
from refengine.optional import installed

FILES = ("net.h5", "unlabelled.h5", "images.h5")
CALL = ("sweep", "net.h5", "--calibration", "unlabelled.h5", "--images", "images.h5", "-o", "made")
GRID = ("--grid", "cluster=1,2", "weights=ternary,int8")


@pytest.fixture
def here(monkeypatch):
    """Jobs are done in this process."""

    def answers(jobs, work, processes):
        yield from ((job, work(job)) for job in jobs)

    monkeypatch.setattr(verb, "answers", answers)


def test_rows_are_the_public_function_s(files, here):
    outcome = refengine(*CALL, *GRID, "--limit", "7", "--calibration-images", "5", "--jobs", "2")
    assert outcome.code == 0
    jobs = jobs_for(schemes(GRID[1:]), Files(*FILES), 5, 7)
    made = read_sweep(files / "made")
    assert [row.job for row in made.rows] == [*jobs]
    assert [told(row.record) for row in made.rows] == [told(run_files(job, Files(*FILES))) for job in jobs]
    lines = outcome.out.splitlines()
    assert lines[-1] == "made: results.csv, results.h5"
    assert [line.split("  ")[0] for line in lines[1:-1]] == [
        "float",
        "weights=ternary cluster=1",
        "weights=int8",
        "weights=ternary cluster=2",
    ]
    record = made.rows[1].record
    assert f" {record.correct} " in lines[2]
    assert f"{100 * record.multiplications_replaced:.2f} %" in lines[2]


def test_the_json_and_both_ways_to_write_a_grid(files, here):
    one = refengine(*CALL, "--grid", "cluster=1,2", "--grid", "weights=ternary,int8", "--json", "-").json
    other = refengine(*CALL, *GRID, "--json", "figures.json")
    assert other.code == 0
    assert json.loads((files / "figures.json").read_text()) == one
    assert (one["report"], len(one["jobs"])) == ("sweep", 4)
    assert one["jobs"][0]["weights"] == "float"


def test_a_failed_job_is_a_row_and_exit_code_1(files, here):
    outcome = refengine(*CALL, "--grid", "accumulator_bits=16,32", "weights=int8")
    assert outcome.code == 1
    assert outcome.err.endswith("refengine: 1 of 3 jobs failed\n")
    assert "its accumulator has 16" in outcome.out
    assert read_sweep(files / "made").rows[2].done


def test_what_the_folder_has_besides_is_shown_or_said(files, here):
    assert refengine(*CALL, *GRID).code == 0
    other = refengine(*CALL, "--grid", "weights=int4")
    assert len(other.out.splitlines()) == 1 + 5 + 1
    assert "more results" not in other.err
    fewer = refengine(*CALL, "--grid", "weights=int4", "--limit", "3")
    said = "refengine: made has 5 more results, of other files, counts or versions, or damaged: not shown"
    assert said in fewer.err.splitlines()
    if installed("matplotlib"):
        assert refengine("report", "made").err == said + "\n"


def test_a_report_needs_matplotlib(files, here, monkeypatch):
    monkeypatch.setattr(verb, "installed", lambda name: False)
    outcome = refengine(*CALL)
    assert outcome.code == 0
    assert 'matplotlib is missing; needed: pip install "refengine[report]"' in outcome.err
    assert not (files / "made" / "report.html").exists()


def test_jobs_run_in_processes(files):
    """The real thing, once."""
    assert refengine(*CALL, *GRID, "--jobs", "2").code == 0
    assert all(row.done for row in read_sweep(files / "made").rows)


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        ((*CALL, "--grid", "clusters=1"), "needed FIELD=VALUE"),
        ((*CALL, "cluster=1,2,...,64"), "doubling and with equal steps"),
        ((*CALL, "made"), "grid has 'made'"),
        (("sweep", "model.h5", *CALL[2:]), "needed 'refengine-float'"),
        ((*CALL[:5], "unlabelled.h5", *CALL[6:], "--images", "unlabelled.h5"), "labels"),
        ((*CALL, "--json", "net.h5"), "is also read from"),
        ((*CALL[:-1], "net.h5"), "cannot be made a folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, here, arguments, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*arguments)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize("name", FILES)
def test_damaged_input_is_refused_in_one_line(files, here, name):
    assert_damage_is_refused(files / name, *CALL)
