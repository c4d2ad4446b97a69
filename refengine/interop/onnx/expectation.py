"""What a network's first layer expects of the image, told by the batch norm behind it.

A batch norm has the variance of what it saw in training.  Images of 0..255 that were to be normalised, and were not,
give results many times as wide; nothing else does.
"""

from __future__ import annotations

import numpy as np

from ...network.float_network import FloatNetwork
from ...network.forward import OPERATORS, normalise
from .agreement import random_images

FAR = 12.0  # times as wide; normalised images are some 60, those of 0..1 are 255 times as narrow


def expected_std(network: FloatNetwork) -> float | None:
    """By which std pixels of 0..255 had to be divided to fit, None where they fit or nothing tells."""
    layers = network.layers
    if (
        len(layers) < 3
        or (layers[1].op, layers[2].op) != ("conv", "batchnorm")
        or layers[2].inputs != (layers[1].name,)
    ):
        return None
    images = normalise(network, random_images(np.random.default_rng(0), 4, network.input_shape))
    seen = OPERATORS["conv"](layers[1], images).std(axis=(0, 1, 2), dtype=np.float64)
    wanted = np.sqrt(layers[2].constants["var"].astype(np.float64) + layers[2].attributes["epsilon"])
    times = float(np.median(seen / np.maximum(wanted, 1e-12)))
    return times * float(np.mean(network.std)) if times > FAR else None
