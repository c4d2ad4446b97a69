"""Choices of weights: options with their costs, losses between those measured, and the best of all plans, exactly."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import seven

from refengine.accuracy.choices import (
    CLUSTERS,
    COSTS,
    INT8,
    Option,
    least,
    measured,
    offered,
    offered_range,
    options,
    total,
)
from refengine.accuracy.cost import cost_of, layer_cost
from refengine.accuracy.search_jobs import Sensitivity
from refengine.accuracy.workload import Filters, in_clusters, workloads
from refengine.errors import RefengineError
from refengine.optional import installed
from refengine.quantization.plan import Weights

needs_scipy = pytest.mark.skipif(not installed("scipy"), reason="scipy is missing")
LAYERS = [layer for layer in workloads(seven()) if layer.filters]
OPTIONS = st.builds(
    Option, st.just(INT8), st.integers(0, 20), st.integers(0, 20).map(float), st.integers(0, 20), st.integers(0, 20)
)


def sensitivity(filters):
    errors = tuple(0.3 / (number + 1) for number in range(len(measured(filters))))
    return Sensitivity(errors, 0.1, 2.0, 5.0, 0.0)


@pytest.mark.parametrize("inputs", [1, 2, 3, 16, 64, 500])
@pytest.mark.parametrize("taps", [1, 9])
def test_what_is_measured_is_offered_and_no_cluster_is_larger_than_needed(inputs, taps):
    filters = Filters(8, inputs, taps, 4, "ternary", 4)
    assert {*measured(filters)} <= {*offered(filters)}
    assert len({*offered(filters)}) == len(offered(filters))
    sizes = {weights.cluster for weights in offered(filters) if weights.format == "ternary"}
    assert sizes <= {*CLUSTERS}
    assert max(sizes) >= min(64, inputs)
    assert all(size < 2 * inputs or size == 1 for size in sizes)


def test_losses_lie_between_those_measured_and_costs_are_those_of_the_layer():
    for layer in LAYERS:
        found = sensitivity(layer.filters)
        made = {option.weights: option for option in options(layer, found)}
        known = dict(zip(measured(layer.filters), found.errors, strict=True))
        for weights, error in known.items():
            assert made[weights].loss == pytest.approx(2.0 * error / 0.1)
        for weights, option in made.items():
            cost = layer_cost(layer.with_weights(weights.format, weights.cluster))
            assert (option.multiplications, option.bytes) == (cost.multiplications, cost.storage.total)
            of_format = [found.loss(error) for one, error in known.items() if one.format == weights.format]
            assert min(of_format) * (1 - 1e-9) <= option.loss <= max(of_format) * (1 + 1e-9)
        assert offered_range([*made.values()])[1] == max(option.loss for option in made.values())


def test_uniform_options_cost_what_the_network_costs():
    two = in_clusters(workloads(seven()), 2)
    inner = [
        option for option in options(LAYERS[1], sensitivity(LAYERS[1].filters)) if str(option.weights) == "ternary:2"
    ]
    ends = [next(o for o in options(layer, sensitivity(layer.filters)) if o.weights == INT8) for layer in LAYERS[::2]]
    assert total([*inner, *ends], "multiplications") == cost_of(two).multiplications


@needs_scipy
@given(st.lists(st.lists(OPTIONS, min_size=1, max_size=3), min_size=1, max_size=4), st.integers(0, 60))
def test_the_solver_finds_what_trying_everything_finds(choices, limit):
    for wanted, limited in (("loss", "multiplications"), ("energy", "loss"), ("bytes", "loss")):
        sums = [total(plan, wanted) for plan in product(*choices) if total(plan, limited) <= limit]
        found = least(choices, wanted, limited, limit)
        assert (found is None) == (not sums)
        if found is not None:
            assert total(found, limited) <= limit
            assert total(found, wanted) == min(sums)
            assert all(option in layer for option, layer in zip(found, choices, strict=True))


@needs_scipy
def test_the_solver_prints_nothing(capfd):
    choices = [[Option(INT8, n, 1.0, 1, 0.3 / (1 + n)) for n in range(6)] for _ in range(6)]
    assert least(choices, "loss", "multiplications", 17.5) is not None
    assert capfd.readouterr() == ("", "")


def test_without_scipy_one_line_says_what_is_needed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(RefengineError, match=r'needed: pip install "refengine\[search\]"'):
        least([[Option(INT8, 1, 1.0, 1, 1.0)]], "loss", "bytes", math.inf)


def test_the_costs_are_fields():
    assert all(hasattr(Option(Weights("int8"), 1, 1.0, 1, 0.0), name) for name in COSTS)
