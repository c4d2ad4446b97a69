"""Cases of operators: every factor that a clause names occurs, and results are not all the same."""

from collections import Counter

import numpy as np
import pytest
from conform_customers import every_case, some

from refengine.conform.answers import answer
from refengine.conform.suite import is_layer
from refengine.numbers.rounding import ROUNDINGS
from refengine.ops import OPS

LAYERS = [case for case in every_case().values() if is_layer(case.group)]


@pytest.mark.parametrize("op", [op for op in OPS if OPS[op].ACCUMULATES])
def test_every_operator_that_accumulates_has_all_that_any_has(op):
    """Every rounding; residuals, dynamic operands, residuals and results, and logits but of the input layer."""
    cases = some(1, f"layer_{op}").values()
    steps = [case.parameters["requantize"] for case in cases if case.parameters["requantize"]]
    assert {step["rounding"] for step in steps} == {*ROUNDINGS}
    if op == "lookup":  # Lookup2 allows it no more
        assert any(case.parameters["requantize"] is None for case in cases)
    elif op != "input":
        assert {"residual", "residual_d", "input_0_d"} <= {name for case in cases for name in case.inputs}
        assert any(step["dynamic"] for step in steps)
        assert any(case.parameters["requantize"] is None for case in cases)


def test_convolutions_have_every_kind_of_cluster_padding_and_group():
    found = Counter(part for case in some(1, "layer_conv").values() for part in case.why.split(", "))
    wanted = (
        "the last cluster is shorter", "clusters of 1", "one cluster", "a cluster larger than its channels",
        "depthwise",
        "2 groups", "padding", "uneven padding", "padding larger than the kernel", "int4 on int8", "ternary on uint8",
    )  # fmt: skip
    assert min(found[part] for part in wanted) > 10


def test_sums_reach_both_ends_of_int32():
    ends = [answer(case)["accumulator"] for case in some(1, "layer_fc").values() if case.why.startswith("sums at both")]
    assert all((acc[0] == [2**31 - 1, -(2**31)]).all() for acc in ends)
    assert len(ends) == 2 * len(ROUNDINGS)


def test_narrow_accumulators_lose_sums_of_every_width():
    cases = [case for case in LAYERS if case.parameters["accumulator"][1] != "error"]
    assert {case.parameters["accumulator"][0] for case in cases} == {*range(16, 32)}
    assert all(answer(case)["overflowed"][0] for case in cases)


def test_the_same_sums_by_clusters_and_by_plain_weights():
    pairs = [case for case in some(1, "layer_conv").values() if "C5" in case.clauses]
    for ternary, plain in zip(pairs[::2], pairs[1::2], strict=True):
        assert (answer(ternary)["accumulator"] == answer(plain)["accumulator"]).all()
        assert ternary.parameters["weight_format"] != plain.parameters["weight_format"]


def test_additions_have_every_shift():
    shifts = {tuple(case.parameters["attributes"]["shifts"]) for case in some(1, "layer_add").values()}
    assert shifts >= {(k, 0) for k in range(23)} | {(0, k) for k in range(23)}


def test_codes_are_spread():
    """Most layers give many codes, neither all 0 nor all at the ends."""
    spread = [len(np.unique(answer(case)["code"])) for case in LAYERS[::5] if case.parameters["requantize"]]
    assert np.median(spread) > 10
