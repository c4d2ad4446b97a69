"""Batch norms that do not normalise are found, and re-estimation leaves what they say."""

from dataclasses import replace

import numpy as np
import pytest
from calibrated import pixels
from float_networks import floats, layer

from refengine.engine.run import run
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.quantization.normalising import not_normalising
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

CONV = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
NAMES = ("gamma", "beta", "mean", "var")


def network(seed=0):
    """conv, batchnorm, relu twice, and a batch norm that no convolution takes in; true statistics."""
    rng = np.random.default_rng(seed)
    ones = {name: np.full(8, value, np.float32) for name, value in zip(NAMES, (1, 0, 0, 1), strict=True)}
    layers = [layer(0, "input")]
    for number in (1, 4):
        weight = {"weight": floats(rng, 8, 3 if number == 1 else 8, 3, 3)}
        layers.append(layer(number, "conv", [layers[-1].name], weight, **CONV))
        layers.append(layer(number + 1, "batchnorm", [layers[-1].name], ones, epsilon=1e-5))
        layers.append(layer(number + 2, "relu", [layers[-1].name]))
    layers.append(layer(7, "batchnorm", ["006_relu"], ones, epsilon=1e-5))
    layers.append(layer(8, "global_avgpool", ["007_batchnorm"]))
    layers.append(layer(9, "fc", ["008_global_avgpool"], {"weight": floats(rng, 3, 8), "bias": floats(rng, 3)}))
    made = FloatNetwork("norms", (6, 6, 3), 3, (100.0,) * 3, (50.0,) * 3, "RGB", tuple(layers))
    for name in ("002_batchnorm", "005_batchnorm", "007_batchnorm"):
        made = with_statistics(made, name, pixels(made, 40), rng)
    return made


def with_statistics(given, name, images, rng):
    """The network with the images' own mean and variance in one batch norm."""
    norm = next(step for step in given.layers if step.name == name)
    seen = {}
    forward(given, images, lambda step, tensor: seen.update({step.name: tensor.copy()}))
    read = seen[norm.inputs[0]].reshape(-1, 8)
    constants = {"mean": read.mean(axis=0), "var": read.var(axis=0) + 1e-3}
    constants |= {"gamma": rng.uniform(0.5, 2, 8) * np.sign(rng.normal(size=8)), "beta": rng.normal(size=8)}
    return swapped(given, norm, constants)


def swapped(given, step, constants):
    step = replace(step, constants={name: array.astype(np.float32) for name, array in constants.items()})
    return replace(given, layers=tuple(step if old.name == step.name else old for old in given.layers))


def folded_into_gamma(given):
    """The same function: mean 0, variance 1, everything in gamma and beta."""
    for norm in [step for step in given.layers if step.op == "batchnorm"]:
        c, epsilon = norm.constants, norm.attributes["epsilon"]
        slope = c["gamma"] / np.sqrt(c["var"] + epsilon)
        constants = {"gamma": slope, "beta": c["beta"] - slope * c["mean"], "mean": np.zeros(8), "var": np.ones(8)}
        given = swapped(given, replace(norm, attributes={"epsilon": 0.0}), constants)
    return given


def test_true_statistics_normalise_and_those_in_gamma_do_not():
    real, odd = network(), folded_into_gamma(network())
    images = pixels(real, 40)
    assert np.allclose(forward(real, images), forward(odd, images), rtol=1e-3, atol=1e-4)
    assert not_normalising(real, images) == ()
    assert set(not_normalising(odd, images)) >= {"002_batchnorm", "005_batchnorm"}


@pytest.mark.parametrize("method", ["paper", "optimal"])
@pytest.mark.parametrize("seed", range(3))
def test_the_paper_method_is_as_good_on_both(method, seed):
    """Re-estimated as if it normalised, the second network would be far off."""
    real, odd = network(seed), folded_into_gamma(network(seed))
    images = pixels(real, 40)
    wanted = forward(real, images)

    def lost(given):
        made = quantize(given, images, Scheme(method=method, weights="ternary", cluster=1))
        return np.square(run(made, images) * 2.0 ** made.layers[-1].exponent - wanted).mean() / wanted.var()

    assert lost(odd) < 2 * lost(real) + 0.02


def test_the_model_names_them_and_calibrated_weights_need_no_such_question():
    odd = folded_into_gamma(network())
    images = pixels(odd, 40)
    assert "002_batchnorm" in quantize(odd, images, Scheme(method="paper")).made_with["not_normalising"]
    assert "not_normalising" not in quantize(odd, images, Scheme()).made_with
