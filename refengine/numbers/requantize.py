"""Requantize: from accumulators to codes, the one place where a layer rounds and clips (contract, section Requantize).

    total = acc * multiplier[c] + (residual << residual_shift[c])      int64, exact
    code  = clip(round_shift(total, shift[c]), lo, hi)

ReLU is the lower end of the clip, ReLU6 its upper end.  A residual needs no rounding of its own: exponents are powers
of two, so a left shift brings it to the unit of the product.

Where exponents are dynamic, each image chooses how much coarser than 2**exponent its codes are (contract, section
Dynamic), and the one rounding shifts by that much more:

    coarser[n] = bits that the image's largest total has, rounded down, beyond those of a code       0..dynamic
    code       = clip(round_shift(total, shift[c] + coarser[n]), lo, hi)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import RangeError
from .formats import CodeFormat
from .rounding import MAX_SHIFT, check_rounding, round_shift

ACTIVATIONS = ("none", "relu", "clip")
MAX_RESIDUAL_SHIFT = 53
MAX_TOTAL = 2**62
MAX_DYNAMIC = 7  # a code shifted left by as much is a 16-bit integer


@dataclass(frozen=True, eq=False)
class Requantize:
    """The integers of one requantization; arrays have one entry a channel, or a single one for all channels.

    multiplier int64 0..2**31-1, shift int64 0..62, residual_shift int64 0..53 or None.  ``activation`` names what the
    clip ``lo..hi`` means: ``none`` (the ends of the format), ``relu`` (lo is real 0), ``clip`` (hi is the bound of a
    ReLU6).  A value beyond an end that is not an activation's is a saturation.  ``dynamic``: by how much at most an
    image's exponent exceeds the layer's; 0, the rule, is an exponent that is the same for all images.
    """

    multiplier: np.ndarray
    shift: np.ndarray
    residual_shift: np.ndarray | None
    rounding: str
    format: CodeFormat
    activation: str
    lo: int
    hi: int
    seed: int = 0
    dynamic: int = 0

    def __post_init__(self) -> None:
        check_rounding(self.rounding)
        _check_array(self.multiplier, 0, 2**31 - 1, "multiplier")
        _check_array(self.shift, 0, MAX_SHIFT, "shift")
        if self.residual_shift is not None:
            _check_array(self.residual_shift, 0, MAX_RESIDUAL_SHIFT, "residual_shift")
        if self.activation not in ACTIVATIONS:
            raise RangeError(f"activation {self.activation!r} is unknown; available: {', '.join(ACTIVATIONS)}")
        if not self.format.lo <= self.lo <= self.hi <= self.format.hi:
            raise RangeError(
                f"the clip {self.lo}..{self.hi} leaves {self.format.name}, {self.format.lo}..{self.format.hi}"
            )
        if not 0 <= self.seed < 2**63:
            raise RangeError(f"a seed lies in 0..2**63-1, found {self.seed}")
        if self.dynamic:
            self._check_dynamic()

    def _check_dynamic(self) -> None:
        """RangeError where an image could not choose its exponent by shifts alone (contract D1)."""
        if type(self.dynamic) is not int or not 0 < self.dynamic <= MAX_DYNAMIC:
            raise RangeError(f"dynamic exponents differ by 0..{MAX_DYNAMIC}, found {self.dynamic!r}")
        if self.activation == "clip" or self.hi != self.format.hi:
            raise RangeError(f"dynamic exponents need a clip that ends with the format, found {self.lo}..{self.hi}")
        if self.shift.max() + self.dynamic > MAX_SHIFT:
            raise RangeError(f"shift and dynamic come to {self.shift.max() + self.dynamic}, needed at most {MAX_SHIFT}")


def total(acc: np.ndarray, parameters: Requantize, residual: np.ndarray | None = None) -> np.ndarray:
    """The sum before it is rounded (contract Q1): acc int32 (..., C), residual codes like it -> int64 (..., C)."""
    product = acc.astype(np.int64) * parameters.multiplier
    if residual is None:
        return product
    if parameters.residual_shift is None:
        raise RangeError("a residual needs a residual_shift, found none")
    return product + (residual.astype(np.int64) << parameters.residual_shift)


def coarser(total: np.ndarray, parameters: Requantize) -> np.ndarray:
    """What each image adds to its exponent (contract D2): total int64 (N, ..., C) -> int64 (N), each 0..dynamic."""
    floored = total >> parameters.shift
    magnitude = np.where(floored < 0, ~floored if parameters.lo < 0 else 0, floored)
    return coarser_of(np.bitwise_or.reduce(magnitude.reshape(len(total), -1), axis=1), parameters)


def coarser_of(occupied: np.ndarray, parameters: Requantize) -> np.ndarray:
    """The same from the magnitudes of each image, or-ed bit by bit: int64 (N) -> int64 (N).

    A disjunction has as many bits as the largest of its operands, which is all that leading zeros tell.
    """
    bits = np.count_nonzero(occupied[:, None] >> np.arange(63), axis=1)
    return np.clip(bits - parameters.hi.bit_length(), 0, parameters.dynamic).astype(np.int64)


def shifts(parameters: Requantize, coarser: np.ndarray | None, dimensions: int) -> np.ndarray:
    """What totals of that many dimensions are shifted by: int64 (C), or (N, 1, ..., C) where images choose."""
    if coarser is None:
        return parameters.shift
    return parameters.shift + coarser.reshape(-1, *(1,) * (dimensions - 1))


def clip(rounded: np.ndarray, parameters: Requantize) -> np.ndarray:
    """Codes of the output format (contract Q3)."""
    return np.clip(rounded, parameters.lo, parameters.hi).astype(parameters.format.dtype)


def requantize(
    acc: np.ndarray[Any, Any],
    parameters: Requantize,
    residual: np.ndarray[Any, Any] | None = None,
    bits: np.ndarray[Any, Any] | None = None,
) -> np.ndarray:
    """Accumulators to codes (contract Q1-Q3, D1-D3); ``bits`` are the random bits of stochastic rounding.

    The first axis counts images where exponents are dynamic; what each has chosen is ``coarser`` of its total.
    """
    exact = total(acc, parameters, residual)
    chosen = coarser(exact, parameters) if parameters.dynamic else None
    return clip(round_shift(exact, shifts(parameters, chosen, exact.ndim), parameters.rounding, bits), parameters)


def values(codes: np.ndarray, coarser: np.ndarray | None) -> np.ndarray:
    """What later layers read (contract D4): codes, brought to the layer's exponent as int16 where images chose theirs.

    >>> values(np.array([[3, -1], [3, -1]], np.int8), np.array([0, 2])).tolist()
    [[3, -1], [12, -4]]
    """
    if coarser is None:
        return codes
    return codes.astype(np.int16) << coarser.reshape(-1, *(1,) * (codes.ndim - 1)).astype(np.int16)


def saturations(rounded: np.ndarray, parameters: Requantize) -> tuple[int, int]:
    """How many rounded values lay below and above the format, an activation's own clip not counted (contract Q4)."""
    below, above = (int(np.count_nonzero(beyond)) for beyond in (rounded < parameters.lo, rounded > parameters.hi))
    return counted(below, above, parameters)


def counted(below: int, above: int, parameters: Requantize) -> tuple[int, int]:
    """Clipped values that count as saturations: not those that an activation clips on purpose (contract Q4)."""
    return (int(below) if parameters.activation == "none" else 0, int(above) if parameters.activation != "clip" else 0)


def _check_array(values: np.ndarray, lo: int, hi: int, what: str) -> None:
    if values.dtype != np.int64 or values.ndim != 1 or not values.size:
        raise RangeError(f"{what} is one int64 a channel, found {values.dtype} of shape {values.shape}")
    if values.min() < lo or values.max() > hi:
        raise RangeError(f"{what} lies in {lo}..{hi}, found {values.min()}..{values.max()}")
