"""Requantize, the step that ends every accumulating layer, and as a layer of its own (contract, section Requantize).

    code[..., c] = clip(round_shift(acc[..., c] * multiplier[c] + (residual[..., c] << residual_shift[c]), shift[c]))

As a layer it brings codes to another exponent, format or clip: its accumulators are the input's codes.
The definition is ``numbers/requantize.py``.
"""

from dataclasses import dataclass

import numpy as np

from ..numbers import requantize as numbers
from ..numbers.rounding import STOCHASTIC, addends, round_shift
from ..numbers.stochastic import random_bits

ACCUMULATES = True


@dataclass(frozen=True)
class Draws:
    """Where stochastic rounding stands: the layer's position in the network, the first image's in the run."""

    layer: int = 0
    first_image: int = 0


NO_DRAWS = Draws()


def output_shape(shape):
    """Any shape -> the same."""
    return shape


def bound(codes, *, shape=None):
    """The codes' own ends."""
    return np.array([codes[0]]), np.array([codes[1]])


def reference(x):
    """Codes as accumulators: int32 like x."""
    return x.astype(np.int32)


kernels = reference


def rescale_reference(acc, parameters, residual=None, draws=NO_DRAWS):
    """The definition: acc int32 (N, ..., C), residual codes like it -> codes, (saturated low, saturated high)."""
    bits = None
    if parameters.rounding == STOCHASTIC:
        bits = random_bits(parameters.seed, draws.layer, draws.first_image, acc.shape)
    total = numbers.total(acc, parameters, residual)
    rounded = round_shift(total, parameters.shift, parameters.rounding, bits)
    return numbers.clip(rounded, parameters), numbers.saturations(rounded, parameters)


def rescale_kernels(acc, parameters, residual=None, draws=NO_DRAWS):
    """The same codes from the kernel; stochastic rounding, which needs a draw an element, stays with the definition."""
    if parameters.rounding == STOCHASTIC or (residual is not None and parameters.residual_shift is None):
        return rescale_reference(acc, parameters, residual, draws)
    from ..kernels import requantize as kernel

    channels = acc.shape[-1]
    multiplier, shift, residual_shift = (
        np.ascontiguousarray(np.broadcast_to(np.int64(0) if values is None else values, channels))
        for values in (parameters.multiplier, parameters.shift, parameters.residual_shift)
    )
    rows = np.empty((0, 0), np.uint8) if residual is None else residual.reshape(-1, channels)
    codes = np.empty(acc.shape, parameters.format.dtype)
    table = addends(shift, parameters.rounding)
    below, above = kernel.rescale(
        acc.reshape(-1, channels), rows, multiplier, shift, residual_shift, table,
        parameters.lo, parameters.hi, codes.reshape(-1, channels),
    )  # fmt: skip
    return codes, numbers.counted(below, above, parameters)
