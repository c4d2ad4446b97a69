"""Searches: budgets are met, nothing is done twice, a folder of other files is refused, the front is one."""

from dataclasses import replace

import numpy as np
import pytest
from sweeps import write_files

from refengine.accuracy import search as module
from refengine.accuracy.search import (
    LEFT,
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
from refengine.errors import RangeError, RefengineError
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
    done = len(here)
    assert 1 <= done - 3 <= len(LEFT)
    again = prepare(tmp_path, sources, here)
    assert again.problem == first.problem
    within_cost(again, Budget("replaced", 0.3))
    assert len(here) == done


def test_losses_of_earlier_layers_count_less(sources, here, tmp_path):
    """In geometric progression: 0.09, 0.3, 1 of the losses of three layers; costs stay."""
    problem = prepare(tmp_path, sources, here).problem
    for number, share in enumerate((0.09, 0.3, 1.0)):
        for counted, option in zip(problem.counting(0.09)[number], problem.choices[number], strict=True):
            assert counted.loss == pytest.approx(share * option.loss)
            assert replace(counted, loss=option.loss) == option
    plan = uniform(problem, Weights("ternary", 2))
    losses = [
        next(option.loss for option in layer if option.weights == weights)
        for (_, weights), layer in zip(plan.layers, problem.choices, strict=True)
    ]
    assert problem.predicted(plan) == pytest.approx(sum(losses))
    assert problem.predicted(plan, 0.09) == pytest.approx(0.09 * losses[0] + 0.3 * losses[1] + losses[2])


@needs_scipy
def test_every_way_of_counting_has_its_plan_tried(sources, here, tmp_path, monkeypatch):
    """The solver is asked with each; where it answers differently, each answer is tried."""
    search = prepare(tmp_path, sources, here)
    plans = iter([("int8", "ternary:2", "int8"), ("int8", "ternary:1", "int8"), ("int8", "int4:4", "int8")])
    answers = {}

    def least(choices, wanted, limited, limit):
        if choices not in answers:
            weights = next(plans)
            answers[choices] = tuple(
                next(option for option in layer if str(option.weights) == one)
                for layer, one in zip(search.problem.choices, weights, strict=True)
            )
        return answers[choices]

    monkeypatch.setattr(module, "least", least)
    chosen = within_cost(search, Budget("bytes", 10**9))
    assert [*answers] == [search.problem.counting(left) for left in LEFT]
    assert [one.name for one in search.trials] == [f"bytes=1e+09, {left:g} left" for left in LEFT]
    assert chosen.trial.kl == min(one.trial.kl for one in search.trials)


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
