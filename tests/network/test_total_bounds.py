"""Bounds of totals: no run leaves them, what an accumulator keeps of a range, and the width that follows."""

import networks
import numpy as np
import pytest
from hypothesis import example, given

from refengine.engine.run import run
from refengine.network.total_bounds import kept, total_bits, total_ends
from refengine.numbers.requantize import total


@given(networks.int_networks(steps=4))
@example(networks.every_op())
def test_no_total_of_a_run_leaves_its_bound(network):
    def observe(layer, operands, result):
        ends, bits = total_ends(network, layer), total_bits(network, layer)
        assert (ends is None) == (bits is None) == (layer.requantize is None)
        if ends is not None and result.accumulator is not None:
            found = total(result.accumulator, layer.requantize, result.residual)
            assert ends[0] <= int(found.min()) <= int(found.max()) <= ends[1]
            assert -(2 ** (bits - 1)) <= ends[0] <= ends[1] < 2 ** (bits - 1)
            assert bits == 1 or not -(2 ** (bits - 2)) <= ends[0] <= ends[1] < 2 ** (bits - 2), "a bit too many"

    run(network, networks.random_images(network, 2), "reference", observe)


@pytest.mark.parametrize(
    ("policy", "ends"), [("error", (-40000, 40000)), ("wrap", (-32768, 32767)), ("saturate", (-32768, 32767))]
)
def test_what_an_accumulator_keeps_of_a_range(policy, ends):
    bits = 32 if policy == "error" else 16
    layer = type(networks.small().layers[2])("x", "fc", (), 0, accumulator_bits=bits, accumulator_policy=policy)
    assert tuple(int(end) for end in kept(layer, -40000, 40000)) == ends
    assert tuple(int(end) for end in kept(layer, -5, 7)) == (-5, 7)
    if policy == "wrap":
        assert tuple(int(end) for end in kept(layer, 0, 32768)) == ends


def test_the_bounds_of_the_small_network_are_those_by_hand():
    """The hand-made network: each end of a channel's sum times its multiplier."""
    network = networks.small()
    layer = network.layer("conv")
    (lo, hi), multiplier = network.bounds[layer.name], layer.requantize.multiplier
    ends = int((np.asarray(lo) * multiplier).min()), int((np.asarray(hi) * multiplier).max())
    assert total_ends(network, layer) == ends
