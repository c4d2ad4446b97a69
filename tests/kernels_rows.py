"""Steps for tests of the fast plan's kernels: rows of integers, the arrays that they point to, and compiled blocks."""

from functools import cache

import numpy as np
from numba import njit, types

from refengine.kernels.fast import step
from refengine.kernels.fast.block import make_block
from refengine.kernels.fast.epilogue import HALF, LIFT, MULTIPLIER, RESIDUAL_SHIFT, ROWS, SHIFT
from refengine.kernels.fast.step import field, first_channel
from refengine.kernels.lanes import I32, load, number, store, vector

UNTOUCHED = 77
FIRST_CHANNEL = 16
MIDDLE = 500  # where a dense layer's image points to: windows lie on both sides
EXTREMES = (0, 1, 127, 128, 254, 255)


def name_of(value):
    """How a parameter is called in the name of a test."""
    return getattr(value, "name", None) or getattr(value, "__name__", None) or str(value)


def aligned(array):
    """A copy that begins at a multiple of 64 bytes."""
    place = np.empty(array.nbytes + 64, np.uint8)
    copy = place[-place.ctypes.data % 64 :][: array.nbytes].view(array.dtype).reshape(array.shape)
    copy[:] = array
    return copy


def wrapped(values):
    """What 32 bits hold of int64 values."""
    return (np.asarray(values, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


class Row:
    """A step: numbers by field, an array being the address of an aligned copy that lives as long as the row."""

    def __init__(self, fields):
        self.fields = dict(fields)
        self.numbers = np.zeros(step.FIELDS, np.int64)
        self._kept = []
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                self._kept.append(aligned(value))
                value = self._kept[-1].ctypes.data
            self.numbers[name] = value

    @property
    def address(self):
        return self.numbers.ctypes.data


class Given:
    """A tile whose sums stand in memory, int32 (PIXELS, STORED) at IMAGES; PANELS int32 counts visits of each pixel."""

    def __init__(self, builder, target, vectors, row, first, panel):
        self._builder, self._lanes, self._vectors = builder, target.lanes, vectors
        self._visits = field(builder, row, step.PANELS)
        self._stride = builder.mul(field(builder, row, step.STORED), number(4))
        channel = first_channel(builder, row, panel)
        self._sums = builder.add(field(builder, row, step.IMAGES), builder.mul(channel, number(4)))

    def sums(self, pixel, pixels):
        return [self._sums_of(self._builder.add(pixel, number(n))) for n in range(pixels)]

    def _sums_of(self, pixel):
        builder, size = self._builder, 4 * self._lanes
        visits = builder.add(self._visits, builder.mul(pixel, number(4)))
        store(builder, builder.add(load(builder, visits, I32, 4), number(1, I32)), visits, 4)
        line = builder.add(self._sums, builder.mul(pixel, self._stride))
        places = [builder.add(line, number(size * v)) for v in range(self._vectors)]
        return [load(builder, place, vector(I32, self._lanes), 4) for place in places]


@cache
def compiled(target, shapes, tile, lifted=False):
    """``make_block`` as a function."""
    block = make_block(target, shapes, tile, lifted)

    @njit(types.void(*[types.int64] * 6))
    def call(row, first, end, panel, sums, stride):
        block(row, first, end, panel, sums, stride)

    return call


def sums_of(call, row, first, end, panel, gap=0):
    """int32 (end - first, WIDTH): what a block leaves, with ``gap`` numbers between pixels that it must not touch."""
    width = row.fields[step.WIDTH]
    sums = np.full((end - first + 1, width + gap), UNTOUCHED, np.int32)
    call(row.address, first, end, panel, sums.ctypes.data, sums.strides[0])
    assert (sums[:, width:] == UNTOUCHED).all()
    assert (sums[-1] == UNTOUCHED).all()
    return sums[:-1, :width]


def finish_table(multiplier, shift, zero=0, residual_shift=16, residual_zero=0, lift=0):
    """The table of ``kernels/fast/epilogue.py``, int32 (5, channels), from numbers or arrays."""
    half = (1 << (shift - 17)) + (zero << (shift - 16)) - (residual_zero << (residual_shift - 16))
    rows = {MULTIPLIER: multiplier, HALF: half, SHIFT: shift - 16, RESIDUAL_SHIFT: residual_shift - 16, LIFT: lift}
    return np.stack(np.broadcast_arrays(*(rows[row] for row in ROWS))).astype(np.int32)


class DenseLayer:
    """A step and what it should compute."""

    def __init__(self, image, starts, offsets, length, weights, initial, pack):
        """weights int (places * length, panels, width); initial int32 (limbs, STORED); pack(weights, limbs)."""
        self.image, self.starts, self.offsets, self.length = aligned(image), starts, offsets, length
        self.weights, self.initial = weights, initial
        limbs, stored = initial.shape
        panels = pack(weights, limbs)
        self.row = Row(
            {
                step.IMAGES: self.image.ctypes.data + MIDDLE,
                step.STARTS: starts.astype(np.int32),
                step.TAPS: len(offsets),
                step.OFFSETS: offsets.astype(np.int32),
                step.LENGTH: length,
                step.LIMBS: limbs,
                step.PANELS: panels,
                step.PANEL_BYTES: panels[0].nbytes,
                step.WIDTH: weights.shape[2],
                step.CHANNEL: FIRST_CHANNEL,
                step.INITIAL: initial,
                step.STORED: stored,
            }
        )

    def wanted(self, first, end, panel):
        """Initial values of all limbs and the products, in 64 bits."""
        where = MIDDLE + self.starts[first:end, None, None] + self.offsets[:, None] + np.arange(self.length)
        windows = self.image[where].reshape(end - first, -1).astype(np.int64)
        channel = FIRST_CHANNEL + panel * self.weights.shape[2]
        begun = self.initial[:, channel : channel + self.weights.shape[2]].astype(np.int64)
        before = begun[0] if len(begun) == 1 else 128 * begun[0] + begun[1]
        return before + windows @ self.weights[:, panel].astype(np.int64)


def limbs_of(weights, limbs):
    """int (...) -> int8 (limbs, ...) with weights = 128 * high + low, or the weights themselves."""
    high = (weights + 64) >> 7
    parts = [weights] if limbs == 1 else [high, weights - 128 * high]
    found = np.stack(parts).astype(np.int8)
    assert np.array_equal(found, np.stack(parts))
    return found


def packed(weights, limbs):
    """Weights (bytes, panels, width) -> int8 (panels, limbs, bytes / 4, width, 4)."""
    length, panels, width = weights.shape
    fours = limbs_of(weights, limbs).reshape(limbs, length // 4, 4, panels, width)
    return np.ascontiguousarray(fours.transpose(3, 0, 1, 4, 2))
