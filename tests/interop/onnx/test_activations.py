"""Activations: what they become, in any order of their ends, and what is refused by name."""

import functools

import numpy as np
import pytest
from onnx_models import WEIGHT, assert_named, graph, node, ops_of

from refengine.interop.onnx.convert import convert
from refengine.network import forward


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Relu", "x"), node("Max", "x", "relu")], "compares 2 tensors that depend on the image, needed one"),
        ([node("Max", "x", "v")], r"reads \(6, 5\) numbers as operand, needed one"),
        ([node("Min", "x", "six"), node("Max", "min", "six")], r"clips to 6\.0\.\.6\.0"),
        ([node("Min", "x", "nan"), node("Max", "min", "zero")], r"clips to -inf\.\.nan"),
        ([node("Clip", "x", "six", "three")], "clips to 6.0..3.0"),
        ([node("Gelu", "x", approximate="fast")], "'approximate' is 'fast', needed none or tanh"),
        ([node("Clip", "x", "zero", "zero")], "clips to 0.0..0.0"),
    ],
)
def test_what_cannot_be_said_in_layers_is_named(nodes, complaint):
    assert_named(nodes, complaint)


ENDS = {
    "Min, then Max": [node("Min", "x", "six"), node("Max", "min", "zero")],
    "Min, then Relu": [node("Min", "six", "x"), node("Relu", "min")],
    "Clip, then Clip": [node("Clip", "x", max=6.0, out="c"), node("Clip", "c", "zero")],
    "Max of several": [node("Max", "nothing", "x", "zero", "nothing"), node("Min", "max", "six")],
    "the least of several": [node("Min", "x", "six"), node("Min", "min", "three", out="c"), node("Max", "c", "zero")],
    "no ends": [node("Clip", "x", out="c"), node("Clip", "c", "zero", "six")],
    "the lowest float and the largest": [node("Clip", "x", min=-3.5e38, max=3.5e38, out="c"), node("Relu", "c")],
    "one operand": [node("Max", "x"), node("Min", "max", out="c"), node("Clip", "c", "zero", "six")],
}


@pytest.mark.parametrize("nodes", ENDS.values(), ids=ENDS)
def test_ends_come_in_any_order(nodes):
    """Judged by NumPy; what has no ends leaves no layer."""
    nothing = {"nothing": np.float32(-np.inf)}
    layers = convert(graph([*nodes, node("Flatten", nodes[-1].outputs[0])], WEIGHT | nothing)).network.layers
    assert {layer.op for layer in layers[1:]} == {"relu"}
    assert len(layers) == (3 if nodes[0].op == "Max" and len(nodes) == 2 else 2)
    x, values = np.linspace(-9, 9, 50, dtype=np.float32), {}
    for made in nodes:
        known = [values.get(name, x if name == "x" else (WEIGHT | nothing).get(name)) for name in made.inputs]
        low, high = ([*known[1:], None, None][:2]) if made.op == "Clip" else (None, None)
        low, high = made.attributes.get("min", low), made.attributes.get("max", high)
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        values[made.outputs[0]] = {
            "Clip": lambda known=known, low=low, high=high: np.clip(known[0].astype(float), low, high),
            "Max": lambda known=known: functools.reduce(np.maximum, known),
            "Min": lambda known=known: functools.reduce(np.minimum, known),
            "Relu": lambda known=known: np.maximum(known[0], 0),
        }[made.op]()
    found = functools.reduce(lambda tensor, relu: forward.relu(relu, tensor), layers[1:], x)
    np.testing.assert_array_equal(found, values[nodes[-1].outputs[0]])


@pytest.mark.parametrize(
    ("nodes", "ops"),
    [
        ([node("Sigmoid", "x"), node("Mul", "sigmoid", "x")], ["silu"]),
        ([node("Sigmoid", "x"), node("Mul", "x", "sigmoid")], ["silu"]),
        ([node("HardSigmoid", "x", alpha=1 / 6), node("Mul", "x", "hardsigmoid")], ["hard_swish"]),
        ([node("Clip", "x", max=6.0)], ["clip"]),
        ([node("Clip", "x", min=-1.0, max=6.0)], ["clip"]),
        ([node("LeakyRelu", "x")], ["prelu"]),
        ([node("Mish", "x")], ["mish"]),
        ([node("Softplus", "x"), node("Tanh", "softplus"), node("Mul", "x", "tanh")], ["mish"]),
        ([node("Softplus", "x"), node("Tanh", "softplus"), node("Mul", "tanh", "softplus")],
         ["softplus", "tanh", "mul"]),
    ],
)  # fmt: skip
def test_what_activations_become(nodes, ops):
    assert ops_of(nodes) == ops


ROOT = {"root": np.float32(2**0.5), "inverse": np.float32(0.5**0.5), "half": np.float32(0.5), "one": np.float32(1)}
CURVE = [node("Div", "x", "root"), node("Erf", "div"), node("Add", "erf", "one")]
BY_ERF = {
    "the product, then a half": [*CURVE, node("Mul", "x", "add"), node("Mul", "mul", "half", out="made")],
    "half of the image": [node("Mul", "x", "half"), *CURVE, node("Mul", "mul", "add", out="made")],
    "half of the curve": [*CURVE, node("Mul", "add", "half"), node("Mul", "mul", "x", out="made")],
    "a factor for a divisor": [
        node("Mul", "x", "inverse", out="div"), *CURVE[1:], node("Mul", "half", "x"),
        node("Mul", "add", "mul", out="made"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("nodes", BY_ERF.values(), ids=BY_ERF)
def test_a_gelu_written_with_erf_is_one_layer(nodes):
    assert ops_of(nodes, ROOT) == ["gelu"]


def test_a_gelu_times_two_keeps_its_factor():
    made = convert(graph([*CURVE, node("Mul", "x", "add"), node("Flatten", "mul")], ROOT)).network
    assert [layer.op for layer in made.layers] == ["input", "gelu", "batchnorm"]
    assert made.layers[-1].constants["gamma"].tolist() == [2] * 3


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Erf", "x"), node("Add", "erf", "one"), node("Mul", "x", "add")],  # no root of two
        [node("Div", "x", "root"), node("Erf", "div"), node("Add", "erf", "half"), node("Mul", "x", "add")],
        [*CURVE, node("Relu", "x"), node("Mul", "relu", "add")],
    ],
)
def test_what_only_looks_like_it_stays_a_product(nodes):
    assert ops_of(nodes, ROOT)[-1] == "mul"
