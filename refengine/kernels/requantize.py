"""The fixed-point rescale of ``numbers/requantize.py``: multiply, add the addend it is given, shift, clip.

Before it, where exponents are dynamic, a look at which bits the totals of each image occupy.  Which addend belongs to
which value is ``numbers/rounding.py``'s table; this file holds no rule of rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import jit

if TYPE_CHECKING:
    from . import Array


@jit
def rescale(
    acc: Array,
    residual: Array,
    multiplier: Array,
    shift: Array,
    residual_shift: Array,
    addends: Array,
    lo: int,
    hi: int,
    codes: Array,
) -> tuple[int, int]:
    """acc int32 (R, C), residual codes like it or empty, parameters int64 (C), addends int64 (C, 4) -> codes (R, C).

    Returns how many values lay below ``lo`` and above ``hi``.
    """
    below = above = 0
    for r in range(acc.shape[0]):
        for c in range(acc.shape[1]):
            total = np.int64(acc[r, c]) * multiplier[c]
            if residual.size:
                total += np.int64(residual[r, c]) << residual_shift[c]
            column = ((total >> shift[c]) & 1) + (2 if total < 0 else 0)
            value = (total + addends[c, column]) >> shift[c]
            if value < lo:
                value = np.int64(lo)
                below += 1
            elif value > hi:
                value = np.int64(hi)
                above += 1
            codes[r, c] = value
    return below, above


@jit
def occupied(
    acc: Array, residual: Array, multiplier: Array, shift: Array, residual_shift: Array, signed: bool, bits: Array
) -> None:
    """acc int32 (N, R, C), residual values like it or empty, parameters int64 (C) -> bits int64 (N).

    The totals of an image, floored at their shift and or-ed: negative ones as their complement, or, unless ``signed``,
    not at all.
    """
    for n in range(acc.shape[0]):
        found = np.int64(0)
        for r in range(acc.shape[1]):
            for c in range(acc.shape[2]):
                total = np.int64(acc[n, r, c]) * multiplier[c]
                if residual.size:
                    total += np.int64(residual[n, r, c]) << residual_shift[c]
                floored = total >> shift[c]
                if floored >= 0:
                    found |= floored
                elif signed:
                    found |= ~floored
        bits[n] = found
