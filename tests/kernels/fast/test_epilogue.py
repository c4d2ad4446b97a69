"""The 32-bit rescale against integers of unbounded size: in registers and, counting, from memory."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_rows import UNTOUCHED, Given, Row, compiled, finish_table, name_of
from numba import njit, types

from refengine.kernels.fast import step
from refengine.kernels.fast.epilogue import make_epilogue
from refengine.kernels.instruction_sets import runnable

TARGETS = pytest.mark.parametrize("target", runnable(), ids=name_of)
SHAPES = tuple((3, vectors) for vectors in (1, 2, 3, 4))
FIRST_CHANNEL = 16
PIXELS = 4
SPREAD = 3  # totals and residuals of a channel, which pixels take in turn
MOST_LIFTED = 2**31 - 2**16 - 1
BORDERS = (-32769, -32768, -1, 0, 1, 255, 256, 32767, 32768, 65535, 65536)


@dataclass(frozen=True)
class Format:
    """What all channels share: what code 0 is stored as, in the result and (None: there is none) in the residual."""

    zero: int
    residual_zero: int | None
    lo: int
    hi: int

    @property
    def ends(self):
        """LO and HI of a step."""
        return self.lo + self.zero, self.hi + self.zero


@dataclass(frozen=True)
class Channel:
    """A channel's numbers, and what comes through it: totals, and residuals as they are stored."""

    multiplier: int
    shift: int
    residual_shift: int
    lift: int
    totals: tuple
    residuals: tuple

    def rounded(self, form, n):
        """The contract's value before the clip."""
        total = (self.totals[n] << self.lift) * self.multiplier + (1 << (self.shift - 1))
        if form.residual_zero is not None:
            total += (self.residuals[n] - form.residual_zero) << self.residual_shift
        return total >> self.shift

    def stored(self, form, n):
        """The code as it is stored."""
        return min(max(self.rounded(form, n), form.lo), form.hi) + form.zero


def peak_of(form, multiplier, shift, residual_shift, lift):
    """The largest total for which every sum of the rescale stays in 32 bits."""
    residual = 0 if form.residual_zero is None else 1 << (residual_shift - 16)
    half = (1 << (shift - 17)) + (form.zero << (shift - 16)) - (form.residual_zero or 0) * residual
    room = 2**31 - 2 - abs(half) - 255 * residual
    return min(MOST_LIFTED, (((room + 1) << 16) - 1) // max(multiplier, 1)) >> lift


@st.composite
def formats(draw):
    zero = draw(st.sampled_from([0, 128]))
    lo, hi = sorted((draw(st.integers(-zero, 255 - zero)), draw(st.integers(-zero, 255 - zero))))
    if draw(st.booleans()):
        lo, hi = -zero, 255 - zero
    return Format(zero, draw(st.sampled_from([None, 0, 128])), lo, hi)


@st.composite
def channels(draw, form, lifted):
    """Totals of all sizes, and totals around those where a code ends and the next begins."""
    multiplier = draw(st.integers(0, 2**15 - 1) | st.sampled_from([1, 2**14, 2**15 - 1]))
    shift = draw(st.integers(17, 39 if form.zero else 47))
    residual_shift, lift = draw(st.integers(16, 30)), draw(st.integers(0, 12)) if lifted else 0
    peak = peak_of(form, multiplier, shift, residual_shift, lift)
    steps = st.builds(
        lambda code, more: (((code << shift) - (1 << (shift - 1))) // (max(multiplier, 1) << lift)) + more,
        st.integers(-300, 300) | st.sampled_from(BORDERS),
        st.integers(-1, 1),
    )
    totals = st.integers(-peak, peak) | st.sampled_from([-peak, peak, *BORDERS]) | steps
    inside = totals.map(lambda total: min(max(total, -peak), peak))
    several = [
        tuple(draw(st.tuples(*[values] * SPREAD)))
        for values in (inside, st.integers(0, 255) | st.sampled_from([0, 128, 255]))
    ]
    return Channel(multiplier, shift, residual_shift, lift, *several)


@st.composite
def cases(draw, lifted):
    form = draw(formats())
    return form, draw(st.lists(channels(form, lifted), min_size=1, max_size=5))


def table_of(form, columns):
    """The table of neighbouring channels."""
    parts = (
        np.array([getattr(column, name) for column in columns], np.int64)
        for name in ("multiplier", "shift", "residual_shift", "lift")
    )
    multiplier, shift, residual_shift, lift = parts
    return finish_table(multiplier, shift, form.zero, residual_shift, form.residual_zero or 0, lift)


def spread(columns, pixel, value):
    """One number a channel: ``value(column, n)``, n differing from pixel to pixel and from channel to channel."""
    return [value(column, (pixel + place) % SPREAD) for place, column in enumerate(columns)]


def codes_in_registers(target, form, columns, lifted):
    """Codes u8 (PIXELS, width) by a block; nothing beside them is written."""
    width = len(columns)
    stored = FIRST_CHANNEL + width + 16
    channels = slice(FIRST_CHANNEL, FIRST_CHANNEL + width)
    sums, residuals = np.zeros((PIXELS, stored), np.int32), np.zeros((PIXELS, stored), np.uint8)
    for pixel in range(PIXELS):
        sums[pixel, channels] = spread(columns, pixel, lambda column, n: column.totals[n])
        residuals[pixel, channels] = spread(columns, pixel, lambda column, n: column.residuals[n])
    table = np.zeros((5, stored), np.int32)
    table[:, channels] = table_of(form, columns)
    if not lifted:
        table[4] = 7  # is not looked at
    codes = np.full((PIXELS, stored), UNTOUCHED, np.uint8)
    starts = (stored * np.arange(PIXELS)).astype(np.int32)
    row = Row(
        {
            step.IMAGES: sums,
            step.PANELS: np.zeros(PIXELS, np.int32),
            step.WIDTH: width,
            step.STORED: stored,
            step.CHANNEL: FIRST_CHANNEL,
            step.TABLE: table,
            step.CODES: codes.ctypes.data,
            step.CODE_STARTS: starts,
            step.LO: form.ends[0],
            step.HI: form.ends[1],
        }
        | (
            {}
            if form.residual_zero is None
            else {step.RESIDUAL: residuals[::-1].copy(), step.RESIDUAL_STARTS: starts[::-1].copy()}
        )
    )
    compiled(target, SHAPES, Given, lifted)(row.address, 0, PIXELS, 0, 0, 0)
    found = codes[:, channels].tolist()
    codes[:, channels] = UNTOUCHED
    assert (codes == UNTOUCHED).all()
    return found


def check_in_registers(target, vectors, form, columns, lifted):
    columns = [columns[n % len(columns)] for n in range(vectors * target.lanes)]
    wanted = [spread(columns, pixel, lambda column, n: column.stored(form, n)) for pixel in range(PIXELS)]
    assert codes_in_registers(target, form, columns, lifted) == wanted


@TARGETS
@given(data=st.data(), vectors=st.integers(1, 4))
def test_the_rescale_is_the_contracts(target, data, vectors):
    check_in_registers(target, vectors, *data.draw(cases(lifted=False)), lifted=False)


@TARGETS
@given(data=st.data(), vectors=st.integers(1, 4))
def test_a_lift_is_a_larger_shift(target, data, vectors):
    check_in_registers(target, vectors, *data.draw(cases(lifted=True)), lifted=True)


@TARGETS
@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
@pytest.mark.parametrize("form", [Format(0, None, 0, 255), Format(128, None, -128, 127), Format(128, 0, -5, 90)])
def test_values_that_no_word_holds_are_clipped_to_the_right_end(target, vectors, form):
    """The value is the total / 8, and goes far beyond what instructions that pack 16 bits take without saturation."""
    values = [sign * (2**power + more) for power in range(5, 28) for sign in (1, -1) for more in (-1, 0, 1)]
    columns = [Channel(2**14, 17, 16, 0, (8 * value,) * SPREAD, (0,) * SPREAD) for value in [*values, *BORDERS]]
    for first in range(0, len(columns), 8):
        check_in_registers(target, vectors, form, columns[first : first + 8], lifted=False)


@TARGETS
@pytest.mark.parametrize("total", [MOST_LIFTED, -MOST_LIFTED])
def test_the_largest_values_of_all(target, total):
    for form in (Format(0, None, 0, 255), Format(128, 128, -128, 127)):
        columns = [Channel(2**15 - 1, 17, 16, 0, (total,) * SPREAD, (residual,) * SPREAD) for residual in (0, 255)]
        check_in_registers(target, 4, form, columns, lifted=False)


@cache
def from_memory(target):
    epilogue = make_epilogue(target)

    @njit(types.void(*[types.int64] * 7))
    def call(row, first, count, channel, sums, stride, counters):
        epilogue(row, first, count, channel, sums, stride, counters)

    return call


@TARGETS
@given(data=st.data())
def test_the_epilogue_from_memory_counts_what_it_clips(target, data):
    """Codes of the pixels from 1 on, and exactly what lay below and above stands in the counters."""
    form, columns = data.draw(cases(lifted=True))
    columns = [columns[n % len(columns)] for n in range(target.lanes)]
    channel, first = 2, 1
    stored = channel + target.lanes + 3
    table = np.zeros((5, stored), np.int32)
    table[:, channel : channel + target.lanes] = table_of(form, columns)
    sums = np.array([spread(columns, pixel, lambda column, n: column.totals[n]) for pixel in range(PIXELS)], np.int32)
    residuals = np.zeros((PIXELS, stored), np.uint8)
    for pixel in range(PIXELS):
        residuals[pixel, channel : channel + target.lanes] = spread(
            columns, pixel, lambda column, n: column.residuals[n]
        )
    codes = np.full((PIXELS, stored), UNTOUCHED, np.uint8)
    starts = (stored * np.arange(PIXELS)).astype(np.int32)
    added = {step.RESIDUAL: residuals, step.RESIDUAL_STARTS: starts} if form.residual_zero is not None else {}
    row = Row(
        {step.LATER_TABLE: table, step.STORED: stored, step.CODES: codes.ctypes.data, step.CODE_STARTS: starts}
        | {step.LO: form.ends[0], step.HI: form.ends[1]}
        | added
    )
    counters = np.full((2, target.lanes), UNTOUCHED, np.int32)
    place = sums[first:].ctypes.data
    from_memory(target)(row.address, first, PIXELS - first, channel, place, sums.strides[0], counters.ctypes.data)
    wanted = [spread(columns, pixel, lambda column, n: column.stored(form, n)) for pixel in range(first, PIXELS)]
    assert codes[first:, channel : channel + target.lanes].tolist() == wanted
    codes[first:, channel : channel + target.lanes] = UNTOUCHED
    assert (codes == UNTOUCHED).all()
    values = [spread(columns, pixel, lambda column, n: column.rounded(form, n)) for pixel in range(first, PIXELS)]
    below, above = (np.array(values) < form.lo).sum(axis=0), (np.array(values) > form.hi).sum(axis=0)
    assert counters.tolist() == [below.tolist(), above.tolist()]
