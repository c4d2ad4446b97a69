"""The networks of the passport: everything of the contract occurs in them."""

from collections import Counter

import numpy as np

from refengine.conform.small_networks import small_networks
from refengine.engine.run import run
from refengine.numbers.rounding import ROUNDINGS
from refengine.ops import OPS


def test_everything_occurs():
    found = Counter()
    for small in small_networks():
        found[small.network.channels] += 1
        for layer in small.network.layers:
            found[layer.op] += 1
            found[layer.weight_format] += 1
            found[layer.accumulator_policy] += layer.accumulator_bits < 32
            found["residual"] += layer.residual is not None
            if layer.requantize is not None:
                found[layer.requantize.rounding] += 1
                found[layer.requantize.activation] += 1
                found["dynamic"] += layer.requantize.dynamic > 0
    operators = {*OPS} - {"lookup", "gather_channels", "mul"}  # younger than the digest that machines have given
    wanted = ["RGB", "BGR", "gray", "ternary", "int4", "int8", "wrap", "saturate", "relu", "clip", "none"]
    assert all(found[what] for what in [*wanted, *operators, *ROUNDINGS, "residual", "dynamic"]), found


def test_sums_that_do_not_fit_and_images_that_choose_occur():
    overflowed, chosen = 0, set()

    def observe(layer, operands, result):
        nonlocal overflowed
        overflowed += result.overflowed
        chosen.update([] if result.coarser is None else result.coarser.tolist())

    for small in small_networks():
        logits = run(small.network, small.images, "reference", observe)
        assert len(np.unique(logits)) > 2
    assert overflowed > 100
    assert {2, 4, 5, 6, 7} <= chosen


def test_they_are_made_once():
    assert small_networks() is small_networks()
