"""Turns: each item is taken by exactly one thread, and whoever waits sees all that was complete before."""

from threading import Event, Thread

import numpy as np
import pytest
from numba import njit

from refengine.kernels.fast import turns
from refengine.kernels.lanes import LINE

LONG = 60  # seconds after which a thread counts as one that hangs
SHORT = 0.05


def counters_of(steps=1):
    """Counters of some steps, all 0, in lines of their own; and the address of each."""
    place = np.zeros((steps + 1) * turns.COUNTERS, np.int64)
    first = -place.ctypes.data % LINE // place.itemsize
    counters = place[first : first + steps * turns.COUNTERS].reshape(steps, -1)
    return counters, [row.ctypes.data for row in counters]


def together(*bodies):
    """Run functions in a thread each, and wait for all."""
    threads = [Thread(target=body, daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


@njit(nogil=True)
def take_some(start, threads, address, items, taken, values):
    """When all threads have begun, take items until there are none; note which, and change each item's value."""
    turns.complete(start)
    turns.wait(start, threads)
    item = turns.take(address)
    while item < items:
        taken[item] += 1
        values[item] = 3 * values[item] + item
        turns.complete(address)
        item = turns.take(address)


@njit(nogil=True)
def wait_and_add(address, items, values):
    turns.wait(address, items)
    return values[:items].sum()


@pytest.mark.parametrize("threads", [1, 4, 8])
@pytest.mark.parametrize("items", [0, 1, 5, 2_000_000])
def test_every_item_is_taken_once(threads, items):
    """And whoever waits for all of them sees what every thread has written."""
    _, (start, address) = counters_of(2)
    taken = np.zeros((threads, max(items, 1)), np.uint8)
    values = np.ones(max(items, 1), np.int64)
    totals = []

    def body(own):
        def run():
            take_some(start, threads, address, items, own, values)
            totals.append(wait_and_add(address, items, values))

        return run

    together(*map(body, taken))
    assert (taken.sum(axis=0)[:items] == 1).all()
    assert totals == [3 * items + items * (items - 1) // 2] * threads


def test_counting_is_atomic():
    """Two threads that meet in between are too rare to rely on, so the compiled code is looked at as well.

    ARM's first version counts by an exclusive load and store (stlxr), others by one instruction.
    """

    @njit("int64(int64)")
    def take_and_complete(address):
        turns.complete(address)
        return turns.take(address)

    (text,) = take_and_complete.inspect_llvm().values()
    lines = text.splitlines()
    assert len([line for line in lines if "stlxr" in line or ("atomicrmw" in line and "add" in line)]) >= 2


def test_items_are_numbered_from_0_and_steps_are_apart():
    _, (first, second) = counters_of(2)
    assert [turns.take(first) for _ in range(3)] == [0, 1, 2]
    assert turns.take(second) == 0
    turns.complete(second)
    turns.wait(second, 1)
    assert turns.take(first) == 3


def test_two_counters_of_a_step_share_no_line():
    counters, (address,) = counters_of()
    turns.take(address)
    turns.complete(address)
    (taken, complete) = np.flatnonzero(counters[0])
    assert (complete - taken) * counters.itemsize >= LINE
    assert 8 * turns.COUNTERS % LINE == 0


def test_nobody_waits_for_nothing():
    _, (address,) = counters_of()
    turns.wait(address, 0)
    turns.complete(address)
    turns.wait(address, 1)
    turns.wait(address, 0)


@pytest.mark.parametrize("waiters", [1, 4])
def test_whoever_waits_waits_for_the_last_item(waiters):
    """Of three items the last one is late: it is waited for, with and without the patience to spin."""
    _, (address,) = counters_of()
    done = [Event() for _ in range(waiters)]

    def body(event):
        def run():
            turns.wait(address, 3)
            event.set()

        return run

    threads = [Thread(target=body(event), daemon=True) for event in done]
    for _ in range(2):
        turns.complete(address)
    for thread in threads:
        thread.start()
    assert not done[0].wait(SHORT)
    assert not any(event.is_set() for event in done)
    turns.complete(address)
    assert all(event.wait(LONG) for event in done)
