"""Errors of a layer's options: exact weights have none, coarser ones no less, and noise has the size that was asked."""

import numpy as np
import pytest
from calibrated import exact_network, pixels
from float_networks import every_op
from sweeps import seven

from refengine.network.resume import tensors_at
from refengine.quantization.fuse import fuse
from refengine.quantization.plan import Weights
from refengine.quantization.probe import Seen, error_of, noisy_sums, option_errors

OPTIONS = (Weights("ternary", 1), Weights("ternary", 64), Weights("int4", 4), Weights("int8"))


def sides(network, group, count=24):
    images = pixels(network, 2 * count)
    for part in (images[::2], images[1::2]):
        tensors = tensors_at(network, part, group.core.name)
        residual = None if group.residual is None else tensors[group.residual]
        yield Seen(tensors[group.inputs[0]], tensors[group.core.name], residual)


def weighted(network):
    return [group for group in fuse(network) if group.weighted]


def test_weights_that_eight_bits_hold_have_next_to_no_error():
    network = exact_network(np.random.default_rng(0))
    for group in weighted(network)[:2]:
        fit, judge = sides(network, group)
        (error,) = option_errors(group, fit, judge, [Weights("int8")])
        assert error < 1e-3


@pytest.mark.parametrize("network", [seven(), every_op()], ids=["plain", "every operator"])
def test_fewer_bits_lose_more_in_every_kind_of_layer(network):
    for group in weighted(network):
        fit, judge = sides(network, group)
        _, ternary, four, eight = option_errors(group, fit, judge, OPTIONS)
        if ternary > 0:  # not dead behind its activation
            assert eight < four < ternary


def test_noise_has_the_error_asked_for_and_is_the_same_again():
    network = seven()
    group = weighted(network)[1]
    fit, judge = sides(network, group)
    made = noisy_sums(group, fit, judge, 0.05)
    assert error_of(group, judge, judge.sums) == 0
    assert error_of(group, judge, made) == pytest.approx(0.05, rel=0.2)
    assert np.array_equal(made, noisy_sums(group, fit, judge, 0.05))
