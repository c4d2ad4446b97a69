"""Mean and variance of float layers on the calibration images: what folded batch norms are corrected towards."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from ..network.float_layer import FloatLayer
from ..network.float_network import FloatNetwork
from ..network.forward import forward
from .fold import Moments

_BATCH = 16


def float_moments(
    network: FloatNetwork,
    images: np.ndarray,
    names: Sequence[str],
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Moments]:
    """Moments of the channels of the layers ``names``; sums in float64, batches in order."""
    totals: dict[str, np.ndarray] = {}
    count: dict[str, int] = {}

    def observe(layer: FloatLayer, tensor: np.ndarray) -> None:
        if layer.name in names:
            values = tensor.reshape(-1, tensor.shape[-1]).astype(np.float64)
            sums = np.stack([values.sum(axis=0), (values**2).sum(axis=0)])
            totals[layer.name] = totals.get(layer.name, 0) + sums
            count[layer.name] = count.get(layer.name, 0) + len(values)

    for start in range(0, len(images), _BATCH):
        if progress is not None:
            progress("float network", start, len(images))
        forward(network, images[start : start + _BATCH], observe)
    return {name: _moments(totals[name] / count[name]) for name in names}


def _moments(averages: np.ndarray) -> Moments:
    mean, square = averages
    var = np.maximum(square - mean**2, 0.0)
    return Moments(tuple(Fraction(float(m)) for m in mean), tuple(Fraction(float(v)) for v in var))
