"""Exact sums of accumulators and of their squares, per channel, for the re-estimation of batch norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import jit

if TYPE_CHECKING:
    from . import Array


@jit
def add_moments(acc: Array, sums: Array, squares_high: Array, squares_low: Array) -> None:
    """acc int32 (R, C) adds to sums, squares_high, squares_low int64 (C); a square is high * 2**32 + low."""
    for r in range(acc.shape[0]):
        for c in range(acc.shape[1]):
            value = np.int64(acc[r, c])
            square = value * value
            sums[c] += value
            squares_high[c] += square >> 32
            squares_low[c] += square & 0xFFFFFFFF
