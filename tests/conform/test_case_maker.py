"""What is drawn for cases of operators: results are not all the same, and draws stay what they are."""

import numpy as np
from conform_customers import every_case

from refengine.conform.answers import answer
from refengine.conform.case_maker import Maker, clusters_among
from refengine.conform.suite import is_layer
from refengine.numbers.formats import INT8, UINT8

LAYERS = [case for case in every_case().values() if is_layer(case.group)]


def test_codes_are_spread():
    """Most layers give many codes, neither all 0 nor all at the ends."""
    spread = [len(np.unique(answer(case)["code"])) for case in LAYERS[::5] if case.parameters["requantize"]]
    assert np.median(spread) > 10


def test_operands_are_drawn_by_the_group_and_the_turn_alone():
    draws = [
        Maker(op, turn).codes((2, 3, 4), UINT8).codes for op, turn in (("conv", 0), ("conv", 0), ("conv", 1), ("fc", 0))
    ]
    assert np.array_equal(draws[0], draws[1])
    assert len({codes.tobytes() for codes in draws}) == 3


def test_operands_lie_within_their_ends():
    for fmt in (UINT8, INT8):
        operand = Maker("add", 0).dynamic((4, 2, 2, 3), fmt, 3)
        low, high = operand.ends
        assert (low, high) == (fmt.lo * 8, fmt.hi * 8)
        assert low <= operand.codes.min() <= operand.codes.max() <= high


def test_clusters_of_every_kind():
    """7 channels: clusters of 1, of 2 and 3 with a shorter last one, one cluster, one larger than its channels."""
    assert [cluster for cluster, _, _ in clusters_among(7)] == [1, 2, 3, 7, 9]
    assert [why for _, _, why in clusters_among(6)][:3] == ["clusters of 1", "clusters of 2", "clusters of 3"]
