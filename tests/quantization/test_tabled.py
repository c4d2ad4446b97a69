"""Activations become tables: every entry is the rounded function, and nothing else decides it."""

from fractions import Fraction

import numpy as np
import pytest
from calibrated import ONE, pixels
from float_networks import floats, gated, layer

from refengine.engine.run import run
from refengine.errors import SchemeError
from refengine.network.activations import ACTIVATIONS
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.numbers.rounding import nearest
from refengine.quantization.entries import values_of
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

ATTRIBUTES = {
    "clip": {"low": -0.5, "high": 1.0},
    "elu": {"alpha": 0.75},
    "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
    "gelu": {"tanh": False},
}


def activated(op):
    rng = np.random.default_rng(3)
    slope = {"slope": floats(rng, 4)} if op == "prelu" else {}
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 4, 3, 1, 1)}, **ONE),
        layer(2, op, ["001_conv"], slope, **ATTRIBUTES.get(op, {})),
        layer(3, "fc", ["002_" + op], {"weight": floats(rng, 3, 4 * 20)}),
    )
    return FloatNetwork("activated", (5, 4, 3), 3, (128.0,) * 3, (64.0,) * 3, "RGB", layers)


@pytest.mark.parametrize("op", ACTIVATIONS)
@pytest.mark.parametrize("scheme", [Scheme(weights="int8"), Scheme(weights="int8", exponents="max", rounding="floor")])
def test_every_entry_is_the_rounded_function_of_its_code(op, scheme):
    network = activated(op)
    made = quantize(network, pixels(network, 20), scheme)
    before, table = made.layers[1], made.layers[2]
    assert table.op == "lookup"
    functions, entries = values_of(network.layers[2]), table.constants["table"]
    assert len(entries) == (4 if op == "prelu" else 1)
    for function, row in zip(functions, entries.tolist(), strict=True):
        for code in range(before.requantize.format.lo, before.requantize.format.hi + 1):
            real = function(code * Fraction(2) ** before.exponent) / Fraction(2) ** table.exponent
            whole = nearest(real.numerator, real.denominator)
            assert row[code % 256] == min(max(whole, table.requantize.lo), table.requantize.hi)


@pytest.mark.parametrize("op", ["sigmoid", "hard_sigmoid"])
def test_what_is_never_negative_is_unsigned(op):
    network = activated(op)
    assert quantize(network, pixels(network, 20), Scheme(weights="int8")).layers[2].requantize.format.name == "uint8"


def test_a_network_of_all_of_them_is_near_its_floats():
    network = gated()
    made = quantize(network, pixels(network, 100), Scheme(weights="int8"))
    images = pixels(network, 40, seed=1)
    wanted, found = forward(network, images), run(made, images) * 2.0 ** made.layers[-1].exponent
    assert np.square(found - wanted).mean() < 0.02 * np.square(wanted - wanted.mean(axis=0)).mean()


def test_dynamic_exponents_stop_before_a_table():
    network = gated()
    made = quantize(network, pixels(network, 20), Scheme(weights="int8", exponents="dynamic"))
    assert not any(made.dynamic[name] for one in made.layers if one.op == "lookup" for name in one.inputs)


def test_a_pool_between_does_not_hide_a_table():
    """The exponent that goes through a maxpool to the table is static too."""
    rng = np.random.default_rng(3)
    window = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False}
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 4, 3, 1, 1)}, **ONE),
        layer(2, "maxpool", ["001_conv"], **window),
        layer(3, "silu", ["002_maxpool"]),
        layer(4, "fc", ["003_silu"], {"weight": floats(rng, 3, 4 * 12)}),
    )
    network = FloatNetwork("pooled", (5, 4, 3), 3, (128.0,) * 3, (64.0,) * 3, "RGB", layers)
    try:
        made = quantize(network, pixels(network, 20), Scheme(weights="int8", exponents="dynamic"))
    except SchemeError as error:
        pytest.fail(str(error))
    assert made.dynamic["002_maxpool"] == 0
