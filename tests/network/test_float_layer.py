"""A layer is what the table says, or is refused by its name."""

import dataclasses
import math

import numpy as np
import pytest
from float_networks import CONV, WINDOW, layer, ones, refused

NORM = {"gamma": [1], "beta": [0], "mean": [0], "var": [1]}


def norm(epsilon=0.1, **changes):
    constants = {name: np.array(value, np.float32) for name, value in {**NORM, **changes}.items()}
    return layer(1, "batchnorm", ["000_input"], constants, epsilon=epsilon)


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "x" * 201, 7, "\udc80"])
def test_names(name):
    refused("a layer is called", dataclasses.replace, layer(0, "input"), name=name)


def test_unknown_op_lists_the_known():
    refused("layer '000_softmax': op 'softmax' is unknown, known are: add, avgpool, ", layer, 0, "softmax")


@pytest.mark.parametrize(
    ("op", "count"),
    [("input", 1), ("conv", 0), ("conv", 2), ("add", 1), ("add", 3), ("concat", 0), ("relu", 0), ("relu", 2)],
)
def test_a_wrong_number_of_inputs_is_refused(op, count):
    refused(f"has {count} inputs, needs", layer, 0, op, ["x"] * count)


def test_constants_and_attributes_are_those_of_the_op():
    weight = {"weight": ones(2, 1, 1, 1)}
    refused("has no constant 'weight'", layer, 1, "conv", ["x"], **CONV)
    refused("has constant 'scale', known are: bias, weight", layer, 1, "conv", ["x"], {**weight, "scale": 1}, **CONV)
    refused("has no attribute 'group'", layer, 1, "conv", ["x"], weight, strides=(1, 1), pads=(0, 0, 0, 0))
    refused(
        "has attribute 'dilation', known are: dilations, group, pads",
        layer,
        1,
        "conv",
        ["x"],
        weight,
        **CONV,
        dilation=2,
    )
    refused("known are: none", layer, 1, "flatten", ["x"], axis=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("strides", value) for value in [(0, 1), (1,), (1, 1, 1), (1.0, 1), "11", 1, None, (1, 1 << 20)]],
        *[("pads", value) for value in [(0, 0, 0), (-1, 0, 0, 0), (0, 0, 0, 1 << 20)]],
        *[("group", value) for value in [0, -1, 1.0, "1", [1], None]],
    ],
)
def test_wrong_attributes_of_a_conv_are_refused(name, value):
    weight = {"weight": ones(2, 1, 1, 1)}
    refused(f"attribute {name!r} is ", layer, 1, "conv", ["x"], weight, **{**CONV, name: value})


@pytest.mark.parametrize("flag", [2, -1, "yes", None, 0.5])
def test_a_wrong_ceil_mode_is_refused(flag):
    refused("attribute 'ceil_mode' is", layer, 1, "maxpool", ["x"], **{**WINDOW, "ceil_mode": flag})


@pytest.mark.parametrize("pads", [(2, 0, 0, 0), (0, 2, 0, 0), (0, 0, 2, 0), (0, 0, 0, 2)])
def test_pools_that_would_see_only_padding(pads):
    refused("needs pads smaller than the kernel", layer, 1, "avgpool", ["x"], **{**WINDOW, "pads": pads})


def test_variances_must_be_positive_with_epsilon():
    assert norm(var=[0]).attributes["epsilon"] == 0.1
    refused("var goes down to -1.0", norm, var=[-1])
    refused("var + epsilon > 0", norm, var=[0], epsilon=0)
    for epsilon in (-1e-9, math.nan, math.inf, "small", None):
        refused("attribute 'epsilon'", norm, epsilon=epsilon)
    refused("mean has shape (2,), needed (1)", norm, mean=[1, 2])


@pytest.mark.parametrize("limit", [0, -6.0, math.nan, math.inf, "six"])
def test_a_wrong_maximum_of_a_relu_is_refused(limit):
    refused("attribute 'max'", layer, 1, "relu", ["x"], max=limit)


def test_constants_are_float32_finite_and_not_empty():
    def fc(weight):
        return layer(1, "fc", ["x"], {"weight": weight})

    refused("weight holds float64, needed float32", fc, np.ones((2, 2)))
    refused("weight holds NaN", fc, np.array([[1, np.nan]], np.float32))
    refused("which holds nothing", fc, ones(0, 3))
    refused("weight has shape (2,), needed (any, any)", fc, ones(2))
    refused("bias has shape (3,), needed (2)", layer, 1, "fc", ["x"], {"weight": ones(2, 1), "bias": ones(3)})
