"""Every rounding of integers in refengine happens in this file (contract, section Rounding).

To divide ``t`` by ``2**shift`` and round once, hardware adds something and shifts right:

    round_shift(t, shift) = (t + addend) >> shift            (>> floors)

A rounding mode is the choice of the addend, which may depend on the sign of ``t`` and on whether the floored quotient
``q = t >> shift`` is odd.  Only four addends occur; ``unit`` is ``2**shift``:

    NOTHING  0              result q
    UNDER    unit/2 - 1     up past the half, a tie goes down
    HALF     unit/2         up from the half, a tie goes up
    ALL      unit - 1       up unless exact
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RangeError

MAX_SHIFT = 62

NOTHING, UNDER, HALF, ALL = range(4)

MODES = {
    #                    t >= 0          t < 0
    #                    q even  q odd   q even  q odd
    "floor":            (NOTHING, NOTHING, NOTHING, NOTHING),
    "ceil":             (ALL, ALL, ALL, ALL),
    "toward_zero":      (NOTHING, NOTHING, ALL, ALL),
    "away_from_zero":   (ALL, ALL, NOTHING, NOTHING),
    "half_up":          (HALF, HALF, HALF, HALF),
    "half_down":        (UNDER, UNDER, UNDER, UNDER),
    "half_away":        (HALF, HALF, UNDER, UNDER),
    "half_toward_zero": (UNDER, UNDER, HALF, HALF),
    "half_even":        (UNDER, HALF, UNDER, HALF),
}  # fmt: skip

STOCHASTIC = "stochastic"
DOUBLE_ROUND = "double_round"
ROUNDINGS = (*MODES, STOCHASTIC, DOUBLE_ROUND)

_NUDGE_FROM_SHIFT, _NUDGE = 31, 2**30


def check_rounding(rounding: str) -> str:
    """Return ``rounding`` if it is one of ROUNDINGS; RangeError with the list of them otherwise."""
    if rounding not in MODES and rounding not in (STOCHASTIC, DOUBLE_ROUND):
        raise RangeError(f"rounding {rounding!r} is unknown; available: {', '.join(ROUNDINGS)}")
    return rounding


def addends(shift: np.ndarray, rounding: str) -> np.ndarray:
    """What each shift adds before it floors (contract R1, R4).

    int shift (...) -> int64 (..., 4); the last axis is indexed by ``2 * (t < 0) + (q is odd)``.
    ``double_round`` is half_up preceded, where the shift exceeds 31, by a nudge of 2**30 away from zero: the two-step
    rounding of gemmlowp, in the one-formula form of TOSA.  ``stochastic`` has no table: its addend is a draw.
    """
    unit = np.int64(1) << np.asarray(shift, np.int64)
    half = unit >> 1
    amounts = np.stack([np.zeros_like(unit), np.maximum(half - 1, 0), half, unit - 1], axis=-1)
    if rounding == DOUBLE_ROUND:
        nudge = np.where(unit > np.int64(1) << _NUDGE_FROM_SHIFT, _NUDGE, 0)
        return np.stack([half + nudge, half + nudge, half - nudge, half - nudge], axis=-1)
    return amounts[..., MODES[rounding]]


def round_shift(
    t: npt.ArrayLike, shift: npt.ArrayLike, rounding: str, bits: np.ndarray[Any, Any] | None = None
) -> np.ndarray:
    """Divide int64 values by ``2**shift`` and round once (contract R1-R5).

    t int64 (..., C), |t| <= 2**62; shift 0..62, an integer or one a channel (C); ``bits``: uint64 random bits like
    ``t``, for ``stochastic`` alone.  Returns int64 like ``t``.  RangeError for an unknown rounding or shift.

    >>> round_shift([-6, -5, 5, 6], 2, "half_away").tolist()
    [-2, -1, 1, 2]
    """
    check_rounding(rounding)
    t, shift = np.asarray(t, np.int64), np.asarray(shift, np.int64)
    if shift.size and (shift.min() < 0 or shift.max() > MAX_SHIFT):
        raise RangeError(f"a shift lies in 0..{MAX_SHIFT}, found {shift.min()}..{shift.max()}")
    if rounding == STOCHASTIC:
        return (t + draws(bits, shift)) >> shift
    column = 2 * (t < 0) + ((t >> shift) & 1)
    return (t + np.choose(column, np.moveaxis(addends(shift, rounding), -1, 0))) >> shift


def draws(bits: np.ndarray[Any, Any] | None, shift: np.ndarray[Any, Any]) -> np.ndarray:
    """The ``shift`` highest of 64 random bits: an addend uniform in ``0 .. 2**shift - 1`` (contract R5)."""
    if bits is None:
        raise RangeError("stochastic rounding needs random bits, found none")
    return ((np.asarray(bits, np.uint64) >> np.uint64(1)) >> (63 - shift).astype(np.uint64)).astype(np.int64)


def nearest(numerator: int, denominator: int) -> int:
    """The integer nearest to a rational, ties away from zero (contract R6); denominator > 0.

    >>> nearest(5, 2), nearest(-5, 2), nearest(7, 3)
    (3, -3, 2)
    """
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude
