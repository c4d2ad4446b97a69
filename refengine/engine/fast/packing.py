"""What the fast plan's kernels read beside codes: weights in panels, and the tables of the two rescales.

A panel holds the weights of some neighbouring output channels: for every 4 consecutive bytes of a window's place, the 4
weights of each channel, or, as words, the first two of each channel and then the other two.  The tables hold, for each
channel, what ``kernels/fast/epilogue.py`` or the exact epilogue of ``kernels/fast/plan.py`` needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from ...kernels.fast.epilogue import HALF, LIFT, MULTIPLIER, RESIDUAL_SHIFT, ROWS, SHIFT
from ...kernels.fast.lane_tile import beginning
from ...kernels.fast.pair_tile import paired_products
from ...kernels.fast.plan import ADDENDS, EXACT_HEIGHT, EXACT_ROWS
from ...kernels.fast.tile import LIMB_BITS
from ...kernels.instruction_sets import DOT, PAIRED, WORDS, Target
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.formats import INT8, INT8_WEIGHT
from ...numbers.requantize import Requantize
from ...numbers.rounding import addends
from .buffers import filled

_MULTIPLIER_BITS = 15
_SHIFTS = range(17, 48)
_RESIDUAL_SHIFTS = range(16, 31)
_LOW_HALF = 1 << (LIMB_BITS - 1)


# ------------------------------------------------------------------------------------------------------------- weights


@dataclass(frozen=True, eq=False)
class Panels:
    """Panels of one width and one number of limbs, side by side: int8 (count, limbs, bytes / 4, width, 4).

    As words: int16 (count, 1, bytes / 4, 2, width, 2).
    """

    first: int
    width: int
    weights: np.ndarray

    @property
    def count(self) -> int:
        """How many panels."""
        return self.weights.shape[0]

    @property
    def limbs(self) -> int:
        """How many int8 make a weight."""
        return self.weights.shape[1]


def widths(channels: int, available: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """(first channel, width, how many) of the panels that cover ``channels``, widest first."""
    first = 0
    for width in available:
        count = (channels - first) // width
        if count:
            yield first, width, count
            first += count * width


def panels(rows: np.ndarray, first: int, width: int, dense: str = DOT) -> Iterator[Panels]:
    """Integer weights in panels, neighbours of as many limbs together.

    rows: int32 (channels, bytes), the weights of channels ``first`` and up in the order in which a window's bytes are
    read; channels a multiple of ``width``, bytes of 4.  A weight beyond int8 is 128 * high + low with both in int8;
    ``words`` hold every weight.
    """
    fours = rows.reshape(-1, width, rows.shape[1] // 4, 4).transpose(0, 2, 1, 3)
    if dense in (WORDS, PAIRED):
        order = [[0, 1], [2, 3]] if dense == WORDS else [[1, 3], [0, 2]]
        twos = fours[..., order].transpose(0, 1, 3, 2, 4)
        yield Panels(first, width, np.ascontiguousarray(twos[:, None]).astype(np.int16))
        return
    limbs = [1 if np.abs(panel).max(initial=0) <= INT8_WEIGHT.hi else 2 for panel in fours]
    place = 0
    for count, group in groupby(limbs):
        length = len(list(group))
        part = fours[place : place + length]
        yield Panels(first + place * width, width, _split(part, count))
        place += length


def missing(rows: np.ndarray, target: Target) -> np.ndarray:
    """What the dense tile's sums of each channel have too little, int64 (channels); ``rows`` as for ``panels``."""
    if target.signed:
        return beginning(rows)
    if target.dense == PAIRED:
        return -paired_products(rows)
    return np.zeros(len(rows), np.int64)


def _split(fours: np.ndarray, limbs: int) -> np.ndarray:
    """High limbs, then low ones: int8 (count, limbs, ...)."""
    if limbs == 1:
        return fours[:, None].astype(np.int8)
    low = ((fours + _LOW_HALF) & (2 * _LOW_HALF - 1)) - _LOW_HALF
    return np.stack([(fours - low) >> LIMB_BITS, low], axis=1).astype(np.int8)


def in_reading_order(weight: np.ndarray, stored: int, length: int) -> np.ndarray:
    """Weights int32 (O, I, KH, KW) in the order of a window's bytes: (O, KH * length).

    A place is a kernel row of KW pixels with ``stored`` channels each, filled up to ``length`` bytes.
    """
    outputs, inputs, kernel_h, kernel_w = weight.shape
    taps = np.zeros((outputs, kernel_h, kernel_w, stored), np.int32)
    taps[..., :inputs] = weight.transpose(0, 2, 3, 1)
    rows = np.zeros((outputs, kernel_h, length), np.int32)
    rows[..., : kernel_w * stored] = taps.reshape(outputs, kernel_h, -1)
    return rows.reshape(outputs, -1)


# -------------------------------------------------------------------------------------------------------------- tables


@dataclass(frozen=True, eq=False)
class _Rescale:
    """Multipliers and shifts by channel, int64 (C); ``residual_shift`` None where nothing is added."""

    multiplier: np.ndarray
    shift: np.ndarray
    residual_shift: np.ndarray | None


def _missing(rescale: _Rescale) -> np.ndarray:
    """Bits by which the shifts fall short of what the epilogue takes, 0 where they do not."""
    missing = np.maximum(0, _SHIFTS[0] - rescale.shift)
    if rescale.residual_shift is None:
        return missing
    return np.maximum(missing, _RESIDUAL_SHIFTS[0] - rescale.residual_shift)


def _spare(rescale: _Rescale) -> np.ndarray:
    """Bits by which the shifts may still rise; below 0 where they are too long."""
    spare = _SHIFTS[-1] - rescale.shift
    if rescale.residual_shift is None:
        return spare
    return np.minimum(spare, _RESIDUAL_SHIFTS[-1] - rescale.residual_shift)


def _raised(rescale: _Rescale, bits: np.ndarray) -> _Rescale:
    """Both shifts longer by ``bits``."""
    residual_shift = None if rescale.residual_shift is None else rescale.residual_shift + bits
    return replace(rescale, shift=rescale.shift + bits, residual_shift=residual_shift)


def table(network: IntNetwork, layer: IntLayer, step: Requantize, zero: int) -> np.ndarray | None:
    """int32 (5, filled channels) of ``kernels/fast/epilogue.py``; None where 32 bits are not enough.

    Shift and residual shift are raised by as many bits as the multiplier has to spare and, if that is not enough, as
    the accumulator has.  ``zero``: what the result's code 0 is stored as.
    """
    if step.rounding != "half_up" or layer.accumulator_bits < 32:
        return None
    channels = network.shapes[layer.name][-1]
    low, high = network.bounds[layer.name]
    peak = np.broadcast_to(np.maximum(-low, high), channels)
    rescale = _without_vanishing(step, peak)
    room = np.array([_MULTIPLIER_BITS - int(m).bit_length() for m in rescale.multiplier])
    room = np.minimum(room, _spare(rescale))
    if room.min() < 0:
        return None
    rescale = _raised(rescale, room)
    lift = _missing(rescale)
    rescale = _raised(rescale, lift)
    headroom = np.array([31 - int(most).bit_length() for most in peak + 2**16])
    if np.any(lift > headroom) or _spare(rescale).min() < 0:
        return None
    added_zero = 128 if layer.residual is not None and network.formats[layer.residual] == INT8 else 0
    rows = np.zeros((len(ROWS), filled(channels)), np.int64)
    rows[HALF] = zero
    rows[MULTIPLIER, :channels] = rescale.multiplier << room
    rows[HALF, :channels] = (np.int64(1) << (rescale.shift - 17)) + (np.int64(zero) << (rescale.shift - 16))
    rows[SHIFT, :channels] = rescale.shift - 16
    rows[LIFT, :channels] = lift
    if rescale.residual_shift is not None:
        rows[RESIDUAL_SHIFT, :channels] = rescale.residual_shift - 16
        rows[HALF, :channels] -= added_zero << (rescale.residual_shift - 16)
    return rows.astype(np.int32) if _fits(rows[:, :channels], peak) else None


def exact_table(step: Requantize, channels: int) -> np.ndarray:
    """int64 (7, filled channels): multiplier, shift, residual shift and the four addends."""
    rows = np.zeros((EXACT_HEIGHT, filled(channels)), np.int64)
    residual_shift = 0 if step.residual_shift is None else step.residual_shift
    for row, values in zip(EXACT_ROWS, (step.multiplier, step.shift, residual_shift), strict=False):
        rows[row, :channels] = values
    rows[ADDENDS:, :channels] = addends(np.broadcast_to(step.shift, channels), step.rounding).T
    return rows


def _without_vanishing(step: Requantize, peak: np.ndarray) -> _Rescale:
    """A requantization by channel, without products that are always less than a half.

    What is left of those is the residual, if it is a whole number of result codes: multiplier 0, the shortest shift.
    """
    multiplier, shift = (np.broadcast_to(values, peak.shape) for values in (step.multiplier, step.shift))
    half = [1 << max(int(s) - 1, 0) for s in shift]
    small = [int(p) * int(m) < h for p, m, h in zip(peak, multiplier, half, strict=True)]
    vanishing = np.array(small) & (shift > 0)
    residual_shift = None
    if step.residual_shift is not None:
        residual_shift = np.broadcast_to(step.residual_shift, peak.shape)
        vanishing &= residual_shift >= shift
        residual_shift = np.where(vanishing, residual_shift - shift + _SHIFTS[0], residual_shift)
    return _Rescale(np.where(vanishing, 0, multiplier), np.where(vanishing, _SHIFTS[0], shift), residual_shift)


def _fits(rows: np.ndarray, peak: np.ndarray) -> bool:
    """Whether no 32-bit sum of the rescale can overflow: the accumulator, and what is added to its product."""
    lifted = peak << rows[LIFT]
    most = (lifted * rows[MULTIPLIER] >> 16) + 1 + np.abs(rows[HALF]) + (255 << rows[RESIDUAL_SHIFT])
    return bool(lifted.max() < 2**31 - 2**16 and most.max() < 2**31)
