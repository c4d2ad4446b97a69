"""Small float networks that are quantized in tests, and a look at what their layers compute."""

import numpy as np
from float_networks import floats, layer

from refengine.engine.run import run
from refengine.network.float_network import FloatNetwork
from refengine.quantization.quantize import quantize

ONE = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


def pixels(network, count=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input_shape)).astype(np.uint8)


def exact_network(rng):
    """Weights, biases and pixels that 8 bits hold exactly: powers of two everywhere, ranges that use every code."""

    def odd(*shape):
        return (rng.integers(-3, 4, shape) / 8).astype(np.float32)

    first, second = odd(3, 1, 3, 3), odd(2, 3, 1, 1)
    first[:, 0, 1, 1], second[:, 0] = 127 / 64, 65 / 64
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": first, "bias": odd(3)}, **{**ONE, "pads": (1, 1, 1, 1)}),
        layer(2, "conv", ["001_conv"], {"weight": second}, **ONE),
        layer(3, "fc", ["002_conv"], {"weight": odd(4, 2 * 9), "bias": odd(4)}),
    )
    return FloatNetwork("exact", (3, 3, 1), 4, (128.0,), (1.0,), "gray", layers)


def folded(gamma, beta=0.5, mean=0.25, var=1.0):
    """input -> conv -> batch norm with the given gammas -> fc."""
    rng = np.random.default_rng(1)
    channels = len(gamma)
    values = {"beta": beta, "mean": mean, "var": var}
    constants = {name: np.full(channels, value, np.float32) for name, value in values.items()}
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, channels, 3, 1, 1)}, **ONE),
        layer(2, "batchnorm", ["001_conv"], {**constants, "gamma": np.array(gamma, np.float32)}, epsilon=1e-5),
        layer(3, "fc", ["002_batchnorm"], {"weight": floats(rng, 2, channels)}),
    )
    return FloatNetwork("folded", (1, 1, 3), 2, (128.0,) * 3, (64.0,) * 3, "RGB", layers)


def codes_of_first_conv(network, images, scheme):
    made, seen = quantize(network, images, scheme), {}
    run(made, images, observe=lambda layer, operands, result: seen.update({layer.name: result.result}))
    return made.layers[1], seen["001_conv"]
