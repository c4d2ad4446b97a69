"""Requantize as the end of a layer and as a layer (contract Q, section Requantize)."""

from dataclasses import replace

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.numbers.formats import UINT8
from refengine.numbers.requantize import Requantize, requantize
from refengine.numbers.rounding import DOUBLE_ROUND, MODES, STOCHASTIC
from refengine.ops import requantize as requantize_op
from refengine.ops.requantize import Draws, rescale_kernels, rescale_reference

TABLED = (*MODES, DOUBLE_ROUND)
BOTH = pytest.mark.parametrize("rescale", [rescale_reference, rescale_kernels], ids=["reference", "kernels"])


@given(strategies.requantize_cases(TABLED))
def test_the_kernel_equals_the_definition(case):
    """Codes and counts, for every rounding that has a table of addends."""
    acc, p, residual = case["acc"], case["parameters"], case["residual"]
    codes, saturated = rescale_kernels(acc, p, residual)
    expected, counted = rescale_reference(acc, p, residual)
    assert codes.dtype == expected.dtype == p.format.dtype
    np.testing.assert_array_equal(codes, expected)
    assert saturated == counted
    np.testing.assert_array_equal(codes, requantize(acc, p, residual))


@pytest.mark.parametrize("rounding", TABLED)
def test_every_rounding_in_the_kernel(rounding):
    """All 16-bit accumulators at once, a channel for each of many shifts, against the oracle at the ends."""
    shifts = np.array([0, 1, 2, 7, 8, 31, 32, 33, 62])
    acc = np.repeat(np.arange(-(2**15), 2**15, dtype=np.int32)[:, None], len(shifts), axis=1)
    multiplier = np.array([1, 1, 3, 255, 255, 2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1])
    p = Requantize(multiplier, shifts, None, rounding, UINT8, "relu", 0, 255)
    codes, saturated = rescale_kernels(acc, p)
    expected, counted = rescale_reference(acc, p)
    np.testing.assert_array_equal(codes, expected)
    assert saturated == counted
    for row in (0, 1, 2**15 - 1, 2**15, 2**15 + 1, 2**16 - 1):
        for c, shift in enumerate(shifts.tolist()):
            value = oracle.requantize(int(acc[row, c]), int(multiplier[c]), shift, rounding, 0, 255)
            assert codes[row, c] == value


@BOTH
@given(case=strategies.requantize_cases((STOCHASTIC,)), layer=st.integers(0, 9), first=st.integers(0, 9))
def test_stochastic_draws_belong_to_the_image(rescale, case, layer, first):
    """Every element against the oracle's generator; batches of one equal the batch (R5, P1)."""
    acc, residual = case["acc"], case["residual"]
    p = replace(case["parameters"], seed=77)
    codes, _ = rescale(acc, p, residual, Draws(layer, first))
    pick = [0] * acc.shape[-1] if len(p.multiplier) == 1 else range(acc.shape[-1])
    for (n, y, c), code in np.ndenumerate(codes):
        bits = oracle.random_bits(77, layer, first + n, y * acc.shape[2] + c)
        total = int(acc[n, y, c]) * int(p.multiplier[pick[c]])
        if residual is not None:
            total += int(residual[n, y, c]) * 2 ** int(np.broadcast_to(p.residual_shift, acc.shape[-1])[c])
        shift = int(np.broadcast_to(p.shift, acc.shape[-1])[c])
        assert code == min(max(oracle.stochastic(total, shift, bits), p.lo), p.hi)
    for n in range(len(acc)):
        alone = None if residual is None else residual[n : n + 1]
        image, _ = rescale(acc[n : n + 1], p, alone, Draws(layer, first + n))
        np.testing.assert_array_equal(image[0], codes[n])


@BOTH
@given(case=strategies.requantize_cases(TABLED))
def test_any_shape_in_front_of_the_channels(rescale, case):
    """Images (N, H, W, C) and vectors (N, C) are the same rows of channels."""
    acc, p, residual = case["acc"], case["parameters"], case["residual"]
    flat, counted = rescale(acc, p, residual)
    n, pixels, channels = acc.shape
    for shape in ((n * pixels, channels), (n, 1, pixels, channels)):
        again, saturated = rescale(acc.reshape(shape), p, None if residual is None else residual.reshape(shape))
        np.testing.assert_array_equal(again, flat.reshape(shape))
        assert saturated == counted


@BOTH
def test_a_transposed_accumulator(rescale):
    """Memory order does not count."""
    acc = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    p = Requantize(np.arange(1, 4), np.array([1]), None, "half_even", UINT8, "none", 0, 255)
    turned = np.ascontiguousarray(acc.transpose(0, 2, 1)).transpose(0, 2, 1)
    expected, _ = rescale(np.ascontiguousarray(turned.transpose(0, 2, 1)), p)
    np.testing.assert_array_equal(rescale(turned.transpose(0, 2, 1), p)[0], expected)


@given(strategies.images())
def test_as_a_layer_codes_are_accumulators(x):
    """int32, the same numbers, the same shape (Requantize1)."""
    for run in (requantize_op.reference, requantize_op.kernels):
        acc = run(x)
        assert acc.dtype == np.int32
        assert acc.tolist() == x.tolist()
    assert requantize_op.output_shape(x.shape[1:]) == x.shape[1:]
    lo, hi = requantize_op.bound((-3, 9), shape=x.shape[1:])
    assert (lo.tolist(), hi.tolist()) == ([-3], [9])
