"""refengine report: a page of what is done, and one line where there is none."""

import pytest
from verbs import refengine, refusal

from refengine.cli import report as verb
from refengine.errors import RefengineError
from refengine.optional import installed

SWEEP = ("sweep", "net.h5", "--calibration", "images.h5", "--images", "images.h5", "-o", "made", "weights=int8,int4")

needs_matplotlib = pytest.mark.skipif(not installed("matplotlib"), reason="matplotlib is missing")


@pytest.fixture
def swept(files):
    assert refengine(*SWEEP).code == 0
    return files / "made"


@needs_matplotlib
def test_report_writes_the_page_of_the_sweep(swept):
    first = (swept / "report.html").read_text()
    assert "every_op" in first
    assert refengine("report", "made").out == "made/report.html: 3 of 3 jobs\n"
    assert (swept / "report.html").read_text() == first
    assert refengine("report", "made", "-o", "page.html").out == "page.html: 3 of 3 jobs\n"
    assert (swept.parent / "page.html").read_text() == first


@needs_matplotlib
def test_json_has_the_jobs_of_the_sweep(swept):
    jobs = refengine("report", "made", "--json", "-").json["jobs"]
    assert jobs == refengine(*SWEEP, "--json", "-").json["jobs"]
    assert [job["weights"] for job in jobs] == ["float", "int8", "int4"]


@needs_matplotlib
def test_damaged_results_are_rows(swept):
    *_, last = sorted((swept / "jobs").iterdir())
    last.write_text("{}")
    outcome = refengine("report", "made", "-o", "page.html")
    assert (outcome.code, outcome.out) == (0, "page.html: 2 of 3 jobs\n")
    assert outcome.err == "refengine: 1 of 3 results are damaged; the next 'refengine sweep' does them again\n"
    assert "is damaged" in (swept.parent / "page.html").read_text()


@needs_matplotlib
def test_a_folder_without_a_sweep_is_refused(files):
    (files / "empty").mkdir()
    for name in ("empty", "missing", "net.h5"):
        assert f"{name}: is no folder of a sweep, needed one that 'refengine sweep -o' made" in refusal("report", name)


@needs_matplotlib
def test_where_it_cannot_be_written(swept):
    assert "there is no folder" in refusal("report", "made", "-o", "nowhere/page.html")
    assert "is also read from" in refusal("report", "made", "-o", "made/sweep.json")


def test_without_matplotlib_the_error_names_the_extra(swept, monkeypatch):
    def missing(name, needed):
        raise RefengineError(f"{name} cannot be imported; needed: {needed}")

    monkeypatch.setattr(verb, "package", missing)
    assert 'needed: pip install "refengine[report]"' in refusal("report", "made")
