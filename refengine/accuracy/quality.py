"""How far each integer layer is from the float layers that it covers: the signal-to-quantization-noise ratio.

    SQNR = 10 log10( sum x^2 / sum (code * 2^exponent - x)^2 )   in dB

x is the float network's tensor behind the last layer that the integer layer covers, for the same image; the integers'
errors of all earlier layers are in it.  6 dB are one bit.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from ..engine.run import Result, run
from ..network.float_layer import FloatLayer
from ..network.float_network import FloatNetwork
from ..network.forward import forward
from ..network.int_network import IntLayer, IntNetwork
from ..network.units import worth


def sqnr(float_network: FloatNetwork, network: IntNetwork, images: np.ndarray) -> dict[str, float]:
    """dB of each integer layer over uint8 images (N, H, W, C), one after the other, sums in float64.

    A layer that covers no float layer is left out, and so is one without signal or without noise.
    """
    energies: dict[str, np.ndarray] = {}
    for number in range(len(images)):
        for name, pair in _energies(float_network, network, images[number : number + 1]):
            energies[name] = energies.get(name, np.zeros(2)) + pair
    return {name: 10 * math.log10(signal / noise) for name, (signal, noise) in energies.items() if signal and noise}


def _energies(
    float_network: FloatNetwork, network: IntNetwork, image: np.ndarray
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each layer's energy of the signal and of the noise, for one image."""
    wanted = {layer.covers[-1] for layer in network.layers if layer.covers}
    real = _float_tensors(float_network, wanted, image)
    found: list[tuple[str, tuple[float, float]]] = []

    def observe(layer: IntLayer, operands: object, result: Result) -> None:
        if layer.covers:
            x = real[layer.covers[-1]].astype(np.float64).ravel()
            noise = worth(network, layer, result.values).ravel() - x
            found.append((layer.name, (float(x @ x), float(noise @ noise))))

    run(network, image, "kernels", observe)
    yield from found


def _float_tensors(network: FloatNetwork, names: set[str], image: np.ndarray) -> Mapping[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}

    def observe(layer: FloatLayer, tensor: np.ndarray) -> None:
        if layer.name in names:
            tensors[layer.name] = tensor

    forward(network, image, observe)
    return tensors
