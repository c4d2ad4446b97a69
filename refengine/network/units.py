"""What a step of a layer's sums is worth where that is no power of two: those of a pool are divided by its pixels.

    accumulator of an average = 2**x.exponent / divisor

Everywhere but in a last layer the requantization takes the divisor into its multiplier, and a code is worth
2**exponent.  The last layer's sums are the logits (contract L1), so where that is a pool they keep its divisor.
"""

import numpy as np

from ..ops import avgpool
from ..ops.batchnorm import CODE_SHIFT
from ..ops.input import PIXEL_SHIFT
from .int_network import IntLayer, IntNetwork


def sum_divisor(network: IntNetwork, layer: IntLayer) -> int:
    """What the sums of a layer are still to be divided by: the pixels of an average, 1 elsewhere.

    Contract, sections Avgpool (there the least common multiple of all counts) and Global_avgpool.
    """
    if layer.op not in ("avgpool", "global_avgpool"):
        return 1
    shape = network.shapes[layer.inputs[0]]
    return avgpool.common_count(shape, **layer.attributes) if layer.op == "avgpool" else shape[0] * shape[1]


def sum_exponent(network: IntNetwork, layer: IntLayer) -> int | None:
    """The exponent of a layer's sums, of which each is worth ``2**it / sum_divisor``; None for no one exponent.

    Contract: Conv2, Batchnorm1, Add1, Input1, Lookup1, Mul1; the other operators add up codes as they are.
    """
    read = [network.layer(name).exponent for name in layer.inputs]
    if layer.op == "input":
        return -PIXEL_SHIFT
    if layer.weight_exponent is not None:
        units = set(layer.weight_exponent.tolist())
        return read[0] + units.pop() if len(units) == 1 else None
    if layer.op in ("lookup", "mul"):
        return layer.exponent if layer.op == "lookup" else sum(read)
    return min(read) - (CODE_SHIFT if layer.op == "batchnorm" else 0)


def result_divisor(network: IntNetwork, layer: IntLayer) -> int:
    """A step of a layer's result is worth ``2**exponent / result_divisor``: 1 but for a pool that gives the logits."""
    return sum_divisor(network, layer) if layer.requantize is None else 1


def worth(network: IntNetwork, layer: IntLayer, result: np.ndarray) -> np.ndarray:
    """What a layer's codes or logits are worth: ``result * 2**exponent / result_divisor``, float64."""
    return np.ldexp(result.astype(np.float64), layer.exponent) / result_divisor(network, layer)


def power_of_two(exponent: int, divisor: int) -> int | None:
    """The exponent of ``2**exponent / divisor``, None where that is no power of two.

    >>> power_of_two(-3, 1), power_of_two(-3, 64), power_of_two(-3, 49)
    (-3, -9, None)
    """
    return None if divisor & (divisor - 1) else exponent - (divisor.bit_length() - 1)
