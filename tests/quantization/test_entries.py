"""Entries of tables: each function to 100 digits, against mpmath's if it is there, and against known digits without."""

import math
from fractions import Fraction

import numpy as np
import pytest
from float_networks import layer
from hypothesis import given
from hypothesis import strategies as st

from refengine import optional
from refengine.network.activations import ACTIVATIONS
from refengine.quantization.entries import _pi, values_of

ATTRIBUTES = {
    "clip": {"low": -1.5, "high": 2.0},
    "elu": {"alpha": 0.1},
    "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
}
SMOOTH = ["sigmoid", "silu", "tanh", "elu", "gelu", "gelu_tanh", "erf", "softplus", "mish"]


def value(op, x):
    constants = {"slope": np.array([0.1], np.float32)} if op == "prelu" else {}
    attributes = {"tanh": op == "gelu_tanh"} if op.startswith("gelu") else ATTRIBUTES.get(op, {})
    (function,) = values_of(layer(1, "gelu" if op == "gelu_tanh" else op, ["000_input"], constants, **attributes))
    return function(Fraction(x))


@pytest.mark.parametrize("op", [*ACTIVATIONS, "gelu_tanh"])
def test_it_is_the_float_function_to_its_last_digits(op):
    constants = {"slope": np.array([0.1], np.float32)} if op == "prelu" else {}
    attributes = {"tanh": op == "gelu_tanh"} if op.startswith("gelu") else ATTRIBUTES.get(op, {})
    name = "gelu" if op == "gelu_tanh" else op
    made = layer(1, name, ["000_input"], constants, **attributes)
    for x in (-900.0, -30.5, -3.0, -0.37, 0.0, 2.0**-40, 1.25, 8.0, 60.0, 2.0**20):
        near = float(ACTIVATIONS[name](made, np.array([[x]], np.float32))[0, 0])
        assert math.isclose(float(value(op, x)), near, rel_tol=1e-5, abs_tol=1e-6), x


def test_known_digits():
    """Of pi, and of functions at 1, from tables of other origin."""
    assert str(_pi())[:60] == "3.1415926535897932384626433832795028841971693993751058209749"
    known = {
        "sigmoid": "0.731058578630004879251159241821",
        "tanh": "0.761594155955764888119458282604",
        "gelu": "0.841344746068542948585232545632",  # the normal distribution up to 1
    }
    for op, digits in known.items():
        assert abs(value(op, 1) - Fraction(digits)) < Fraction(1, 10**29)


@pytest.mark.skipif(not optional.installed("mpmath"), reason="mpmath is missing")
@pytest.mark.parametrize("op", SMOOTH)
@given(x=st.fractions(-40, 40, max_denominator=2**12))
def test_a_hundred_digits_are_those_of_mpmath(op, x):
    mp = optional.package("mpmath")
    with mp.workdps(150):
        v = mp.mpf(x.numerator) / x.denominator
        wanted = {
            "sigmoid": lambda: 1 / (1 + mp.exp(-v)),
            "silu": lambda: v / (1 + mp.exp(-v)),
            "tanh": lambda: mp.tanh(v),
            "elu": lambda: v if v >= 0 else mp.mpf(0.1) * mp.expm1(v),
            "gelu": lambda: v * mp.erfc(-v / mp.sqrt(2)) / 2,
            "gelu_tanh": lambda: v * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (v + mp.mpf("0.044715") * v**3))) / 2,
            "erf": lambda: mp.erf(v),
            "softplus": lambda: mp.log1p(mp.exp(v)),
            "mish": lambda: v * mp.tanh(mp.log1p(mp.exp(v))),
        }[op]()
        found = value(op, x)
        assert abs(mp.mpf(found.numerator) / found.denominator - wanted) < mp.mpf(10) ** -97 * (1 + abs(wanted))


def test_rational_functions_are_exact():
    assert value("hard_swish", 1) == Fraction(2, 3)
    assert value("prelu", -3) == -3 * Fraction(float(np.float32(0.1)))
    assert value("hard_sigmoid", Fraction(1, 2)) == Fraction(0.2) / 2 + Fraction(1, 2)
    assert value("clip", 5) == 2


def test_a_slope_a_channel_is_a_function_a_channel():
    slopes = np.array([0.5, 0.25], np.float32)
    made = values_of(layer(1, "prelu", ["000_input"], {"slope": slopes}))
    assert [function(Fraction(-8)) for function in made] == [-4, -2]
    assert len(values_of(layer(1, "prelu", ["000_input"], {"slope": slopes[:1].repeat(9)}))) == 1
