"""The peak loop of every instruction set here: it computes what it says, with the instruction it says."""

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


def compiled(target):
    loop = peak.make_peak(target)

    @njit(types.void(*[types.int64] * 3))
    def call(sums, activations, steps):
        loop(sums, activations, steps)

    return call


@pytest.mark.parametrize("target", runnable(), ids=lambda target: target.name)
@pytest.mark.parametrize("steps", [1, 5])
def test_the_peak_kernel_computes_its_sums(target, steps):
    rng = np.random.default_rng(steps)
    sums = rng.integers(-(2**31), 2**31, (peak.SUMS[target.lanes], target.lanes)).astype(np.int32)
    activations = rng.integers(-(2**31), 2**31, target.lanes).astype(np.int32)
    found = sums.copy()
    compiled(target)(found.ctypes.data, activations.ctypes.data, steps)
    assert np.array_equal(found, simulated(sums, activations, steps, target.pairs))


@pytest.mark.parametrize(
    "target", [target for target in runnable() if target.dot is not generic], ids=lambda target: target.name
)
def test_every_dot_product_of_the_loop_is_one_instruction(target):
    """And the loop holds little else: sums stay in registers."""
    (text,) = compiled(target).inspect_asm().values()
    dots = [number for number, line in enumerate(text.splitlines()) if "vpdpbusd" in line]
    count = peak.SUMS[target.lanes] * peak.UNROLL
    assert len(dots) % count == 0
    assert min(dots[first + count - 1] - dots[first] for first in range(0, len(dots), count)) < 1.2 * count


def test_products_and_sums_of_the_chosen_target():
    target = peak.TARGET
    assert peak.products(3) == 3 * len(peak.spin(1)) * 4 * peak.UNROLL
    start = np.arange(peak.SUMS[target.lanes] * target.lanes, dtype=np.int32).reshape(-1, target.lanes)
    wanted = simulated(start, np.arange(target.lanes, dtype=np.int32), 2, target.pairs)
    assert np.array_equal(peak.spin(2), wanted.ravel())
