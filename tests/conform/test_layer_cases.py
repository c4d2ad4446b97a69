"""Cases of each operator: every factor that a clause names occurs."""

from collections import Counter

from conform_customers import every_case, some

from refengine.conform.answers import answer
from refengine.conform.suite import is_layer
from refengine.numbers.rounding import ROUNDINGS

LAYERS = [case for case in every_case().values() if is_layer(case.group)]


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
