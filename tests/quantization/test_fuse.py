"""Which float layers become one integer layer, on small graphs drawn by hand."""

import numpy as np
from float_networks import floats, layer, networks, norms
from hypothesis import given

from refengine.network.float_network import FloatNetwork
from refengine.quantization.fuse import fuse

RNG = np.random.default_rng(0)
ONE = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


def conv(number, source):
    return layer(number, "conv", [source], {"weight": floats(RNG, 1, 1, 1, 1)}, **ONE)


def norm(number, source):
    return layer(number, "batchnorm", [source], norms(RNG, 1), epsilon=1e-5)


def grouped(*layers):
    network = FloatNetwork("graph", (1, 1, 1), 1, (0.0,), (1.0,), "gray", (layer(0, "input"), *layers))
    return [(group.core.op, group.covers, group.residual) for group in fuse(network)][1:]


def test_conv_batchnorm_and_relu_become_one_layer():
    found = grouped(conv(1, "000_input"), norm(2, "001_conv"), layer(3, "relu", ["002_batchnorm"]), conv(4, "003_relu"))
    assert found == [("conv", ("001_conv", "002_batchnorm", "003_relu"), None), ("conv", ("004_conv",), None)]


def test_a_conv_that_is_read_twice_keeps_its_relu_apart():
    found = grouped(conv(1, "000_input"), layer(2, "relu", ["001_conv"]), layer(3, "add", ["001_conv", "002_relu"]))
    assert found == [("conv", ("001_conv",), None), ("relu", ("002_relu",), None), ("add", ("003_add",), None)]


def test_the_later_convolution_takes_the_add():
    found = grouped(conv(1, "000_input"), conv(2, "000_input"), layer(3, "add", ["002_conv", "001_conv"]))
    assert found == [("conv", ("001_conv",), None), ("conv", ("002_conv", "003_add"), "001_conv")]


def test_a_shortcut_that_comes_late_is_waited_for():
    found = grouped(
        conv(1, "000_input"),
        norm(2, "001_conv"),
        layer(3, "maxpool", ["000_input"], kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), ceil_mode=False),
        layer(4, "add", ["002_batchnorm", "003_maxpool"]),
        layer(5, "relu", ["004_add"]),
    )
    assert found == [
        ("maxpool", ("003_maxpool",), None),
        ("conv", ("001_conv", "002_batchnorm", "004_add", "005_relu"), "003_maxpool"),
    ]


def test_a_batchnorm_of_its_own():
    found = grouped(norm(1, "000_input"), layer(2, "relu", ["001_batchnorm"]), conv(3, "002_relu"), norm(4, "003_conv"))
    assert found == [("batchnorm", ("001_batchnorm", "002_relu"), None), ("conv", ("003_conv", "004_batchnorm"), None)]


def test_a_tensor_added_to_itself():
    found = grouped(conv(1, "000_input"), layer(2, "add", ["001_conv", "001_conv"]))
    assert found == [("conv", ("001_conv",), None), ("add", ("002_add",), None)]


@given(networks(steps=8))
def test_every_layer_is_covered_once_and_read_after_it_is_made(network):
    groups = fuse(network)
    covered = [name for group in groups for name in group.covers]
    assert sorted(covered) == sorted(made.name for made in network.layers)
    made = set()
    for group in groups:
        assert {*group.inputs, *([group.residual] if group.residual else [])} <= made
        made.add(group.output)
    assert groups[-1].output == network.layers[-1].name
