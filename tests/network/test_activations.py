"""Activations in float32, against Python's own functions in double precision; ends of the range are no trouble."""

import math

import numpy as np
import pytest
from float_networks import layer

from refengine.network.activations import ACTIVATIONS

X = np.concatenate([np.linspace(-12, 12, 241), [-1e4, -90, 90, 1e4]]).astype(np.float32)
CASES = [
    ("sigmoid", {}, lambda v: 1 / (1 + math.exp(-v)) if v > -700 else 0.0),
    ("silu", {}, lambda v: v / (1 + math.exp(-v)) if v > -700 else 0.0),
    ("tanh", {}, math.tanh),
    ("elu", {"alpha": 0.75}, lambda v: v if v >= 0 else 0.75 * (math.exp(v) - 1)),
    ("hard_sigmoid", {"alpha": 0.2, "beta": 0.5}, lambda v: min(max(0.2 * v + 0.5, 0), 1)),
    ("hard_swish", {}, lambda v: v * min(max(v + 3, 0), 6) / 6),
    ("erf", {}, math.erf),
    ("softplus", {}, lambda v: max(v, 0) + math.log1p(math.exp(-abs(v)))),
    ("mish", {}, lambda v: v * math.tanh(max(v, 0) + math.log1p(math.exp(-abs(v))))),
    ("clip", {"low": -1.5, "high": 2.0}, lambda v: min(max(v, -1.5), 2.0)),
    ("gelu", {"tanh": False}, lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2),
    ("gelu", {"tanh": True}, lambda v: v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2),
]


@pytest.mark.parametrize(
    ("op", "attributes", "function"), CASES, ids=lambda case: case if isinstance(case, str) else None
)
def test_it_is_the_function(op, attributes, function):
    found = ACTIVATIONS[op](layer(1, op, ["000_input"], **attributes), X[:, None])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], [function(float(v)) for v in X], rtol=2e-6, atol=1e-6)


def test_slopes_are_those_of_the_channels():
    slope = np.array([0.5, -2.0], np.float32)
    found = ACTIVATIONS["prelu"](
        layer(1, "prelu", ["000_input"], {"slope": slope}), np.array([[-4, -4], [3, 3]], np.float32)
    )
    assert found.tolist() == [[-2, 8], [3, 3]]


def test_every_activation_is_tried():
    assert {op for op, _, _ in CASES} | {"prelu"} == {*ACTIVATIONS}
