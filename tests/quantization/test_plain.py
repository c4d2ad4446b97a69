"""Layers without weights: the input, batch norms of their own, averages, and what passes codes through."""

import numpy as np
import pytest
from calibrated import pixels
from float_networks import floats, layer, norms

from refengine.engine.run import run
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

MAX = Scheme(weights="int8", exponents="max", multiplier_bits=15)


def test_norms_of_one_layer_are_not_read_by_another():
    rng = np.random.default_rng(4)
    layers = (
        layer(0, "input"),
        layer(1, "batchnorm", ["000_input"], norms(rng, 1), epsilon=1e-3),
        layer(2, "flatten", ["001_batchnorm"]),
        layer(3, "batchnorm", ["002_flatten"], norms(rng, 4), epsilon=1e-3),
        layer(4, "fc", ["003_batchnorm"], {"weight": floats(rng, 2, 4)}),
    )
    network = FloatNetwork("norms", (2, 2, 1), 2, (128.0,), (64.0,), "gray", layers)
    images = pixels(network, 30)
    made = quantize(network, images, Scheme(weights="int8", exponents="max", multiplier_bits=15))
    assert [done.op for done in made.layers] == ["input", "batchnorm", "flatten", "batchnorm", "fc"]
    got, wanted = run(made, images) * 2.0 ** made.layers[-1].exponent, forward(network, images)
    assert np.abs(got - wanted).max() < 0.05 * np.abs(wanted).max()


def stages(network, images, scheme=MAX):
    """Integer network, float tensors and integer tensors, by float layer."""
    made, seen, wanted = quantize(network, images, scheme), {}, {}

    def see(done, operands, result):
        for name in done.covers:
            seen[name] = result.result * 2.0**done.exponent

    run(made, images, observe=see)
    forward(network, images, lambda layer, tensor: wanted.update({layer.name: tensor.copy()}))
    return made, seen, wanted


@pytest.mark.parametrize(("mean", "fmt"), [(0.0, "uint8"), (127.5, "int8")])
def test_the_input_is_the_normalised_image(mean, fmt):
    layers = (layer(0, "input"), layer(1, "fc", ["000_input"], {"weight": np.ones((1, 12), np.float32)}))
    network = FloatNetwork("input", (2, 2, 3), 1, (mean,) * 3, (50.0, 60.0, 70.0), "BGR", layers)
    made, seen, wanted = stages(network, pixels(network, 60))
    step = made.layers[0].requantize
    assert step.format.name == fmt
    assert np.abs(seen["000_input"] - wanted["000_input"]).max() <= 2.0 ** made.layers[0].exponent * 0.51


def test_concat_joins_codes_of_one_exponent():
    layers = (
        layer(0, "input"),
        layer(1, "relu", ["000_input"]),
        layer(2, "relu", ["000_input"], max=0.25),
        layer(3, "concat", ["001_relu", "002_relu", "000_input"]),
        layer(4, "fc", ["003_concat"], {"weight": np.ones((1, 12), np.float32)}),
    )
    network = FloatNetwork("concat", (2, 2, 1), 1, (128.0,), (64.0,), "gray", layers)
    made, seen, wanted = stages(network, pixels(network, 60))
    inserted = [done.name for done in made.layers if not done.covers]
    assert inserted
    assert all("requantize" in name for name in inserted)
    joined = next(done for done in made.layers if done.op == "concat")
    assert np.abs(seen["003_concat"] - wanted["003_concat"]).max() <= 2.0**joined.exponent * 1.01


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_averages_divide_by_the_valid_pixels(ceil_mode):
    window = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": ceil_mode}
    outputs = 16 if ceil_mode else 9
    network = FloatNetwork("average", (6, 6, 1), outputs, (128.0,), (64.0,), "gray", (
        layer(0, "input"),
        layer(1, "avgpool", ["000_input"], **window),
        layer(2, "fc", ["001_avgpool"], {"weight": floats(np.random.default_rng(0), outputs, outputs)}),
    ))  # fmt: skip
    made, seen, wanted = stages(network, pixels(network, 60))
    bound = 2.0 ** made.layers[0].exponent * 0.51 + 2.0 ** made.layers[1].exponent * 0.51
    assert np.abs(seen["001_avgpool"] - wanted["001_avgpool"]).max() <= bound


def test_a_batch_norm_with_a_vanishing_gamma_is_constant():
    constants = norms(np.random.default_rng(1), 3) | {"gamma": np.array([0.0, 1e-30, -1.0], np.float32)}
    network = FloatNetwork("norm", (1, 1, 3), 2, (128.0,) * 3, (64.0,) * 3, "RGB", (
        layer(0, "input"),
        layer(1, "batchnorm", ["000_input"], constants, epsilon=1e-3),
        layer(2, "fc", ["001_batchnorm"], {"weight": floats(np.random.default_rng(0), 2, 3)}),
    ))  # fmt: skip
    made, seen, wanted = stages(network, pixels(network, 60))
    assert made.layers[1].constants["sign"].tolist() == [0, 0, -1]
    slope = np.abs(constants["gamma"]) / np.sqrt(constants["var"] + 1e-3)
    bound = 2.0 ** made.layers[1].exponent * 0.51 + slope * 2.0 ** made.layers[0].exponent * 0.51
    assert np.all(np.abs(seen["001_batchnorm"] - wanted["001_batchnorm"]) <= bound)
