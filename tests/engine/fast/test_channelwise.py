"""Each channel by itself: depthwise convolutions are the definition; what leaves 16 bits or one size has no step."""

import networks
import plans
import pytest
from walked_steps import assert_steps_are_the_definition, compiled

from refengine.engine.fast.steps import steps_of
from refengine.network.int_network import IntLayer
from refengine.numbers.formats import INT8


@pytest.mark.parametrize("channels", [3, 33])
def test_steps_of_depthwise_convolutions_are_the_definition(channels):
    network = plans.depthwise_network(1, channels, fmt=INT8)
    assert_steps_are_the_definition(network, networks.random_images(network, 1), counted=False)


@pytest.mark.parametrize(
    ("window", "covered"),
    [
        ({"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": False}, True),
        ({"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": True}, True),
        ({"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": True}, False),
        ({"kernel_shape": (3, 3), "strides": (9, 9), "pads": (1, 1, 0, 0), "ceil_mode": False}, True),
        ({"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "ceil_mode": False}, False),
    ],
)
def test_average_pools_have_a_step_if_their_windows_are_of_one_size(window, covered):
    small = networks.small()
    pool = IntLayer("001_pool", "avgpool", ("000_input",), 0, {}, window, networks.plain_requantize())
    mean = IntLayer("002_gap", "global_avgpool", ("001_pool",), 0)
    network = networks.small(input_shape=(6, 6, 1), classes=1, layers=(small.layers[0], pool, mean))
    assert (steps_of(compiled(network, 1), pool) is not None) is covered
    assert_steps_are_the_definition(network, networks.random_images(network, 2))


@pytest.mark.parametrize(("shift", "covered"), [(0, True), (14, True), (15, False), (22, False)])
def test_sums_have_a_step_if_their_shifts_are_weights_of_16_bits(shift, covered):
    small = networks.small()
    coarse = IntLayer("001_coarse", "requantize", ("000_input",), shift, requantize=networks.plain_requantize())
    added = IntLayer("002_add", "add", ("001_coarse", "000_input"), 0, {}, {"shifts": (shift, 0)})
    network = networks.small(classes=4, layers=(small.layers[0], coarse, added))
    assert (steps_of(compiled(network, 1), added) is not None) is covered
