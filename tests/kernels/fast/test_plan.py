"""The walk: hand-made steps that need each other, by one thread and by several, give the same bytes and events."""

from threading import Event, Thread

import numpy as np
import pytest
from kernels_rows import Row, finish_table

from refengine.engine.fast import packing
from refengine.kernels.fast import plan, step, turns
from refengine.kernels.lanes import LINE

CHANNELS = 3
FOUR = 4  # bytes of a looked-up pixel, one of which fills up
LONG = 60  # seconds after which a thread counts as one that hangs
SHORT = 0.05


class Pair:
    """A lookup, and a convolution of 2 taps that reads its pixels from the last one on.

    codes: what each step writes.  wanted: the same by NumPy, and how many values each step clips below and above.
    """

    def __init__(self, pixels, block, panels=2, seed=0):
        rng = np.random.default_rng(seed)
        self.width = plan.TARGET.widths[-1]
        stored = panels * self.width
        self.image = rng.integers(0, 256, (pixels, CHANNELS)).astype(np.uint8)
        self.values = rng.integers(0, 256, (CHANNELS, 256)).astype(np.uint8)
        self.flags = rng.integers(0, 8, (CHANNELS, 256)).astype(np.uint8)
        self.weights = rng.integers(-127, 128, (2 * FOUR, stored))
        self.codes = np.zeros((pixels + 1, FOUR), np.uint8), np.zeros((pixels, stored), np.uint8)
        rows = self._lookup(block), self._conv(block, panels)
        self._kept = rows
        self.steps = np.stack([row.numbers for row in rows])

    @property
    def pixels(self):
        return len(self.image)

    def _starts(self, size):
        return (size * np.arange(max(self.pixels, 1))).astype(np.int32)

    def _lookup(self, block):
        return Row(
            {
                step.KIND: step.LOOKUP,
                step.PIXELS: self.pixels,
                step.BLOCK: block,
                step.IMAGES: self.image,
                step.STARTS: self._starts(CHANNELS),
                step.LENGTH: 1,
                step.WIDTH: CHANNELS,
                step.OFFSETS: np.arange(CHANNELS, dtype=np.int32)[::-1].copy(),
                step.PANELS: self.values,
                step.PANEL_COUNT: CHANNELS,
                step.EXACT_TABLE: self.flags,
                step.STORED: FOUR,
                step.CODES: self.codes[0].ctypes.data,
                step.CODE_STARTS: self._starts(FOUR),
            }
        )

    def _conv(self, block, panels):
        stored = panels * self.width
        rows = self.weights.T.astype(np.int32)
        (packed,) = packing.panels(rows, 0, self.width, plan.TARGET.dense)
        initial = (packing.missing(rows, plan.TARGET) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        return Row(
            {
                step.KIND: step.CONV,
                step.PIXELS: self.pixels,
                step.BLOCK: block,
                step.WAITS_FOR: 1,
                step.IMAGES: self.codes[0].ctypes.data,
                step.STARTS: self._starts(FOUR)[::-1].copy(),
                step.TAPS: 1,
                step.OFFSETS: np.zeros(1, np.int32),
                step.LENGTH: 2 * FOUR,
                step.LIMBS: 1,
                step.PANELS: packed.weights,
                step.PANEL_BYTES: packed.weights[0].nbytes,
                step.PANEL_COUNT: panels,
                step.WIDTH: self.width,
                step.INITIAL: initial,
                step.STORED: stored,
                step.CHANNELS: stored - 1,
                step.LATER_TABLE: finish_table(np.full(stored, 2**12), 20),
                step.ACCUMULATOR_BITS: 32,
                step.CODES: self.codes[1].ctypes.data,
                step.CODE_STARTS: self._starts(stored),
                step.LO: 3,
                step.HI: 200,
            }
        )

    def wanted(self):
        """Codes of both steps, and events int64 (2, 3)."""
        events = np.zeros((2, len(plan.EVENTS)), np.int64)
        found = np.zeros((self.pixels + 1, FOUR), np.int64)
        channels = np.arange(CHANNELS)
        found[:-1, :CHANNELS] = self.values[channels, self.image[:, ::-1]]
        flags = self.flags[channels, self.image[:, ::-1]]
        events[0] = [(flags >> event & 1).sum() for event in plan.EVENTS]
        windows = np.concatenate([found[:-1], found[1:]], axis=1)[::-1]
        rounded = (windows @ self.weights + 128) >> 8
        own = rounded[:, : self.steps[1, step.CHANNELS]]  # what only fills up is not counted
        events[1, : plan.ABOVE + 1] = (own < 3).sum(), (own > 200).sum()
        return found, np.clip(rounded, 3, 200), events

    def check(self, events):
        """Whether codes and events are those of NumPy."""
        looked_up, finished, counted = self.wanted()
        assert np.array_equal(self.codes[0], looked_up)
        assert np.array_equal(self.codes[1], finished)
        assert events.tolist() == counted.tolist()


def counters_of(steps):
    """Counters of some steps, all 0, each in lines of its own."""
    place = np.zeros((len(steps) + 1, turns.COUNTERS), np.int64)
    return place, place.ctypes.data + -place.ctypes.data % LINE


def walked(steps, threads):
    """Walk with some threads; returns the sum of their events."""
    events = np.zeros((threads, len(steps), len(plan.EVENTS)), np.int64)
    _kept, counters = counters_of(steps)
    bodies = [
        Thread(target=plan.walk, args=(steps, own, counters if threads > 1 else 0, threads), daemon=True)
        for own in events
    ]
    for body in bodies:
        body.start()
    for body in bodies:
        body.join(LONG)
        assert not body.is_alive()
    return events.sum(axis=0)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(
    ("pixels", "block"),
    [(1, 1), (1, plan.BLOCK_PIXELS), (5, plan.BLOCK_PIXELS), (97, plan.BLOCK_PIXELS), (200, 7), (500, 96), (64, 64)],
)
def test_threads_share_the_steps(pixels, block, threads):
    """Blocks that are not full, one pixel, and one item: bytes and events are those of NumPy."""
    pair = Pair(pixels, block)
    pair.check(walked(pair.steps, threads))


def test_events_are_added_to_what_was_counted():
    pair = Pair(20, 8)
    events = np.full((2, len(plan.EVENTS)), 1000, np.int64)
    plan.walk(pair.steps, events, 0, 1)
    pair.check(events - 1000)


@pytest.mark.parametrize("seed", range(20))
def test_every_step_sees_what_the_step_before_wrote(seed):
    """Many small items, each step reading first what the other wrote last."""
    pair = Pair(300, 3, seed=seed)
    pair.check(walked(pair.steps, 4))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_plan_without_steps_is_walked(threads):
    assert walked(np.zeros((0, step.FIELDS), np.int64), threads).size == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_a_batch_without_pixels_has_no_items(threads):
    pair = Pair(4, 4)
    pair.steps[:, step.PIXELS] = 0
    assert not walked(pair.steps, threads).any()
    assert not any(codes.any() for codes in pair.codes)


class Walker:
    """A thread that walks some steps and says when it is done."""

    def __init__(self, steps, counters):
        self.events, self.done = np.zeros((len(steps), len(plan.EVENTS)), np.int64), Event()

        def run():
            plan.walk(steps, self.events, counters, 2)
            self.done.set()

        Thread(target=run, daemon=True).start()


def test_a_step_waits_for_those_that_it_needs():
    """Another thread has taken the lookups and is late: nothing of the second step is computed before."""
    pair = Pair(10, 10)
    looked_up, _, wanted = pair.wanted()
    _kept, counters = counters_of(pair.steps)
    for _ in range(CHANNELS):
        turns.take(counters)
    walker = Walker(pair.steps, counters)
    assert not walker.done.wait(SHORT)
    assert not pair.codes[1].any()
    pair.codes[0][:] = looked_up
    for _ in range(CHANNELS):
        assert not walker.done.is_set()
        turns.complete(counters)
    assert walker.done.wait(LONG)
    walker.events[0] = wanted[0]  # counted by whoever looked up
    pair.check(walker.events)


def test_a_walk_ends_when_all_items_are_complete():
    """Whichever thread computes the last one: a result may be read when any walk is over."""
    pair = Pair(10, 10)
    _kept, counters = counters_of(pair.steps)
    second = counters + 8 * turns.COUNTERS
    assert turns.take(second) == 0
    walker = Walker(pair.steps, counters)
    assert not walker.done.wait(SHORT)
    turns.complete(second)
    assert walker.done.wait(LONG)
    codes = pair.wanted()[1]
    assert not pair.codes[1][:, : pair.width].any()  # the item that this test has taken
    assert np.array_equal(pair.codes[1][:, pair.width :], codes[:, pair.width :])
