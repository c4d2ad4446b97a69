"""Layers with weights: signs, constant and coarse channels, re-estimation, correction."""

import numpy as np
import pytest
from calibrated import codes_of_first_conv, exact_network, folded, pixels
from float_networks import every_op, floats, layer

from refengine.engine.run import run
from refengine.errors import NetworkError
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme


def test_the_first_accumulators_are_the_float_convolution_exactly():
    network = exact_network(np.random.default_rng(3))
    images = pixels(network, 16)
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    made = quantize(network, images, Scheme(weights="int8", exponents="max", method="paper"))
    wanted, got = {}, {}
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor.copy()}))
    run(made, images, observe=lambda layer, operands, result: got.update({layer.name: (layer, result)}))
    conv, result = got["001_conv"]
    unit = np.ldexp(1.0, conv.weight_exponent + made.layers[0].exponent)
    assert np.array_equal(result.accumulator * unit, wanted["001_conv"])


def test_negative_gamma_turns_codes_and_keeps_multipliers_positive():
    scheme = Scheme(weights="int8", exponents="max", reestimate=False)
    network = folded([1.0, -1.0])
    images = pixels(network, 50)
    plus, _ = codes_of_first_conv(folded([1.0, 1.0]), images, scheme)
    minus, codes = codes_of_first_conv(network, images, scheme)
    assert np.array_equal(minus.constants["weight"][1], -plus.constants["weight"][1])
    assert np.array_equal(minus.constants["weight"][0], plus.constants["weight"][0])
    assert minus.requantize.multiplier.min() > 0
    wanted = {}
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor}))
    assert np.abs(codes * 2.0**minus.exponent - wanted["002_batchnorm"]).max() < 2.0**minus.exponent * 2


@pytest.mark.parametrize("gamma", [0.0, 1e-30, 1e-12])
@pytest.mark.parametrize("bits", [8, 1])
def test_a_vanishing_gamma_leaves_beta(gamma, bits):
    network = folded([gamma, 1.0])
    images = pixels(network, 50)
    conv, codes = codes_of_first_conv(network, images, Scheme(weights="int8", multiplier_bits=bits, reestimate=False))
    assert abs(int(codes[..., 0].min()) * 2.0**conv.exponent - 0.5) <= 2.0**conv.exponent
    assert codes[..., 0].min() == codes[..., 0].max()


def test_a_small_gamma_makes_its_channel_coarser_not_wrong():
    """beta / gamma exceeds INT32 at the best exponent, at a coarser one it fits."""
    network = folded([2.0**-14, 1.0], beta=100.0)
    images = pixels(network, 50)
    conv, codes = codes_of_first_conv(network, images, Scheme(weights="int8", reestimate=False, exponents="max"))
    assert np.abs(conv.constants["bias"]).max() < 2**31
    wanted = {}
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor}))
    assert np.abs(codes * 2.0**conv.exponent - wanted["002_batchnorm"]).max() <= 2.0**conv.exponent


def test_re_estimation_gives_each_channel_gamma_and_beta():
    network = folded([1.5, -0.75], mean=40.0, var=9.0)
    images = pixels(network, 400)
    conv, codes = codes_of_first_conv(network, images, Scheme(weights="ternary", first="ternary", reestimate=True))
    y = codes[:, 0, 0] * 2.0**conv.exponent
    assert y.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.02)
    assert y.std(axis=0) == pytest.approx([1.5, 0.75], rel=0.02)


def test_folded_networks_are_corrected_towards_the_float_layer():
    network = exact_network(np.random.default_rng(5))
    images = pixels(network, 300)
    scheme = Scheme(weights="ternary", first="ternary", cluster=4, reestimate=True, exponents="max")
    conv, codes = codes_of_first_conv(network, images, scheme)
    wanted = {}
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor}))
    got, target = codes.reshape(-1, 3) * 2.0**conv.exponent, wanted["001_conv"].reshape(-1, 3)
    assert got.mean(axis=0) == pytest.approx(target.mean(axis=0), abs=2.0**conv.exponent)
    assert got.std(axis=0) == pytest.approx(target.std(axis=0), rel=0.02)


@pytest.mark.parametrize(
    "scheme", [Scheme(weights="int8"), Scheme(weights="ternary"), Scheme(weights="int4", method="paper")]
)
def test_a_dilated_convolution_has_zeros_between_its_taps(scheme):
    """And is as near to the float layer as the plain one that computes the same."""
    rng = np.random.default_rng(0)
    window = {"strides": (1, 1), "pads": (2, 3, 2, 3), "group": 1, "dilations": (2, 3)}
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 4, 3, 3, 3)}, **window),
        layer(2, "relu", ["001_conv"]),
        layer(3, "global_avgpool", ["002_relu"]),
        layer(4, "fc", ["003_global_avgpool"], {"weight": floats(rng, 5, 4)}),
    )
    network = FloatNetwork("dilated", (9, 8, 3), 5, (128.0,) * 3, (64.0,) * 3, "RGB", layers)
    made = quantize(network, pixels(network, 40), scheme)
    weight = made.layers[1].constants["weight"]
    assert weight.shape == (4, 3, 5, 7)
    between = weight.copy()
    between[:, :, ::2, ::3] = 0
    assert not between.any()
    assert weight.any(axis=(0, 1))[::2, ::3].all()
    images = pixels(network, 20, seed=1)
    wanted, found = forward(network, images), run(made, images) * 2.0 ** made.layers[-1].exponent
    error = np.square(found - wanted).mean() / np.square(wanted - wanted.mean(axis=0)).mean()
    assert error < (0.01 if scheme.weights == "int8" else 0.5)


def test_a_kernel_with_too_many_zeros_is_refused():
    window = {"strides": (520, 520), "pads": (520,) * 4, "group": 1, "dilations": (520, 520)}
    weight = np.ones((64, 1, 2, 2), np.float32)
    layers = (layer(0, "input"), layer(1, "conv", ["000_input"], {"weight": weight}, **window))
    network = FloatNetwork("dilated", (1, 1, 1), 256, (0.0,), (1.0,), "gray", layers)
    with pytest.raises(NetworkError, match=r"layer '001_conv' \(conv\): has dilations .* more than 67108864 weights"):
        quantize(network, np.zeros((1, 1, 1, 1), np.uint8))


def test_the_limit_on_zeros_is_none_on_weights(monkeypatch):
    """A layer without dilations may have any number of weights."""
    images = np.zeros((2, 7, 6, 3), np.uint8)
    wanted = quantize(every_op(), images).hash
    monkeypatch.setattr("refengine.quantization.weighted._MOST_SPREAD", 1)
    assert quantize(every_op(), images).hash == wanted
