"""The peak loop of every rung that this processor runs: it computes what it says, with the instruction it says."""

import numpy as np
import pytest
from numba import njit, types

from refengine.kernels.fast import peak
from refengine.kernels.instruction_sets import generic, runnable


def simulated(sums, activations, steps, saturates):
    """The loop in NumPy: int32 (SUMS, lanes), wrapping; pairs saturate at 16 bits where no instruction adds four."""
    limits = (-(2**15), 2**15 - 1) if saturates else (-(2**31), 2**31 - 1)
    sums = sums.copy()
    codes = activations.view(np.uint8).reshape(-1, 4).astype(np.int32)
    for _ in range(steps * peak.UNROLL):
        for index in range(len(sums)):
            weights = sums[(index + 1) % len(sums)].view(np.int8).reshape(-1, 4)
            pairs = (codes * weights).reshape(-1, 2, 2).sum(axis=2, dtype=np.int32).clip(*limits)
            sums[index] += pairs.sum(axis=1, dtype=np.int32)
    return sums


def compiled(rung):
    loop = peak.make_peak(rung)

    @njit(types.void(*[types.int64] * 3))
    def call(sums, activations, steps):
        loop(sums, activations, steps)

    return call


@pytest.mark.parametrize("rung", runnable(), ids=lambda rung: rung.name)
@pytest.mark.parametrize("steps", [1, 5])
def test_sums(rung, steps):
    rng = np.random.default_rng(steps)
    sums = rng.integers(-(2**31), 2**31, (peak.SUMS[rung.lanes], rung.lanes)).astype(np.int32)
    activations = rng.integers(-(2**31), 2**31, rung.lanes).astype(np.int32)
    found = sums.copy()
    compiled(rung)(found.ctypes.data, activations.ctypes.data, steps)
    assert np.array_equal(found, simulated(sums, activations, steps, rung.pairs))


@pytest.mark.parametrize("rung", [rung for rung in runnable() if rung.dot is not generic], ids=lambda rung: rung.name)
def test_every_dot_product_of_the_loop_is_one_instruction(rung):
    """And the loop holds little else: sums stay in registers."""
    (text,) = compiled(rung).inspect_asm().values()
    dots = [number for number, line in enumerate(text.splitlines()) if "vpdpbusd" in line]
    count = peak.SUMS[rung.lanes] * peak.UNROLL
    assert len(dots) % count == 0
    assert min(dots[first + count - 1] - dots[first] for first in range(0, len(dots), count)) < 1.2 * count


def test_products_and_sums_of_the_chosen_rung():
    rung = peak.RUNG
    assert peak.products(3) == 3 * len(peak.spin(1)) * 4 * peak.UNROLL
    start = np.arange(peak.SUMS[rung.lanes] * rung.lanes, dtype=np.int32).reshape(-1, rung.lanes)
    wanted = simulated(start, np.arange(rung.lanes, dtype=np.int32), 2, rung.pairs)
    assert np.array_equal(peak.spin(2), wanted.ravel())
