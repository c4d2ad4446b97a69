"""How far the totals of a layer can go, the sums before rounding (contract Q1): for every image, from the bounds alone.

    total = acc * multiplier[c] + (residual << residual_shift[c])

Each end is that of a channel whose accumulator is at an end of its bound, held by the declared accumulator (contract
A3, A4), and whose residual is at an end of its range.
"""

import numpy as np

from ..numbers.formats import signed_bits
from .int_network import IntLayer, IntNetwork


def total_ends(network: IntNetwork, layer: IntLayer) -> tuple[int, int] | None:
    """The lowest and the highest total of any image, None where nothing is requantized."""
    step = layer.requantize
    if step is None:
        return None
    lo, hi = kept(layer, *network.bounds[layer.name])
    low, high = lo * step.multiplier, hi * step.multiplier
    if layer.residual is not None and step.residual_shift is not None:
        ends = network.read_ranges[layer.residual]
        low, high = low + (ends[0] << step.residual_shift), high + (ends[1] << step.residual_shift)
    return int(low.min()), int(high.max())


def total_bits(network: IntNetwork, layer: IntLayer) -> int | None:
    """The two's-complement width that holds every total (contract N5), None where nothing is requantized."""
    ends = total_ends(network, layer)
    return None if ends is None else signed_bits(*ends)


def kept(layer: IntLayer, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What an accumulator can hold of sums in ``lo..hi``, int64 a channel (contract A3, A4)."""
    top = np.int64(1) << (layer.accumulator_bits - 1)
    lo, hi = np.asarray(lo, np.int64), np.asarray(hi, np.int64)
    if layer.accumulator_policy == "wrap":
        leaves = (lo < -top) | (hi >= top)
        return np.where(leaves, -top, lo), np.where(leaves, top - 1, hi)
    return np.minimum(np.maximum(lo, -top), top - 1), np.minimum(np.maximum(hi, -top), top - 1)
