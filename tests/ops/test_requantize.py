"""Requantize as the end of a layer and as a layer (contract Q, section Requantize)."""

from dataclasses import replace

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.requantize import Requantize, requantize
from refengine.numbers.rounding import DOUBLE_ROUND, MAX_SHIFT, MODES, STOCHASTIC
from refengine.ops import requantize as requantize_op
from refengine.ops.requantize import Draws, coarser_kernels, coarser_reference, rescale_kernels, rescale_reference

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


@given(strategies.requantize_cases(TABLED), st.integers(1, 7))
def test_images_choose_the_same_in_the_kernel(case, dynamic):
    """What each adds to its exponent, its codes and the counts; for images and for vectors."""
    acc, p, residual = case["acc"], case["parameters"], case["residual"]
    if p.activation == "clip" or p.shift.max() + dynamic > MAX_SHIFT:
        return
    p = replace(p, dynamic=dynamic)
    chosen = coarser_reference(acc, p, residual)
    np.testing.assert_array_equal(coarser_kernels(acc, p, residual), chosen)
    codes, saturated = rescale_kernels(acc, p, residual, coarser=chosen)
    expected, counted = rescale_reference(acc, p, residual, coarser=chosen)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(codes, requantize(acc, p, residual))
    assert saturated == counted
    flat = acc[:, :1].reshape(len(acc), -1)
    first = None if residual is None else residual[:, 0]
    np.testing.assert_array_equal(coarser_kernels(flat, p, first), coarser_reference(flat, p, first))


@pytest.mark.parametrize("lo", [-128, 0])
def test_images_choose_the_same_in_the_kernel_at_every_power_of_two(lo):
    """An image a number: those beside powers of two, on both sides of 0, where one bit decides."""
    numbers = [sign * 2**power + beside for power in range(20) for sign in (1, -1) for beside in (-1, 0, 1)]
    acc = np.array(numbers, np.int32)[:, None]
    p = Requantize(np.array([1]), np.array([1]), None, "half_up", INT8, "relu" if lo == 0 else "none", lo, 127, 0, 7)
    chosen = coarser_kernels(acc, p).tolist()
    assert chosen == coarser_reference(acc, p).tolist()
    assert chosen == [oracle.coarser([number], [1], lo, 127, 7) for number in numbers]


@BOTH
def test_a_choice_belongs_to_dynamic_exponents(rescale):
    """Neither is a dynamic layer rounded as if it were static, nor a static one by a choice that it has not."""
    acc, p = (
        np.zeros((1, 2), np.int32),
        Requantize(np.array([1]), np.array([0]), None, "half_up", UINT8, "relu", 0, 255),
    )
    with pytest.raises(RangeError, match="static exponents choose nothing, found array"):
        rescale(acc, p, coarser=np.array([0]))
    with pytest.raises(RangeError, match="dynamic exponents need what each image chose, found None"):
        rescale(acc, replace(p, dynamic=1))
    assert coarser_kernels(acc, p) is coarser_reference(acc, p) is None


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


@BOTH
def test_a_residual_needs_its_shift(rescale):
    step = Requantize(np.array([1]), np.array([0]), None, "half_up", INT8, "none", -128, 127)
    acc, residual = np.zeros((1, 2, 3), np.int32), np.ones((1, 2, 3), np.int8)
    with pytest.raises(RangeError, match=r"^a residual needs a residual_shift, found none$"):
        rescale(acc, step, residual)
    assert (rescale(acc, replace(step, residual_shift=np.array([1])), residual)[0] == 2).all()
