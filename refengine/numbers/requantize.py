"""Requantize: from accumulators to codes, the one place where a layer rounds and clips (contract, section Requantize).

    total = acc * multiplier[c] + (residual << residual_shift[c])      int64, exact
    code  = clip(round_shift(total, shift[c]), lo, hi)

ReLU is the lower end of the clip, ReLU6 its upper end.  A residual needs no rounding of its own: exponents are powers
of two, so a left shift brings it to the unit of the product.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import RangeError
from .formats import CodeFormat
from .rounding import MAX_SHIFT, check_rounding, round_shift

ACTIVATIONS = ("none", "relu", "clip")
MAX_RESIDUAL_SHIFT = 53
MAX_TOTAL = 2**62


@dataclass(frozen=True, eq=False)
class Requantize:
    """The integers of one requantization; arrays have one entry a channel, or a single one for all channels.

    multiplier int64 0..2**31-1, shift int64 0..62, residual_shift int64 0..53 or None.  ``activation`` names what the
    clip ``lo..hi`` means: ``none`` (the ends of the format), ``relu`` (lo is real 0), ``clip`` (hi is the bound of a
    ReLU6).  A value beyond an end that is not an activation's is a saturation.  ``dynamic`` is the variant that
    chooses the output exponent for each image; it is named by the contract and not built.
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
    dynamic: bool = False

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
            raise RangeError("dynamic exponents are named by the contract but not built yet")


def total(acc: np.ndarray, parameters: Requantize, residual: np.ndarray | None = None) -> np.ndarray:
    """The sum before it is rounded (contract Q1): acc int32 (..., C), residual codes like it -> int64 (..., C)."""
    product = acc.astype(np.int64) * parameters.multiplier
    if residual is None:
        return product
    if parameters.residual_shift is None:
        raise RangeError("a residual needs a residual_shift, found none")
    return product + (residual.astype(np.int64) << parameters.residual_shift)


def clip(rounded: np.ndarray, parameters: Requantize) -> np.ndarray:
    """Codes of the output format (contract Q3)."""
    return np.clip(rounded, parameters.lo, parameters.hi).astype(parameters.format.dtype)


def requantize(acc, parameters: Requantize, residual=None, bits=None) -> np.ndarray:
    """Accumulators to codes (contract Q1-Q3); ``bits`` are the random bits of stochastic rounding."""
    return clip(round_shift(total(acc, parameters, residual), parameters.shift, parameters.rounding, bits), parameters)


def saturations(rounded: np.ndarray, parameters: Requantize) -> tuple[int, int]:
    """How many rounded values lay below and above the format, an activation's own clip not counted (contract Q4)."""
    return counted(np.count_nonzero(rounded < parameters.lo), np.count_nonzero(rounded > parameters.hi), parameters)


def counted(below, above, parameters: Requantize) -> tuple[int, int]:
    """Clipped values that count as saturations: not those that an activation clips on purpose (contract Q4)."""
    return (int(below) if parameters.activation == "none" else 0, int(above) if parameters.activation != "clip" else 0)


def _check_array(values: np.ndarray, lo: int, hi: int, what: str) -> None:
    if values.dtype != np.int64 or values.ndim != 1 or not values.size:
        raise RangeError(f"{what} is one int64 a channel, found {values.dtype} of shape {values.shape}")
    if values.min() < lo or values.max() > hi:
        raise RangeError(f"{what} lies in {lo}..{hi}, found {values.min()}..{values.max()}")
