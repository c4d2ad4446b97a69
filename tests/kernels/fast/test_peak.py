"""The peak loop of every instruction set here: it computes what it says, with the instruction it says."""

from functools import cache

import numpy as np
import pytest
from kernels_rows import wrapped
from numba import njit, types

from refengine.kernels.fast import peak
from refengine.kernels.instruction_sets import HALVES, PAIRED, generic, neon, runnable


def pairs(codes, weights):
    """Products of bytes, added in pairs and saturated at 16 bits: int32 (lanes, 2)."""
    products = codes.view(np.uint8).astype(np.int32) * weights.view(np.int8)
    return products.reshape(-1, 2, 2).sum(axis=2, dtype=np.int32).clip(-(2**15), 2**15 - 1)


def low_words(values):
    return values.astype(np.int16).astype(np.int64)


def added(target, form, total, codes, weights):
    """What one sum becomes in NumPy: int64 that wraps, or words that do."""
    words = [vector.view(np.int16).reshape(-1, 2).astype(np.int64) for vector in (total, codes, weights)]
    if form == peak.CROSSED and target.cluster_tiles:
        both = low_words(pairs(codes, weights) + pairs(total, weights))
        return wrapped(total + (both * words[1]).sum(axis=1))
    if target.dense == HALVES:
        products = codes.view(np.int8).astype(np.int64) * weights.view(np.int8)
        halves = low_words(products.reshape(2, -1).sum(axis=0))
        return wrapped(total + halves.reshape(-1, 2).sum(axis=1))
    if target.signed:
        products = codes.view(np.int8).astype(np.int64) * weights.view(np.int8)
        return wrapped(total + products.reshape(-1, 4).sum(axis=1))
    if not target.pairs:
        products = codes.view(np.uint8).astype(np.int64) * weights.view(np.int8)
        return wrapped(total + products.reshape(-1, 4).sum(axis=1))
    if form == peak.CLUSTERS:
        return low_words(words[0] + pairs(codes, weights)).astype(np.int16).view(np.int32).ravel()
    if target.dense == PAIRED:
        sums, differences = low_words(words[1] + words[2]), low_words(words[1] - words[2])
        return wrapped(total + (sums * differences).sum(axis=1))
    return wrapped(total + (words[1] * words[2]).sum(axis=1))


def simulated(target, form, sums, activations, steps):
    """The loop in NumPy: int32 (SUMS, lanes)."""
    sums = sums.copy()
    for _ in range(steps * peak.UNROLL):
        for index in range(len(sums)):
            sums[index] = added(target, form, sums[index], activations, sums[(index + 1) % len(sums)])
    return sums


@cache
def compiled(target, form):
    loop = peak.make_peak(target, form)

    @njit(types.void(*[types.int64] * 3))
    def call(sums, activations, steps):
        loop(sums, activations, steps)

    return call


@pytest.mark.parametrize("form", peak.FORMS)
@pytest.mark.parametrize("target", runnable(), ids=lambda target: target.name)
@pytest.mark.parametrize("steps", [1, 5])
def test_the_peak_kernel_computes_its_sums(target, steps, form):
    rng = np.random.default_rng(steps)
    sums = rng.integers(-(2**31), 2**31, (peak.SUMS[target.lanes], target.lanes)).astype(np.int32)
    activations = rng.integers(-(2**31), 2**31, target.lanes).astype(np.int32)
    found = sums.copy()
    compiled(target, form)(found.ctypes.data, activations.ctypes.data, steps)
    assert np.array_equal(found, simulated(target, form, sums, activations, steps))


@pytest.mark.parametrize(
    "target", [target for target in runnable() if target.dot not in (generic, neon)], ids=lambda target: target.name
)
def test_every_dot_product_of_the_loop_is_one_instruction(target):
    """And the loop holds little else: sums stay in registers."""
    (text,) = compiled(target, peak.DENSE).inspect_asm().values()
    dots = [number for number, line in enumerate(text.splitlines()) if "vpdpbusd" in line or "sdot" in line]
    count = peak.SUMS[target.lanes] * peak.UNROLL
    assert len(dots) % count == 0
    assert min(dots[first + count - 1] - dots[first] for first in range(0, len(dots), count)) < 1.2 * count


@pytest.mark.parametrize("form", peak.FORMS)
def test_products_and_sums_of_the_chosen_target(form):
    target = peak.TARGET
    known = peak.forms(target)
    _, each = known[form if form < len(known) else peak.DENSE]
    assert peak.products(form, 3) == 3 * len(peak.spin(form, 1)) * each * peak.UNROLL
    start = np.arange(peak.SUMS[target.lanes] * target.lanes, dtype=np.int32).reshape(-1, target.lanes)
    wanted = simulated(target, form, start, np.arange(target.lanes, dtype=np.int32), 2)
    assert np.array_equal(peak.spin(form, 2), wanted.ravel())
