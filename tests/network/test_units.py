"""What a step is worth: the terms of every layer say the same, and logits of an average keep its divisor."""

import networks
import pytest
from hypothesis import given

from refengine.analysis.terms import accumulates, terms
from refengine.network.units import power_of_two, result_divisor, sum_divisor


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


def test_a_pool_that_rounds_has_no_divisor_left():
    network = networks.every_op()
    for layer in network.layers:
        if layer.requantize is not None:
            assert result_divisor(network, layer) == 1


@pytest.mark.parametrize("divisor", range(1, 70))
def test_a_divisor_that_is_a_power_of_two_is_found(divisor):
    found = power_of_two(-3, divisor)
    exact = [exponent for exponent in range(-12, 1) if 2**-3 / divisor == 2.0**exponent]
    assert exact == ([] if found is None else [found])
