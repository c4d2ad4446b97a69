"""The end of a layer: residuals, clips, multipliers."""

import numpy as np
import pytest
from calibrated import ONE, pixels
from float_networks import floats, layer

from refengine.engine.run import run
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme


def test_a_residual_finer_than_the_products_is_requantized_first():
    """Pure shifts and large weights: the product's unit is coarser than the residual's."""
    rng = np.random.default_rng(2)
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": np.full((1, 1, 1, 1), 2.0**-12, np.float32)}, **ONE),
        layer(2, "conv", ["000_input"], {"weight": np.full((1, 1, 1, 1), 16.0, np.float32)}, **ONE),
        layer(3, "add", ["002_conv", "001_conv"]),
        layer(4, "fc", ["003_add"], {"weight": floats(rng, 2, 1)}),
    )
    network = FloatNetwork("residual", (1, 1, 1), 2, (128.0,), (1.0,), "gray", layers)
    images = pixels(network, 100)
    made = quantize(network, images, Scheme(weights="int8", multiplier_bits=1, exponents="max"))
    added = [done for done in made.layers if done.op == "requantize"]
    assert len(added) == 1
    joined = next(done for done in made.layers if done.residual is not None)
    assert joined.residual == added[0].name
    assert joined.requantize.residual_shift.min() == 0


@pytest.mark.parametrize(("size", "factor", "dynamic"), [(-12, 16.0, 0), (-4, 4.0, 1)])
def test_a_wide_residual_finer_than_the_products_is_requantized_and_still_dynamic(size, factor, dynamic):
    """Its codes fit 8 bits only as long as its images go on choosing, where they still differ by more than is lost."""
    rng = np.random.default_rng(2)
    narrow = {"weight": np.full((1, 1, 1, 1), 2.0**size, np.float32)}
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], narrow, **ONE),
        layer(2, "conv", ["000_input"], {"weight": np.full((1, 1, 1, 1), factor, np.float32)}, **ONE),
        layer(3, "add", ["002_conv", "001_conv"]),
        layer(4, "fc", ["003_add"], {"weight": floats(rng, 2, 1)}),
    )
    network = FloatNetwork("residual", (1, 1, 1), 2, (128.0,), (1.0,), "gray", layers)
    images = pixels(network, 100)
    images[::2] = 128 + (images[::2] >> 5)
    made = quantize(network, images, Scheme(weights="int8", multiplier_bits=1, exponents="dynamic"))
    added = next(done for done in made.layers if done.op == "requantize")
    moved = added.exponent - made.layer(added.inputs[0]).exponent
    assert moved > 0
    assert made.dynamic[added.name] == max(0, made.dynamic[added.inputs[0]] - moved) == dynamic
    _, hi = made.read_ranges[added.name]
    assert hi >= made.read_ranges[added.inputs[0]][1] >> moved


@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("top", [None, 6.0, 0.75])
def test_the_clip_is_the_activation(activations, top):
    limit = {} if top is None else {"max": top}
    layers = (
        layer(0, "input"),
        layer(1, "relu", ["000_input"], **limit),
        layer(2, "fc", ["001_relu"], {"weight": np.ones((1, 16), np.float32)}),
    )
    network = FloatNetwork("clip", (4, 4, 1), 1, (128.0,), (8.0,), "gray", layers)
    images = pixels(network, 40)
    made = quantize(network, images, Scheme(activations=activations, exponents="max"))
    step, exponent = made.layers[1].requantize, made.layers[1].exponent
    assert (step.lo, step.format.name, step.activation) == (0, activations, "relu" if top is None else "clip")
    if top is not None:
        assert step.hi == round(top / 2.0**exponent) <= step.format.hi
    seen, wanted = {}, {}
    run(made, images, observe=lambda layer, operands, result: seen.update({layer.name: result}))
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor}))
    error = seen["001_relu"].result * 2.0**exponent - wanted["001_relu"]
    assert np.abs(error).max() <= 2.0**exponent / 2 + 2.0 ** made.layers[0].exponent / 2
    assert seen["001_relu"].saturated == (0, 0)


@pytest.mark.parametrize("bits", [1, 3, 8, 15])
def test_multipliers_have_the_declared_width(bits):
    rng = np.random.default_rng(0)
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 8, 3, 1, 1)}, **ONE),
        layer(2, "fc", ["001_conv"], {"weight": floats(rng, 2, 8)}),
    )
    network = FloatNetwork("bits", (1, 1, 3), 2, (128.0,) * 3, (64.0,) * 3, "RGB", layers)
    step = quantize(network, pixels(network, 40), Scheme(multiplier_bits=bits)).layers[1].requantize
    assert step.multiplier.max() < 2**bits
    assert step.multiplier.min() >= 2 ** (bits - 1)
