"""Batch norms that do not normalise: mean 0 and one variance in every channel, everything in gamma and beta.

Such files come from networks folded and written as batch norms again, and from scalings read as batch norms.  To
re-estimate them would divide by a deviation that gamma was never meant for.  A batch norm is taken for one of them if
its constants look so and the calibration images confirm it: the float network's means and variances are far from them.
"""

from collections.abc import Mapping

import numpy as np

from ..network.float_layer import FloatLayer
from ..network.float_network import FloatNetwork
from ..network.images import evenly_spaced
from .float_moments import float_moments
from .fold import Moments

_IMAGES = 32
_FAR = 2.0  # half of the channels vary by more, or by less than the half of, what is stored,
_OFF = 0.5  # or have a mean of so many stored deviations


def not_normalising(network: FloatNetwork, images: np.ndarray) -> tuple[str, ...]:
    """Names of the batch norms that do not normalise what they read on uint8 images (N, H, W, C)."""
    constant = [layer for layer in network.layers if layer.op == "batchnorm" and _is_constant(layer)]
    if not constant:
        return ()
    some = images[evenly_spaced(len(images), _IMAGES)]
    moments = float_moments(network, some, [layer.inputs[0] for layer in constant])
    return tuple(layer.name for layer in constant if _is_far(layer, moments))


def _is_constant(layer: FloatLayer) -> bool:
    """Whether every channel has mean 0 and the same variance."""
    var = layer.constants["var"]
    return not layer.constants["mean"].any() and bool((var == var[0]).all())


def _is_far(layer: FloatLayer, moments: Mapping[str, Moments]) -> bool:
    """Whether mean 0 and the stored variance are not those of the images, in the median of the channels."""
    mean, var = (
        np.array([float(value) for value in values])
        for values in (moments[layer.inputs[0]].mean, moments[layer.inputs[0]].var)
    )
    stored = float(layer.constants["var"][0]) + layer.attributes["epsilon"]
    if stored <= 0:
        return True
    ratio, off = np.median(var) / stored, np.median(np.abs(mean)) / np.sqrt(stored)
    return not 1 / _FAR <= ratio <= _FAR or off > _OFF
