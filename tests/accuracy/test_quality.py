"""Signal over noise: a plain loop as oracle, and a network whose layers are exact."""

import dataclasses
import math

import numpy as np
import pytest
from float_networks import every_op
from sweeps import seven

from refengine.accuracy.quality import sqnr
from refengine.engine.run import run
from refengine.network.forward import forward
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme


@pytest.mark.parametrize("network", [seven(), every_op()], ids=lambda network: network.name)
def test_the_ratio_of_a_loop(network):
    images = np.random.default_rng(4).integers(0, 256, (3, *network.input_shape), np.uint8)
    model = quantize(network, images)
    real, signal, noise = {}, {}, {}
    forward(network, images, lambda layer, tensor: real.update({layer.name: tensor}))

    def observe(layer, operands, result):
        if not layer.covers:
            return
        for x, code in zip(real[layer.covers[-1]].ravel().tolist(), result.values.ravel().tolist(), strict=True):
            signal[layer.name] = signal.get(layer.name, 0.0) + x * x
            noise[layer.name] = noise.get(layer.name, 0.0) + (code * 2.0**layer.exponent - x) ** 2

    run(model, images, "reference", observe)
    wanted = {name: 10 * math.log10(signal[name] / noise[name]) for name in signal if signal[name] and noise[name]}
    assert sqnr(network, model, images) == pytest.approx(wanted)
    assert len(wanted) == sum(bool(layer.covers) for layer in model.layers)


def test_logits_of_an_average_are_a_sum_still():
    """They are worth the sum's step by the number of pixels; with 8-bit codes little is lost."""
    whole = every_op()
    network = dataclasses.replace(whole, layers=whole.layers[:13], classes=17)
    images = np.random.default_rng(4).integers(0, 256, (3, *network.input_shape), np.uint8)
    model = quantize(network, images, Scheme(weights="int8"))
    last = model.layers[-1]
    assert (last.op, last.requantize) == ("global_avgpool", None)
    height, width, _ = model.shapes[last.inputs[0]]
    real, logits = forward(network, images).ravel(), run(model, images).ravel()
    noise = [code * 2.0**last.exponent / (height * width) - x for x, code in zip(real, logits, strict=True)]
    wanted = 10 * math.log10(sum(x * x for x in real.astype(float)) / sum(n * n for n in noise))
    assert sqnr(network, model, images)[last.name] == pytest.approx(wanted)
    assert wanted > 20


def test_more_bits_are_less_noise():
    """Clusters of one share nothing; 8 bits are better than 4, and those than ternary, in the layers that differ."""
    network, images = seven(), np.random.default_rng(4).integers(0, 256, (8, 6, 5, 3), np.uint8)
    ratios = [
        sqnr(network, quantize(network, images, Scheme(weights=weights, reestimate=False)), images)["002_conv"]
        for weights in ("ternary", "int4", "int8")
    ]
    assert ratios == sorted(ratios)
    assert ratios[2] > ratios[0] + 10
