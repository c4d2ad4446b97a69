"""refengine search: a plan and its model, made again by quantize --plan; refusals in one line."""

import json
import sys
from functools import partial

import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.accuracy.search_jobs import run_sources
from refengine.cli import search as verb
from refengine.network.int_file import read_int_network
from refengine.optional import installed
from refengine.quantization.plan import read_plan

CALL = ("search", "net.h5", "--calibration", "unlabelled.h5", "-o", "made")
needs_scipy = pytest.mark.skipif(not installed("scipy"), reason="scipy is missing")


@pytest.fixture
def here(monkeypatch):
    """Jobs are done in this process."""

    def answers(jobs, work, processes):
        assert isinstance(work, partial)
        assert work.func is run_sources
        yield from ((job, work(job)) for job in jobs)

    monkeypatch.setattr(verb, "answers", answers)


@needs_scipy
def test_a_plan_is_chosen_and_quantize_makes_its_model_again(files, here):
    outcome = refengine(*CALL, "--budget", "replaced=0.2", "--json", "figures.json")
    assert outcome.code == 0, outcome
    model = read_int_network("made/model.h5")
    assert outcome.out.splitlines()[-1] == f"made: plan.json, model.h5 (model {model.hash})"
    again = refengine(
        "quantize", "net.h5", "--calibration", "unlabelled.h5", "--plan", "made/plan.json", "-o", "again.h5"
    )
    assert again.code == 0
    assert read_int_network("again.h5").hash == model.hash
    assert model.made_with["plan"] == read_plan("made/plan.json").described()
    figures = json.loads((files / "figures.json").read_text())
    (trial,) = (one for one in figures["trials"] if one["name"] == figures["chosen"])
    assert trial["replaced"] >= 0.2
    assert trial["layers"] == {name: str(weights) for name, weights in read_plan("made/plan.json").layers}
    assert (files / "made" / "report.html").exists() == installed("matplotlib")
    before = (files / "made" / "plan.json").read_bytes()
    assert refengine(*CALL, "--budget", "replaced=0.2").code == 0
    assert (files / "made" / "plan.json").read_bytes() == before


@needs_scipy
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--budget", "points"], "--budget is 'points', needed points=1.0, replaced=0.8"),
        (["--budget", "replaced=2"], "needed replaced above 0 and at most 1"),
        (["--budget", "bytes=1"], "--budget bytes=1 cannot be met, the fewest bytes are"),
        (["--dask", "nowhere"], "--dask nowhere: "),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(files, here, more, said):
    assert said in refusal(*CALL, *more)


def test_without_scipy_one_line_says_what_is_needed(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert 'needed: pip install "refengine[search]"' in refusal(*CALL)


@needs_scipy
def test_damaged_files_are_refused(files):
    assert_damage_is_refused(files / "net.h5", *CALL)
