"""Equalizing: the same floats bit for bit, like ranges, one network of all that differ by powers of two."""

from dataclasses import replace

import numpy as np
import pytest
from calibrated import pixels
from float_networks import floats, layer, networks
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.run import run
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.quantization import equalize
from refengine.quantization.equalize import equalized
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme


def tensors(network, images):
    seen = {}
    forward(network, images, lambda layer, tensor: seen.update({layer.name: tensor.copy()}))
    return seen


def rescaled(network, seed, reestimate=False):
    """The same function, channels that may be scaled and show something multiplied by random powers of two."""
    classes = equalize._classes(network, reestimate)
    count = 1 + max(int(members.max()) for members in classes.values())
    shift = np.random.default_rng(seed).integers(-6, 7, count)
    shown = np.zeros(count, bool)
    for name, values in tensors(network, pixels(network, seed=seed)).items():
        np.logical_or.at(shown, classes[name], values.reshape(-1, values.shape[-1]).any(axis=0))
    shift[~shown] = 0
    shift[0] = 0
    shifts = {name: shift[members] for name, members in classes.items()}
    return replace(network, layers=tuple(equalize._rescaled(layer, shifts) for layer in network.layers))


@given(networks(steps=7), st.booleans(), st.integers(0, 99))
def test_every_tensor_is_the_same_times_powers_of_two_and_the_logits_are_the_same(network, reestimate, seed):
    images = pixels(network, seed=seed)
    made = equalized(network, images, reestimate)
    before, after = tensors(network, images), tensors(made.network, images)
    for name, shift in made.shifts.items():
        assert np.array_equal(after[name], np.ldexp(before[name], shift)), name
    last = network.layers[-1].name
    assert np.array_equal(after[last], before[last])
    assert not made.shifts[network.layers[0].name].any()


def small(seed):
    """conv, relu, conv, relu, pool, fc, with 12 channels."""
    rng = np.random.default_rng(seed)
    plain = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 12, 3, 3, 3), "bias": floats(rng, 12)}, **plain),
        layer(2, "relu", ["001_conv"]),
        layer(3, "conv", ["002_relu"], {"weight": floats(rng, 12, 12, 3, 3) / 5}, **plain),
        layer(4, "relu", ["003_conv"]),
        layer(5, "global_avgpool", ["004_relu"]),
        layer(6, "fc", ["005_global_avgpool"], {"weight": floats(rng, 5, 12), "bias": floats(rng, 5)}),
    )
    return FloatNetwork("small", (8, 8, 3), 5, (120.0,) * 3, (60.0,) * 3, "RGB", layers)


def lost(network, images, equalize):
    """Squared error of the logits, in dB."""
    made = quantize(network, images, Scheme(weights="int8", equalize=equalize))
    error = run(made, images) * 2.0 ** made.layers[-1].exponent - forward(network, images)
    return 10 * np.log10(np.square(error).mean())


def test_rescaled_networks_are_quantized_as_well():
    """Within 3 dB in the mean of four, where without equalizing each of the rescaled ones loses ten and more."""
    differences = []
    for seed in range(4):
        network = small(seed)
        images, twin = pixels(network, 60, seed=seed), rescaled(network, seed)
        assert np.array_equal(forward(twin, images), forward(network, images))
        before = lost(network, images, True)
        differences.append(lost(twin, images, True) - before)
        assert lost(twin, images, False) > before + 10
    assert abs(np.mean(differences)) < 3


@pytest.mark.parametrize("seed", range(4))
def test_even_networks_are_left_alone(seed):
    network = small(seed)
    images = pixels(network, 20, seed=seed)
    assert equalized(network, images).described() == "no channel"
    assert quantize(network, images).hash == quantize(network, images, Scheme(equalize=False)).hash


def two_branches(**relu):
    """conv, relu, and beside it another conv that an addition ties to the first."""
    rng = np.random.default_rng(3)
    plain = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}
    spread = np.float32([1, 100, 0.01, 5])[:, None, None, None]
    reading = (floats(rng, 2, 4, 36) / spread.reshape(4, 1)).reshape(2, -1)
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 4, 3, 1, 1) * spread}, **plain),
        layer(2, "relu", ["001_conv"], **relu),
        layer(3, "conv", ["002_relu"], {"weight": floats(rng, 4, 4, 1, 1) * spread}, **plain),
        layer(4, "add", ["003_conv", "002_relu"]),
        layer(5, "fc", ["004_add"], {"weight": reading, "bias": floats(rng, 2)}),
    )
    return FloatNetwork("branches", (6, 6, 3), 2, (0.0,) * 3, (1.0,) * 3, "RGB", layers)


def test_ranges_are_alike_afterwards():
    network = small(0)
    twin = rescaled(network, 1)
    images = pixels(network, 30)
    made = equalized(twin, images)
    assert np.ptp(made.shifts["002_relu"]) >= 8
    found = abs(tensors(made.network, images)["002_relu"]).max(axis=(0, 1, 2))
    bits = np.log2(found[found > 0])
    assert abs(bits - np.median(bits)).max() <= 1.5 + 1e-6


def test_an_addition_ties_its_operands():
    network = two_branches()
    made = equalized(network, pixels(network, 30))
    assert made.shifts["002_relu"].any()
    for name in ("003_conv", "004_add"):
        assert np.array_equal(made.shifts[name], made.shifts["002_relu"])


def test_a_relu_with_an_end_is_left_alone_and_all_that_is_tied_to_it():
    network = two_branches(max=6.0)
    made = equalized(network, pixels(network, 30))
    assert not any(shift.any() for shift in made.shifts.values())
    assert made.described() == "no channel"


def test_a_channel_that_hardly_responds_is_left_alone():
    """Far smaller than the others on these images, or 0 in most of them, and read by weights like the others'."""
    network = small(2)
    constants = {name: array.copy() for name, array in network.layers[1].constants.items()}
    constants["weight"][:2] = 0
    constants["bias"][0], constants["weight"][0, 0, 1, 1] = 0, 1e-4  # small
    constants["bias"][1], constants["weight"][1, 0, 1, 1] = -1.15, 1  # reached by the brightest pixels alone
    constants["weight"][2:] *= np.exp2(np.arange(10) % 3 * 6 - 6)[:, None, None, None].astype(np.float32)
    changed = replace(network.layers[1], constants=constants)
    reading = network.layers[3].constants["weight"].copy()
    reading[:, 2:] /= np.exp2(np.arange(10) % 3 * 6 - 6)[None, :, None, None].astype(np.float32)
    reader = replace(network.layers[3], constants={"weight": reading})
    made = equalized(
        replace(network, layers=(network.layers[0], changed, network.layers[2], reader, *network.layers[4:])),
        pixels(network, 40),
    )
    assert not made.shifts["001_conv"][:2].any()
    assert np.ptp(made.shifts["001_conv"][2:]) >= 8


def test_the_model_says_what_was_scaled():
    network = two_branches()
    made = quantize(network, pixels(network, 30), Scheme(weights="int8"))
    assert made.made_with["equalize"] == "yes"
    assert made.made_with["equalized"].endswith("2 of 10 channels, by 2**0 to 2**9")
