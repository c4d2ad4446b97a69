"""What a step is worth: the terms of every layer say the same, and logits of an average keep its divisor."""

from fractions import Fraction

import networks
import numpy as np
import pytest
from hypothesis import given

from refengine.analysis.terms import accumulates, terms
from refengine.engine.run import run
from refengine.network.units import power_of_two, result_divisor, sum_divisor, worth


@given(networks.int_networks(steps=4))
def test_the_terms_of_an_output_say_the_same(network):
    for layer in filter(accumulates, network.layers):
        place = (0,) * len(network.shapes[layer.name])
        assert terms(network, layer, place).unit_divisor == sum_divisor(network, layer)
        assert result_divisor(network, layer) in (1, sum_divisor(network, layer))


@pytest.mark.parametrize("network", [networks.averaging("global_avgpool"), networks.averaging("avgpool")])
def test_logits_of_an_average_keep_its_divisor(network):
    last = network.layers[-1]
    assert result_divisor(network, last) == sum_divisor(network, last) == 9
    assert result_divisor(network, network.layers[0]) == 1


@pytest.mark.parametrize(
    "network", [networks.averaging("global_avgpool"), networks.averaging("avgpool"), networks.small()]
)
def test_logits_are_worth_their_sums_times_the_unit_by_the_divisor(network):
    logits = run(network, np.arange(2 * np.prod(network.input_shape)).reshape(2, *network.input_shape).astype(np.uint8))
    divisor = 1 if network.layers[-1].op == "fc" else 9
    unit = Fraction(2) ** network.layers[-1].exponent / divisor
    assert np.allclose(
        worth(network, network.layers[-1], logits),
        [[float(unit * code) for code in row] for row in logits.tolist()],
        1e-12,
    )


def test_a_pool_that_rounds_has_no_divisor_left():
    network = networks.every_op()
    for layer in network.layers:
        if layer.requantize is not None:
            assert result_divisor(network, layer) == 1


def test_a_divisor_that_is_a_power_of_two_is_found():
    for divisor in range(1, 70):
        found = power_of_two(-3, divisor)
        exact = [exponent for exponent in range(-12, 1) if 2**-3 / divisor == 2.0**exponent]
        assert exact == ([] if found is None else [found]), divisor
