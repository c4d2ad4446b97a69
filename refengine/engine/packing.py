"""What the fast plan's kernels read beside codes: weights in panels, and the tables of the two rescales.

A panel holds the weights of some neighbouring output channels: for every 4 consecutive bytes of a window's segment, the
4 weights of each channel.  The tables hold, for each channel, what ``kernels/finish.py`` or the exact finish of
``kernels/plan.py`` needs.
"""

from collections.abc import Iterator

import numpy as np

from ..kernels.plan import ADDENDS, EXACT_ROWS
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import INT8
from ..numbers.requantize import Requantize
from ..numbers.rounding import STOCHASTIC, addends
from ..ops.conv import integer_weights
from .buffers import filled

_MULTIPLIER_BITS = 15
_SHIFTS = range(17, 48)
_RESIDUAL_SHIFTS = range(16, 31)
_NO_TABLE = np.zeros((0, 0), np.int32)


def panels(channels: int, widths: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """(first channel, width, how many) of the panels that cover ``channels``, widest first."""
    first = 0
    for width in widths:
        count = (channels - first) // width
        if count:
            yield first, width, count
            first += count * width


def packed(layer: IntLayer, stored: int, segment: int, first: int, width: int, count: int):
    """Integer weights of ``count`` panels from output ``first`` on: bytes, bytes a panel, where the second limb begins.

    A weight w beyond int8 is 128 * high + low with both in int8; the panel holds all lows, then all highs.
    """
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    outputs, inputs, kernel_h, kernel_w = weight.shape
    rows = np.zeros((first + width * count, kernel_h, segment), np.int32)
    used = min(outputs, len(rows))
    taps = np.zeros((used, kernel_h, kernel_w, stored), np.int32)
    taps[..., :inputs] = weight[:used].transpose(0, 2, 3, 1)
    rows[:used, :, : kernel_w * stored] = taps.reshape(used, kernel_h, -1)
    fours = rows[first:].reshape(count, width, -1, 4).transpose(0, 2, 1, 3)
    if np.abs(fours).max(initial=0) <= 127:
        return _aligned(fours.astype(np.int8)), fours[0].size, 0
    low = ((fours + 64) & 127) - 64
    limbs = np.stack([low, (fours - low) >> 7], axis=1).astype(np.int8)
    return _aligned(limbs), limbs[0].size, fours[0].size


def _aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins at a multiple of 64 bytes."""
    place = np.empty(array.size + 64, np.int8)
    first = -place.ctypes.data % 64
    copy = place[first : first + array.size]
    copy[:] = array.ravel()
    return copy


def tables(network: IntNetwork, layer: IntLayer, last: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Tables of a convolution that the walker covers, None for any other layer.

    The table of ``kernels/finish.py`` where 32 bits are enough for round half up, else that of the exact finish.
    """
    step = layer.requantize
    if layer.op != "conv" or last or step is None or not (layer.attributes["group"] == 1 or is_depthwise(layer)):
        return None
    if step.rounding == STOCHASTIC or layer.accumulator_bits < 32:
        return None
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    offset = 128 * weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)
    bias = layer.constants["bias"] - (offset if network.formats[layer.inputs[0]] is INT8 else 0)
    table = _table(network, layer, step, bias)
    return (table, _NO_TABLE) if table is not None else (_NO_TABLE, _exact_table(step, bias))


def is_depthwise(layer: IntLayer) -> bool:
    """Whether every channel is a group of its own."""
    outputs, inputs = layer.constants["weight"].shape[:2]
    return inputs == 1 and layer.attributes["group"] == outputs


def packed_depthwise(layer: IntLayer) -> np.ndarray:
    """Integer weights of a depthwise convolution, int16 (KH*KW, filled channels)."""
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    rows = np.zeros((weight[0].size, filled(len(weight))), np.int16)
    rows[:, : len(weight)] = weight.reshape(len(weight), -1).T
    return rows


def _exact_table(step: Requantize, bias: np.ndarray) -> np.ndarray:
    """int64 (8, channels): bias, multiplier, shift, residual shift and the four addends."""
    channels = len(bias)
    residual_shift = 0 if step.residual_shift is None else step.residual_shift
    table = np.zeros((EXACT_ROWS, filled(channels)), np.int64)
    rows = (bias, step.multiplier, step.shift, residual_shift)
    for row, values in enumerate(rows):
        table[row, :channels] = values
    table[ADDENDS:, :channels] = addends(np.broadcast_to(step.shift, channels), step.rounding).T
    return table


def _table(network: IntNetwork, layer: IntLayer, step: Requantize, bias: np.ndarray) -> np.ndarray | None:
    """int32 (6, channels): bias, multiplier, half, shift, residual factor and lift in 32-bit lanes, if they fit.

    Shift and residual shift are raised by as many bits as the multiplier has to spare and, if that is not enough, as
    the accumulator has.
    """
    channels = len(bias)
    if step.rounding != "half_up":
        return None
    multiplier, shift = (np.broadcast_to(values, channels) for values in (step.multiplier, step.shift))
    residual_shift = np.broadcast_to(0 if step.residual_shift is None else step.residual_shift, channels)
    low, high = network.bounds[layer.name]
    peak = np.maximum(-low, high)
    vanishing = _vanishing(step, peak, multiplier, shift, residual_shift)
    multiplier = np.where(vanishing, 0, multiplier)
    residual_shift = np.where(vanishing, residual_shift - shift + _SHIFTS[0], residual_shift)
    shift = np.where(vanishing, _SHIFTS[0], shift)
    room = np.array([_MULTIPLIER_BITS - int(m).bit_length() for m in multiplier])
    room = np.minimum(room, _SHIFTS[-1] - shift)
    if step.residual_shift is not None:
        room = np.minimum(room, _RESIDUAL_SHIFTS[-1] - residual_shift)
    if room.min() < 0:
        return None
    headroom = np.array([31 - int(most).bit_length() for most in peak + 2**16])
    wanted = np.maximum(0, _SHIFTS[0] - shift - room)
    if step.residual_shift is not None:
        wanted = np.maximum(wanted, _RESIDUAL_SHIFTS[0] - residual_shift - room)
    lift = np.broadcast_to(wanted, channels)
    if np.any(lift > headroom):
        return None
    shift, residual_shift = shift + room + lift, residual_shift + room + lift
    if shift.max() > _SHIFTS[-1]:
        return None
    table = np.zeros((6, filled(channels)), np.int64)
    table[0, :channels] = bias
    table[1, :channels] = multiplier << room
    table[2, :channels] = np.int64(1) << (shift - 17)
    table[3, :channels] = shift - 16
    table[5, :channels] = lift
    if layer.residual is not None:
        if residual_shift.max() > _RESIDUAL_SHIFTS[-1]:
            return None
        table[4, :channels] = np.int64(1) << (residual_shift - 16)
        if network.formats[layer.residual] is INT8:
            table[2, :channels] -= 128 * table[4, :channels]
    return table.astype(np.int32) if _fits(network, layer, table[:, :channels]) else None


def _vanishing(step: Requantize, peak, multiplier, shift, residual_shift) -> np.ndarray:
    """Channels whose product is always less than a half: what is left is the residual, if that is a whole number."""
    halves = [int(p) * int(m) < 1 << max(int(s) - 1, 0) for p, m, s in zip(peak, multiplier, shift, strict=True)]
    whole = step.residual_shift is None or residual_shift >= shift
    return np.array(halves) & whole & (shift > 0)


def _fits(network: IntNetwork, layer: IntLayer, table: np.ndarray) -> bool:
    """Whether no 32-bit sum of the fused rescale can overflow: the accumulator, and what is added to its product."""
    lo, hi = network.bounds[layer.name]
    peak = np.maximum(-lo, hi) << table[5]
    rounded = (peak * table[1] >> 16) + 1 + np.abs(table[2]) + 255 * table[4]
    return bool(peak.max() < 2**31 - 2**16 and rounded.max() < 2**31 and np.abs(table[0]).max() < 2**31)
