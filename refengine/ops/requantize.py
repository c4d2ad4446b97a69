"""Requantize, the step that ends every accumulating layer, and as a layer of its own (contract, section Requantize).

    code[..., c] = clip(round_shift(acc[..., c] * multiplier[c] + (residual[..., c] << residual_shift[c]), shift[c]))

Where exponents are dynamic, ``coarser_*`` looks at an image's totals first, and ``rescale_*`` shifts by as much more.

As a layer it brings codes to another exponent, format or clip: its accumulators are the input's codes.
The definition is ``numbers/requantize.py``.
"""

from dataclasses import dataclass
from math import prod

import numpy as np

from ..errors import RangeError
from ..numbers import requantize as numbers
from ..numbers.requantize import Requantize
from ..numbers.rounding import STOCHASTIC, addends, round_shift
from ..numbers.stochastic import random_bits
from .interface import Array, Attribute, Constant, Pair, Shape

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 1
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES: dict[str, Attribute] = {}


@dataclass(frozen=True)
class Draws:
    """Where stochastic rounding stands: the layer's position in the network, the first image's in the run."""

    layer: int = 0
    first_image: int = 0


NO_DRAWS = Draws()


def output_shape(shape: Shape) -> Shape:
    """Any shape -> the same."""
    return shape


def bound(codes: Pair, *, shape: Shape | None = None) -> tuple[Array, Array]:
    """The codes' own ends."""
    return np.array([codes[0]]), np.array([codes[1]])


def reference(x: Array) -> Array:
    """Codes as accumulators: int32 like x."""
    return x.astype(np.int32)


kernels = reference


def coarser_reference(acc: Array, parameters: Requantize, residual: Array | None = None) -> Array | None:
    """What each image adds to its exponent, the definition: acc int32 (N, ..., C) -> int64 (N), None where static."""
    return numbers.coarser(numbers.total(acc, parameters, residual), parameters) if parameters.dynamic else None


def coarser_kernels(acc: Array, parameters: Requantize, residual: Array | None = None) -> Array | None:
    """The same integers from the kernel."""
    if not parameters.dynamic:
        return None
    from ..kernels import requantize as kernel

    rows, added = _rows(acc, residual)
    bits = np.empty(len(acc), np.int64)
    kernel.occupied(rows, added, *_by_channel(parameters, acc.shape[-1]), parameters.lo < 0, bits)
    return numbers.coarser_of(bits, parameters)


def rescale_reference(
    acc: Array,
    parameters: Requantize,
    residual: Array | None = None,
    draws: Draws = NO_DRAWS,
    coarser: Array | None = None,
) -> tuple[Array, Pair]:
    """The definition: acc int32 (N, ..., C), residual like it -> codes, (saturated low, saturated high).

    ``coarser`` int64 (N): what the images chose, needed where exponents are dynamic.
    """
    _check_chosen(parameters, coarser)
    bits = None
    if parameters.rounding == STOCHASTIC:
        bits = random_bits(parameters.seed, draws.layer, draws.first_image, acc.shape)
    total = numbers.total(acc, parameters, residual)
    rounded = round_shift(total, numbers.shifts(parameters, coarser, acc.ndim), parameters.rounding, bits)
    return numbers.clip(rounded, parameters), numbers.saturations(rounded, parameters)


def rescale_kernels(
    acc: Array,
    parameters: Requantize,
    residual: Array | None = None,
    draws: Draws = NO_DRAWS,
    coarser: Array | None = None,
) -> tuple[Array, Pair]:
    """The same codes from the kernel; stochastic rounding, which needs a draw an element, stays with the definition."""
    if parameters.rounding == STOCHASTIC or (residual is not None and parameters.residual_shift is None):
        return rescale_reference(acc, parameters, residual, draws, coarser)
    from ..kernels import requantize as kernel

    _check_chosen(parameters, coarser)
    multiplier, shift, residual_shift = _by_channel(parameters, acc.shape[-1])
    rows, added = _rows(acc, residual)
    codes: Array = np.empty(rows.shape, parameters.format.dtype)
    below = above = 0
    for images, more in _alike(coarser):
        table = np.ascontiguousarray(addends(shift + more, parameters.rounding))
        part = kernel.rescale(
            _flat(rows[images]), _flat(added[images]), multiplier, shift + more, residual_shift, table,
            parameters.lo, parameters.hi, _flat(codes[images]),
        )  # fmt: skip
        below, above = below + part[0], above + part[1]
    return codes.reshape(acc.shape), numbers.counted(below, above, parameters)


def _check_chosen(parameters: Requantize, coarser: Array | None) -> None:
    if (coarser is None) == bool(parameters.dynamic):
        what = (
            "dynamic exponents need what each image chose" if parameters.dynamic else "static exponents choose nothing"
        )
        raise RangeError(f"{what}, found {coarser!r}")


def _by_channel(parameters: Requantize, channels: int) -> tuple[Array, ...]:
    """Multiplier, shift and residual shift, int64 (C) each; copies: read-only arrays would need another kernel."""
    arrays = (parameters.multiplier, parameters.shift, parameters.residual_shift)
    return tuple(np.array(np.broadcast_to(0 if a is None else a, channels), np.int64, order="C") for a in arrays)


def _rows(acc: Array, residual: Array | None) -> tuple[Array, Array]:
    """acc as rows of channels by image (N, R, C), and the residual like it, or nothing."""
    shape = (len(acc), prod(acc.shape[1:-1]), acc.shape[-1])
    nothing = np.empty((len(acc), 0, acc.shape[-1]), np.uint8)
    return acc.reshape(shape), nothing if residual is None else residual.reshape(shape)


def _flat(rows: Array) -> Array:
    return rows.reshape(-1, rows.shape[-1])


def _alike(coarser: Array | None) -> list[tuple[slice, int]]:
    """Images that are shifted alike: all of them, or each by itself with what it chose."""
    if coarser is None:
        return [(slice(None), 0)]
    return [(slice(n, n + 1), more) for n, more in enumerate(coarser)]
