"""Codes and scales against searches over everything that they could have been."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.numbers.formats import INT4
from refengine.quantization import clusters


def random_weights(seed, shape=(3, 5, 2, 2)):
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 3), st.integers(1, 9))
def test_clustered_and_back(outputs, inputs, side, cluster):
    weight = np.arange(1.0, outputs * inputs * side * side + 1).reshape(outputs, inputs, side, side)
    blocks = clusters.clustered(weight, cluster)
    assert blocks.shape[1] == -(-inputs // min(cluster, inputs))
    assert np.array_equal(clusters.unclustered(blocks, weight), weight)


def test_the_first_cluster_holds_the_first_input_channels():
    weight = np.arange(5.0).reshape(1, 5, 1, 1)
    assert clusters.clustered(weight, 2)[0, :, :, 0].tolist() == [[0, 1], [2, 3], [4, 0]]


def best_ternary_error(values):
    """Least squares over every ternary pattern, each with its best scale."""
    errors = []
    for pattern in product((-1, 0, 1), repeat=len(values)):
        codes = np.array(pattern)
        scale = max(0.0, codes @ values / max(1, codes @ codes))
        errors.append(((values - scale * codes) ** 2).sum())
    return min(errors)


@pytest.mark.parametrize("seed", range(6))
def test_optimal_is_the_best_of_all_patterns(seed):
    weight = random_weights(seed, (2, 3, 1, 2))
    codes, alphas = clusters.ternary(weight, 3, "optimal")
    for o in range(2):
        error = ((weight[o] - alphas[o, 0] * codes[o]) ** 2).sum()
        assert error == pytest.approx(best_ternary_error(weight[o].ravel()), rel=1e-12)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def paper_by_hand(cluster, threshold):
    """Algorithms 1 and 2 as loops: cluster is a list of filters, each a list of weights."""
    alphas = []
    for filt in cluster:
        ordered = sorted((abs(w) for w in filt), reverse=True)
        candidates = [rms(ordered[:m]) for m in range(1, len(ordered) + 1)]
        errors = [
            sum((w - alpha * (i < m)) ** 2 for i, w in enumerate(ordered))
            for m, alpha in enumerate(candidates, start=1)
        ]
        alphas.append(candidates[errors.index(min(errors))])
    alphas.sort(reverse=True)
    candidates = [rms(alphas[:t]) for t in range(1, len(alphas) + 1)]
    flat = [w for filt in cluster for w in filt]

    def codes(alpha):
        return [int(np.sign(w)) if abs(w) >= threshold * alpha else 0 for w in flat]

    errors = [sum((w - alpha * c) ** 2 for w, c in zip(flat, codes(alpha), strict=True)) for alpha in candidates]
    best = candidates[errors.index(min(errors))]
    return codes(best), best


@pytest.mark.parametrize(("method", "threshold"), [("paper", 0.5), ("paper-literal", 1.0)])
@pytest.mark.parametrize("cluster", [1, 2, 4, 9])
@pytest.mark.parametrize("seed", range(4))
def test_the_papers_algorithms_give_codes_and_scales_of_plain_loops(method, threshold, cluster, seed):
    weight = random_weights(seed)
    codes, alphas = clusters.ternary(weight, cluster, method)
    for o in range(weight.shape[0]):
        for g, first in enumerate(range(0, weight.shape[1], cluster)):
            members = weight[o, first : first + cluster].reshape(-1, 4)
            wanted, alpha = paper_by_hand(members.tolist(), threshold)
            assert codes[o, first : first + cluster].ravel().tolist() == wanted
            assert alphas[o, g] == pytest.approx(alpha, rel=1e-12)


@pytest.mark.parametrize("method", list(clusters.METHODS))
def test_signs_scales_and_zeros(method):
    weight = random_weights(7, (4, 6, 3, 3))
    weight[1, :4] = 0.0
    codes, alphas = clusters.ternary(weight, 4, method)
    assert codes.dtype == np.int8
    assert np.all(codes * weight >= 0)
    assert not codes[1, :4].any()
    assert alphas[1, 0] == 0
    flipped, same = clusters.ternary(-weight, 4, method)
    assert np.array_equal(flipped, -codes)
    assert np.array_equal(same, alphas)
    doubled, twice = clusters.ternary(weight * 4, 4, method)
    assert np.array_equal(doubled, codes)
    assert np.array_equal(twice, alphas * 4)


def test_literal_keeps_fewer_codes_than_nearest():
    weight = random_weights(3, (8, 8, 3, 3))
    nearest, _ = clusters.ternary(weight, 4, "paper")
    literal, _ = clusters.ternary(weight, 4, "paper-literal")
    assert np.count_nonzero(literal) < np.count_nonzero(nearest) / 2


def test_one_pointwise_filter_is_kept_exactly():
    codes, alphas = clusters.ternary(np.array([[[[-0.3]]]]), 1, "paper-literal")
    assert codes.ravel().tolist() == [-1]
    assert alphas[0, 0] == pytest.approx(0.3)


@given(st.lists(st.floats(-4, 4), min_size=4, max_size=4))
def test_int4_is_no_worse_than_the_largest_weights_step(values):
    weight = np.array(values).reshape(1, 2, 1, 2)
    top = np.abs(weight).max() / INT4.hi
    alpha = clusters.int4_alphas(weight, 2)
    error, plain = (
        ((weight - clusters.codes_at(weight, np.full((1, 1), step), 2, INT4) * step) ** 2).sum()
        for step in (float(alpha[0, 0]), top)
    )
    assert error <= plain + 1e-12


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5))
def test_exponents_are_the_smallest_that_hold_the_peak(peaks):
    exponents = clusters.channel_exponents(np.array(peaks), 127, "channel")
    for peak, exponent in zip(peaks, exponents, strict=True):
        if peak > 0:
            step = Fraction(2) ** int(exponent)
            assert 127 * step / 2 < Fraction(peak) <= 127 * step
    layer = clusters.channel_exponents(np.array(peaks), 127, "layer")
    assert set(layer) == {max((e for e, p in zip(exponents, peaks, strict=True) if p > 0), default=0)}


def test_scale_codes_are_nearest():
    alphas = np.array([[1.0, 0.5, 0.26, 0.0]])
    assert clusters.scale_codes(alphas, np.array([-6])).tolist() == [[64, 32, 17, 0]]
