"""Exponents: the smallest that holds everything, or the one that loses least among its neighbours."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.numbers.formats import INT8, UINT8
from refengine.quantization import calibrate
from refengine.quantization.calibrate import Reals, dynamic_exponent, output_exponent
from refengine.quantization.fold import Affine


def reals(acc, factor=Fraction(1), **more):
    acc = np.array(acc, np.int32).reshape(len(acc), -1)
    channels = acc.shape[1]
    return Reals(acc, Affine((Fraction(factor),) * channels, (Fraction(0),) * channels), **more)


@given(st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=30), st.integers(-20, 20))
def test_max_is_the_smallest_that_does_not_saturate(acc, power):
    factor = Fraction(2) ** power
    if not any(acc):
        return
    exponent = output_exponent(reals(acc, factor), INT8, "max")
    step = Fraction(2) ** exponent
    assert all(-128 * step <= value * factor <= 127 * step for value in acc)
    half = step / 2
    assert any(not -128 * half <= value * factor <= 127 * half for value in acc)


def test_relu_and_relu6_limit_the_range():
    acc = [[-1000], [24]]
    assert output_exponent(reals(acc, lo=0.0), UINT8, "max") == -3
    assert output_exponent(reals(acc, lo=0.0, hi=6.0), UINT8, "max") == -5


def test_the_residual_widens_the_calibrated_range():
    plain = reals([[100], [50]])
    joined = reals([[100], [50]], residual=np.array([[100], [0]], np.uint8), residual_exponent=2)
    assert output_exponent(plain, UINT8, "max") == -1
    assert output_exponent(joined, UINT8, "max") == 1


def test_offsets_move_the_range():
    moved = Reals(np.array([[0]], np.int32), Affine((Fraction(1),), (Fraction(300),)))
    assert output_exponent(moved, UINT8, "max") == 1


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=6), st.integers(-9, 9))
def test_dynamic_reaches_from_the_finest_image_to_one_beyond_the_coarsest(largest, power):
    """Of each image's own exponent by ``max``, as far as seven steps go; black images need none (contract E4)."""
    factor = Fraction(2) ** power
    exponent, dynamic = dynamic_exponent(reals([[value, -1] for value in largest], factor, lo=0.0), UINT8)
    alone = [output_exponent(reals([[value, -1]], factor, lo=0.0), UINT8, "max") for value in largest if value]
    assert 0 <= dynamic <= 7
    if not alone:
        assert (exponent, dynamic) == (0, 0)
        return
    assert exponent + dynamic == max(alone) + 1
    assert exponent == max(min(alone), max(alone) - 6)


def test_the_residual_of_each_image_counts_for_it():
    joined = reals([[100], [50]], residual=np.array([[100], [0]], np.uint8), residual_exponent=2)
    assert dynamic_exponent(joined, UINT8) == (-2, 4)


def test_nothing_but_zeros_gives_exponent_zero():
    assert output_exponent(reals([[0], [0]]), UINT8, "mse") == 0


@pytest.mark.parametrize("seed", range(5))
def test_mse_loses_least(seed):
    rng = np.random.default_rng(seed)
    acc = (rng.standard_normal(4000) * 1000).astype(np.int32)
    acc[0] = 60000
    chosen = output_exponent(reals(acc, Fraction(1, 512)), INT8, "mse")
    largest = output_exponent(reals(acc, Fraction(1, 512)), INT8, "max")
    y = acc / 512

    def loss(exponent):
        codes = np.clip(np.rint(y / 2.0**exponent), -128, 127)
        return math.fsum((y - codes * 2.0**exponent) ** 2)

    assert chosen == min(range(largest, largest - 4, -1), key=loss)


def test_an_outlier_makes_mse_saturate_and_max_not():
    acc = np.concatenate([np.full(100000, 77), [400]])
    assert output_exponent(reals(acc, Fraction(1)), UINT8, "max") == 1
    assert output_exponent(reals(acc, Fraction(1)), UINT8, "mse") < 1


def test_mse_looks_at_all_channels(monkeypatch):
    """Of 16 channels, the first of which is dark: every 64th value would be one of it."""
    acc = np.full((8192, 16), 77)
    acc[:, 0], acc[0, 5] = 0, 400
    whole = output_exponent(reals(acc), UINT8, "mse")
    monkeypatch.setattr(calibrate, "_LOOKED_AT", 64)
    assert output_exponent(reals(acc), UINT8, "mse") == whole < 1
