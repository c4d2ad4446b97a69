"""Ternary, 4-bit and 8-bit codes of weights, by clusters of filters (contract, section Ternary codes).

A cluster is ``cluster`` consecutive input channels' filters of one output channel; its weights are approximated by
scale * code.  Weights W float64 (O, I, KH, KW); codes int8 like W; scales alpha float64 (O, G), G = ceil(I / cluster).

    paper          per filter the RMS of its m largest weights, for the m = 1..KH*KW of least error; per cluster the RMS
                   of the t largest of these, for the t of least error over all its weights; a code is non-zero where
                   |w| >= alpha/2, which is nearest assignment
    paper-literal  the same with |w| >= alpha: one number as threshold and scale, as the text can be read
    optimal        the exact least-squares scale and support: the mean of the k largest weights of the cluster with the
                   largest (sum of k largest)^2 / k

Sums run in float64 in a fixed order, so that the same weights give the same codes.
Source: Mellempudi et al. 2017, algorithms 1 and 2, in two readings of their threshold; contract T1-T5.
"""

from collections.abc import Callable

import numpy as np

from ..numbers.formats import INT4, INT8_WEIGHT, SCALE, CodeFormat
from ..numbers.nearest import nearest_codes

_INT4_CANDIDATES = 64
_INT4_SMALLEST = 0.3


def clustered(weight: np.ndarray, cluster: int) -> np.ndarray:
    """Weights by cluster, the last one filled up with zeros: (O, I, KH, KW) -> (O, G, cluster, KH*KW)."""
    outputs, inputs = weight.shape[:2]
    cluster = min(cluster, inputs)
    clusters = -(-inputs // cluster)
    filled = np.zeros((outputs, clusters * cluster, weight[0, 0].size))
    filled[:, :inputs] = weight.reshape(outputs, inputs, -1)
    return filled.reshape(outputs, clusters, cluster, -1)


def unclustered(codes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Inverse of ``clustered`` for an array shaped like its result."""
    outputs, inputs = weight.shape[:2]
    return codes.reshape(outputs, -1, codes.shape[-1])[:, :inputs].reshape(weight.shape)


def paper_alphas(blocks: np.ndarray, filters: np.ndarray, threshold: float) -> np.ndarray:
    """Scale of every cluster by algorithms 1 and 2; a code is non-zero from ``threshold * alpha``.

    filters int (G,): how many filters each cluster has, the rest of its block being filled up.
    """
    candidates = -np.sort(-filter_alphas(blocks), axis=2)
    size = np.arange(1, candidates.shape[2] + 1)
    candidates = np.sqrt(np.cumsum(candidates**2, axis=2) / size)
    magnitudes = np.abs(blocks)
    best = np.full(blocks.shape[:2], np.inf)
    alphas = np.zeros(blocks.shape[:2])
    for t in range(candidates.shape[2]):
        alpha = candidates[:, :, t]
        reach = alpha[:, :, None, None]
        error = ((magnitudes - reach * (magnitudes >= threshold * reach)) ** 2).sum(axis=(2, 3))
        better = (error < best) & (t < filters)
        best[better], alphas[better] = error[better], alpha[better]
    return alphas


def filter_alphas(blocks: np.ndarray) -> np.ndarray:
    """Algorithm 2: for each filter the RMS of its m largest weights, for the m of least error: (O, G, cluster)."""
    magnitudes = -np.sort(-np.abs(blocks), axis=3)
    size = np.arange(1, magnitudes.shape[3] + 1)
    sums, squares = np.cumsum(magnitudes, axis=3), np.cumsum(magnitudes**2, axis=3)
    alphas = np.sqrt(squares / size)
    error = squares[..., -1:] - 2 * alphas * sums + alphas**2 * size
    return np.take_along_axis(alphas, error.argmin(axis=3)[..., None], axis=3)[..., 0]


def optimal_alphas(blocks: np.ndarray) -> np.ndarray:
    """Exact least-squares scale of every cluster."""
    magnitudes = -np.sort(-np.abs(blocks).reshape(*blocks.shape[:2], -1), axis=2)
    sums, size = np.cumsum(magnitudes, axis=2), np.arange(1, magnitudes.shape[2] + 1)
    k = (sums**2 / size).argmax(axis=2)[..., None]
    return (np.take_along_axis(sums, k, axis=2) / (k + 1))[..., 0]


def signs(blocks: np.ndarray, alphas: np.ndarray, threshold: float) -> np.ndarray:
    """Ternary codes: the sign of each weight that reaches ``threshold * alpha``, else 0."""
    return (np.sign(blocks) * (np.abs(blocks) >= threshold * alphas[:, :, None, None])).astype(np.int8)


def paper(blocks: np.ndarray, filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Algorithms 1 and 2 with nearest assignment."""
    alphas = paper_alphas(blocks, filters, 0.5)
    return signs(blocks, alphas, 0.5), alphas


def paper_literal(blocks: np.ndarray, filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Algorithms 1 and 2 with the scale as threshold."""
    alphas = paper_alphas(blocks, filters, 1.0)
    return signs(blocks, alphas, 1.0), alphas


def optimal(blocks: np.ndarray, filters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares."""
    alphas = optimal_alphas(blocks)
    return signs(blocks, alphas, 0.5), alphas


METHODS: dict[str, Callable] = {"paper": paper, "paper-literal": paper_literal, "optimal": optimal}


def ternary(weight: np.ndarray, cluster: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of ternary weights."""
    blocks = clustered(weight, cluster)
    filters = np.full(blocks.shape[1], blocks.shape[2])
    filters[-1] -= blocks.shape[1] * blocks.shape[2] - weight.shape[1]
    codes, alphas = METHODS[method](blocks, filters)
    return unclustered(codes, weight), alphas


def int4_alphas(weight: np.ndarray, cluster: int) -> np.ndarray:
    """Scale of every cluster of 4-bit codes: the best of 64 between 0.3 and 1 of max|w| / 7, by least squares."""
    blocks = clustered(weight, cluster)
    top = np.abs(blocks).max(axis=(2, 3)) / INT4.hi
    best, alphas = np.full(top.shape, np.inf), np.zeros(top.shape)
    for share in np.linspace(1.0, _INT4_SMALLEST, _INT4_CANDIDATES):
        alpha = top * share
        steps = alpha[:, :, None, None]
        codes = nearest_codes(np.divide(blocks, steps, out=np.zeros_like(blocks), where=steps > 0), INT4)
        error = ((blocks - codes * steps) ** 2).sum(axis=(2, 3))
        better = error < best
        best[better], alphas[better] = error[better], alpha[better]
    return alphas


def codes_at(weight: np.ndarray, steps: np.ndarray, cluster: int, fmt: CodeFormat) -> np.ndarray:
    """Nearest codes of weights whose cluster's step is ``steps`` (O, G); a step of 0 gives code 0."""
    blocks = clustered(weight, cluster)
    wide = steps[:, :, None, None]
    return unclustered(nearest_codes(np.divide(blocks, wide, out=np.zeros_like(blocks), where=wide > 0), fmt), weight)


def channel_exponents(peaks: np.ndarray, top: int, scope: str) -> np.ndarray:
    """The smallest exponent e with peak <= top * 2**e, for each output channel or one for all: int64 (O,)."""
    fraction, exponent = np.frexp(peaks)
    top_fraction, top_exponent = np.frexp(float(top))
    smallest = (exponent - top_exponent + (fraction > top_fraction)).astype(np.int64)
    largest = int(smallest[peaks > 0].max()) if np.any(peaks > 0) else 0
    return np.where((peaks > 0) & (scope == "channel"), smallest, largest)


def scale_codes(alphas: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Scales as 8-bit codes at each channel's exponent: int8 (O, G)."""
    return nearest_codes(np.ldexp(alphas, -exponents[:, None]), SCALE)


def int8_codes(weight: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """8-bit codes at each channel's exponent."""
    return nearest_codes(np.ldexp(weight, -exponents[:, None, None, None]), INT8_WEIGHT)
