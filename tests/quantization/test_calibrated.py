"""Weights chosen on the calibration images: nearer to the float network, layer by layer, in every kind of layer."""

from dataclasses import replace

import numpy as np
import pytest
from calibrated import folded, pixels
from float_networks import every_op

from refengine.engine.run import run
from refengine.network.forward import forward
from refengine.quantization import calibrated as module
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

TERNARY = Scheme(weights="ternary", first="ternary", last="ternary")


def errors(network, images, scheme, seen=None):
    """Mean square error of every layer's codes that float layers stand behind, relative to their variance."""
    made, wanted, found = quantize(network, images, scheme), {}, {}
    seen = images if seen is None else seen
    forward(network, seen, lambda layer, tensor: wanted.update({layer.name: tensor.copy()}))

    def look(layer, operands, result):
        if layer.covers and layer.requantize is not None:
            real = wanted[layer.covers[-1]].reshape(result.result.shape)
            found[layer.covers[-1]] = float(
                ((np.ldexp(result.result.astype(float), layer.exponent) - real) ** 2).mean() / real.var()
            )

    run(made, seen, observe=look)
    return found


@pytest.mark.parametrize("fmt", ["ternary", "int4"])
def test_layers_come_nearer_to_the_float_ones(fmt):
    """On images that calibration did not see, the data-free method being the yardstick."""
    network = every_op()
    images, unseen = pixels(network, 128), pixels(network, 64, seed=9)
    formats = {"weights": fmt, "first": fmt, "last": fmt}
    free = errors(network, images, Scheme(**formats, method="paper", reestimate=True), unseen)
    calibrated = errors(network, images, Scheme(**formats), unseen)
    assert calibrated.keys() == free.keys()
    deep = list(calibrated)[2:]
    assert sum(calibrated[name] for name in deep) < sum(free[name] for name in deep)


def test_the_mean_of_the_sums_is_the_float_layers():
    network = folded([1.0, 0.5])
    images, wanted, found = pixels(network, 50), {}, {}
    made = quantize(network, images, TERNARY)
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor.copy()}))
    run(made, images, observe=lambda layer, operands, result: found.update({layer.name: (layer, result)}))
    conv, result = found["001_conv"]
    codes = np.ldexp(result.result.reshape(-1, 2).mean(axis=0), conv.exponent)
    assert np.allclose(codes, wanted["002_batchnorm"].reshape(-1, 2).mean(axis=0), atol=2.0**conv.exponent)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_integer(threads):
    network = every_op()
    images = pixels(network, 20)
    assert quantize(network, images, TERNARY, threads=threads).hash == quantize(network, images, TERNARY).hash


def test_a_layer_with_too_many_taps_keeps_the_codes_of_the_paper(monkeypatch):
    network = every_op()
    images = pixels(network, 20)
    monkeypatch.setattr(module, "MOST_TAPS", 0)
    kept = quantize(network, images, TERNARY)
    paper = quantize(network, images, replace(TERNARY, method="paper"))
    ours, theirs = ([layer for layer in made.layers if "weight" in layer.constants] for made in (kept, paper))
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one.constants["weight"], other.constants["weight"])


def test_a_channel_that_is_asleep_asks_for_nothing():
    """gamma 0: no threshold, no residual to repair, no division by zero."""
    network = folded([0.0, 1.0])
    images = pixels(network, 30)
    with np.errstate(all="raise"):
        made = quantize(network, images, TERNARY)
    assert not made.layers[1].constants["weight"][0].any()


def test_the_images_decide():
    network = every_op()
    images = pixels(network, 40)
    assert quantize(network, images, TERNARY).hash == quantize(network, images.copy(), TERNARY).hash
    assert quantize(network, images, TERNARY).hash != quantize(network, 255 - images, TERNARY).hash
