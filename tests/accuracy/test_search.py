"""Searches: budgets are met, nothing is done twice, a folder of other files is refused, the front is one."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sweeps import write_files

from refengine.accuracy import search as module
from refengine.accuracy.search import (
    Budget,
    Tried,
    best_within,
    budget_of,
    front,
    pareto,
    prepare,
    uniform,
    uniform_int8,
    within_cost,
    within_points,
)
from refengine.accuracy.search_jobs import SearchJob, Sources, run_sources
from refengine.errors import FileError, RangeError, RefengineError
from refengine.network.images import write_images
from refengine.optional import installed
from refengine.quantization.plan import Weights

needs_scipy = pytest.mark.skipif(not installed("scipy"), reason="scipy is missing")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    files = write_files(tmp_path_factory.mktemp("search"))
    return Sources(files.network, files.calibration)


@pytest.fixture(scope="module")
def known():
    """Results of jobs, for all tests."""
    return {}


@pytest.fixture
def here(sources, known):
    """Jobs done in this process; its list says which."""

    class Here(list):
        def __call__(self, jobs):
            for job in jobs:
                self.append(job)
                if job.key not in known:
                    known[job.key] = run_sources(job, sources)
                yield job, known[job.key]

    return Here()


@pytest.mark.parametrize(
    ("text", "budget"),
    [("points=1.0", Budget("points", 1.0)), ("energy=0.5", Budget("energy", 0.5)), ("bytes=900", Budget("bytes", 900))],
)
def test_budgets(text, budget):
    assert budget_of(text) == budget
    assert budget_of(str(budget)) == budget


@pytest.mark.parametrize(
    "text", ["", "points", "points=", "points=x", "points=nan", "points=0", "replaced=1.1", "bytes=-1", "time=3",
             "energy=inf", "bytes=1_0", "points=\u0661"]
)  # fmt: skip
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(RangeError, match="--budget is "):
        budget_of(text)


@needs_scipy
def test_a_budget_of_costs_is_met_and_by_the_least_sum_of_losses(sources, here, tmp_path):
    search = prepare(tmp_path, sources, here)
    for budget in (Budget("replaced", 0.3), Budget("bytes", 600), Budget("energy", 0.99)):
        tried = within_cost(search, budget)
        saved = {
            "replaced": tried.trial.replaced - budget.value,
            "bytes": budget.value - tried.trial.constant_bytes,
            "energy": budget.value - tried.trial.picojoules / search.problem.int8_energy,
        }[budget.kind]
        assert saved >= -1e-9
        assert tried.trial.kl == min(
            one.trial.kl for one in search.trials if search.problem.excess(budget, one.trial) <= 0
        )
    with pytest.raises(RefengineError, match=r"--budget replaced=0\.999 cannot be met, at most 0\.\d+ are replaced"):
        within_cost(search, Budget("replaced", 0.999))


@needs_scipy
def test_a_search_that_was_stopped_goes_on_and_does_nothing_twice(sources, here, tmp_path):
    first = prepare(tmp_path, sources, here)
    assert len(here) == 3
    within_cost(first, Budget("replaced", 0.3))
    assert len(here) == 4
    again = prepare(tmp_path, sources, here)
    assert again.problem == first.problem
    within_cost(again, Budget("replaced", 0.3))
    assert len(here) == 4
    damaged = next((tmp_path / "jobs").glob("*.json"))
    damaged.write_text("{")
    heard = []
    within_cost(prepare(tmp_path, sources, here, complain=heard.append), Budget("replaced", 0.3))
    assert len(here) == 5
    assert len(heard) == 1
    assert heard[0].endswith("its job is done again")


def test_the_folder_of_other_files_or_counts_is_refused(sources, here, tmp_path):
    prepare(tmp_path, sources, here)
    with pytest.raises(FileError, match="is the folder of a search with another fit, needed the same"):
        prepare(tmp_path, sources, here, 4)
    changed = tmp_path / "changed.h5"
    write_images(changed, np.random.default_rng(9).integers(0, 256, (16, 6, 5, 3), np.uint8), None)
    with pytest.raises(FileError, match="is the folder of a search with another calibration, needed the same"):
        prepare(tmp_path, replace(sources, calibration=str(changed)), here)
    (tmp_path / "search.json").write_text(json.dumps({}))
    with pytest.raises(FileError, match="is damaged"):
        prepare(tmp_path, sources, here)


@needs_scipy
def test_a_budget_of_points_takes_the_cheapest_trial_within_it(sources, here, tmp_path):
    search = prepare(tmp_path, sources, here)
    search.try_plans([("all", uniform(search.problem, Weights("ternary", 2))), ("int8", uniform_int8(search.problem))])
    lost = max(map(search.points, search.trials))
    chosen = within_points(search, lost + 1, "multiplications", trials=3)
    assert search.points(chosen) <= lost + 1
    good = [one for one in search.trials if search.points(one) <= lost + 1]
    assert chosen.cost("multiplications") == min(one.cost("multiplications") for one in good)
    assert best_within(search, -1.0, "bytes") is None
    with pytest.raises(RefengineError, match=r"no plan loses 1e-12 points or less; the best one tried loses "):
        within_points(search, 1e-12, "energy", trials=1)


@needs_scipy
def test_the_predicted_front_rises_with_what_is_saved(sources, here, tmp_path):
    problem = prepare(tmp_path, sources, here).problem
    for cost in ("multiplications", "energy", "bytes"):
        points = front(problem, cost, 6)
        assert [lost for _, lost in points] == sorted((lost for _, lost in points), reverse=True)
        assert [spent for spent, _ in points] == sorted(spent for spent, _ in points)


def test_uniform_plans_keep_the_ends_and_trials_fail_in_one_line(sources, here, tmp_path):
    search = prepare(tmp_path, sources, here)
    plan = uniform(search.problem, Weights("int4", 4))
    assert [str(weights) for _, weights in plan.layers] == ["int8", "int4:4", "int8"]
    assert search.problem.predicted(uniform(search.problem, Weights("ternary", 3))) is None
    search.share = lambda jobs: ((job, module.Failure("there is not enough memory")) for job in jobs)
    with pytest.raises(RefengineError, match="plan any cannot be tried: there is not enough memory"):
        search.try_plans([("any", plan)])


def test_nothing_on_the_front_is_beaten(sources, here, tmp_path):
    search = prepare(tmp_path, sources, here)
    (made,) = search.try_plans([("one", uniform_int8(search.problem))])
    rng = np.random.default_rng(0)
    for number in range(30):
        kl, replaced = rng.integers(1, 6) / 10, rng.integers(1, 6) / 10
        search.trials.append(Tried(str(number), made.plan, 0.0, replace(made.trial, kl=kl, replaced=replaced)))
    best = pareto(search, "multiplications")
    for one in search.trials:
        better = [
            two for two in search.trials
            if two.cost("multiplications") <= one.cost("multiplications") and two.trial.kl <= one.trial.kl
            and (two.cost("multiplications"), two.trial.kl) != (one.cost("multiplications"), one.trial.kl)
        ]  # fmt: skip
        assert (one in best) <= (not better)


def test_a_job_without_a_layer_is_a_plan(sources):
    assert SearchJob(module.given_of(sources), None, ("int8",)).definition["layer"] is None
