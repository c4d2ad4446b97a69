"""Folding as an identity: the affine of the accumulators equals the batch norm of the reals."""

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.network.float_layer import FloatLayer
from refengine.quantization import fold

fractions = st.fractions(0, 10**6, max_denominator=10**9)


@given(fractions)
def test_square_root_is_cut_off_at_96_bits(value):
    root = fold.square_root(value)
    assert root * root <= value
    if value:
        assert (root * (1 + Fraction(1, 2**95))) ** 2 > value


@given(st.integers(0, 2**40))
def test_square_root_of_squares_is_exact(n):
    assert fold.square_root(Fraction(n * n)) == n
    assert isqrt(n * n) == n


def batchnorm_layer(gamma, beta, mean, var, epsilon=1e-5):
    constants = {
        name: np.array(values, np.float32)
        for name, values in (("gamma", gamma), ("beta", beta), ("mean", mean), ("var", var))
    }
    return FloatLayer("001_bn", "batchnorm", ("000_input",), constants, {"epsilon": epsilon})


floats = st.floats(-8, 8, width=32)


@given(st.lists(st.tuples(floats, floats, floats, st.floats(0, 8, width=32), floats), min_size=1, max_size=4))
def test_folding_is_the_batch_norm(channels):
    gamma, beta, mean, var, conv_bias = zip(*channels, strict=True)
    layer = batchnorm_layer(gamma, beta, mean, var)
    norm = fold.norm_of(layer)
    unit = [Fraction(1, 64)] * len(channels)
    bias = [Fraction(float(b)) * int(s) for b, s in zip(conv_bias, norm.signs, strict=True)]
    affine = fold.batchnorm(unit, bias, norm, None)
    for acc in (-1000, 0, 17):
        for o, (g, b, m, v, c) in enumerate(channels):
            z = acc / 64 * norm.signs[o] + c
            wanted = g * (z - m) / np.sqrt(np.float64(v) + layer.attributes["epsilon"]) + b
            got = affine.factor[o] * acc + affine.offset[o]
            assert float(got) == pytest.approx(float(wanted), rel=1e-9, abs=1e-9)
            assert affine.factor[o] >= 0


def test_zero_gamma_leaves_beta_alone():
    norm = fold.norm_of(batchnorm_layer([0.0], [1.5], [3.0], [2.0]))
    assert fold.batchnorm([Fraction(1)], [Fraction(0)], norm, None) == fold.Affine((Fraction(0),), (Fraction(3, 2),))


def test_zero_variance_and_zero_epsilon_make_a_constant_channel():
    norm = fold.norm_of(batchnorm_layer([2.0], [0.25], [1.0], [1.0], epsilon=0.0))
    measured = fold.Moments((Fraction(7),), (Fraction(0),))
    affine = fold.batchnorm([Fraction(1)], [Fraction(0)], norm, measured)
    assert affine == fold.Affine((Fraction(0),), (Fraction(1, 4),))


def test_moments_are_exact_for_the_largest_accumulators():
    acc = np.full((3, 5, 2), 2**31 - 1, np.int32)
    acc[..., 1] = [[-(2**31), 1, 2, 3, 4]] * 3
    moments = fold.accumulator_moments(acc)
    for c in range(2):
        values = [int(v) for v in acc[..., c].ravel()]
        mean = Fraction(sum(values), len(values))
        assert moments.mean[c] == mean
        assert moments.var[c] == Fraction(sum(v * v for v in values), len(values)) - mean**2


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=20), st.fractions(-5, 5), st.fractions(0, 9))
def test_corrected_channels_have_the_wanted_moments(values, mean, var):
    acc = np.array(values, np.int32)[:, None]
    measured = fold.accumulator_moments(acc)
    affine = fold.corrected([Fraction(1, 8)], measured, fold.Moments((mean,), (var,)))
    y = [affine.factor[0] * v + affine.offset[0] for v in values]
    assert float(sum(y) / len(y)) == pytest.approx(float(mean), abs=1e-9)
    if measured.var[0]:
        got = sum(v * v for v in y) / len(y) - (sum(y) / len(y)) ** 2
        assert float(got) == pytest.approx(float(var), abs=1e-9)


def test_re_estimated_statistics_replace_the_stored_ones():
    rng = np.random.default_rng(1)
    acc = rng.integers(-400, 400, (50, 1)).astype(np.int32)
    layer = batchnorm_layer([1.25], [0.5], [99.0], [99.0], epsilon=0.0)
    affine = fold.batchnorm([Fraction(1, 16)], [Fraction(2)], fold.norm_of(layer), fold.accumulator_moments(acc))
    y = np.array([float(affine.factor[0] * int(v) + affine.offset[0]) for v in acc[:, 0]])
    assert y.mean() == pytest.approx(0.5)
    assert y.std() == pytest.approx(1.25)
