"""Integer weights: what codes, scales and exponents mean together."""

import numpy as np
import pytest

from refengine.quantization.weights import choose, erased

FORMATS = ("ternary", "int4", "int8")


def weight(seed=0, shape=(4, 6, 3, 3)):
    return np.random.default_rng(seed).standard_normal(shape) * np.array([1, 0.01, 30, 1])[:, None, None, None]


def meant(weights):
    """The reals that integer weights stand for."""
    scale = np.repeat(weights.scale.astype(float), weights.cluster, axis=1)[:, : weights.codes.shape[1]]
    return np.ldexp(weights.codes * scale[:, :, None, None], weights.exponent[:, None, None, None])


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("scope", ["channel", "layer"])
def test_integers_stand_for_the_weights(fmt, scope):
    w = weight()
    weights = choose(w, fmt, 4, "optimal", scope).at()
    error = np.sqrt(((meant(weights) - w) ** 2).sum(axis=(1, 2, 3)) / (w**2).sum(axis=(1, 2, 3)))
    largest = {"ternary": 0.6, "int4": 0.2, "int8": 0.02}[fmt]
    kept = error if scope == "channel" else error[2:3]
    assert np.all(kept < largest)
    assert (len(set(weights.exponent)) == 1) == (scope == "layer")


@pytest.mark.parametrize("fmt", FORMATS)
def test_factors_of_two_move_the_exponent_alone(fmt):
    choice = choose(weight(), fmt, 4, "paper", "channel")
    plain, doubled = choice.at(), choice.at(np.array([1.0, 2.0, 0.5, 8.0]))
    assert np.array_equal(plain.codes, doubled.codes)
    assert np.array_equal(plain.scale, doubled.scale)
    assert (doubled.exponent - plain.exponent).tolist() == [0, 1, -1, 3]


@pytest.mark.parametrize("fmt", FORMATS)
def test_coarser_exponents_use_fewer_codes(fmt):
    choice = choose(weight(), fmt, 4, "paper", "channel")
    plain, coarse = choice.at(), choice.at(coarser=np.array([0, 2, 0, 20]))
    assert (coarse.exponent - plain.exponent).tolist() == [0, 2, 0, 20]
    products = np.abs(meant(coarse)).max(axis=(1, 2, 3)) / 2.0**coarse.exponent
    assert products[1] <= np.abs(meant(plain)).max(axis=(1, 2, 3))[1] / 2.0 ** plain.exponent[1] / 4 + 7
    assert products[3] == 0


def test_int8_is_one_cluster_of_scale_one():
    weights = choose(weight(), "int8", 4, "paper", "channel").at()
    assert weights.scale.tolist() == [[1]] * 4
    assert weights.cluster == 6
    assert all(64 <= peak <= 127 for peak in np.abs(weights.codes.astype(int)).max(axis=(1, 2, 3)))


def test_a_cluster_never_exceeds_the_channels():
    assert choose(weight(), "ternary", 64, "paper", "channel").at().scale.shape == (4, 1)


def test_erased_channels_have_no_codes():
    weights = choose(weight(), "int4", 2, "paper", "channel").at()
    gone = erased(weights, np.array([False, True, False, False]))
    assert not gone.codes[1].any()
    assert np.array_equal(gone.codes[[0, 2, 3]], weights.codes[[0, 2, 3]])
