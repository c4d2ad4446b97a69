"""Batch norm folded into one factor and one offset a channel, in exact rationals (contract, section Folding).

    y = gamma * (z - mean) / sqrt(var + epsilon) + beta = factor * acc + offset,        z = unit * acc + conv bias

acc are integer accumulators worth ``unit`` each.  With re-estimation mean and var are those of z on the calibration
images, from exact integer sums; gamma and beta are kept.  Where batch norm is folded already, z is brought to the mean
and variance that the float network's layer has on the same images.  Square roots come from integer square roots, so
no number passes through a mathematical library.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

import numpy as np

from ..network.float_layer import FloatLayer
from ..numbers.rescale import power_of_two

_ROOT_BITS = 96


@dataclass(frozen=True)
class Affine:
    """y = factor * acc + offset, one pair for each output channel."""

    factor: tuple[Fraction, ...]
    offset: tuple[Fraction, ...]


@dataclass(frozen=True)
class Moments:
    """Mean and variance of each channel."""

    mean: tuple[Fraction, ...]
    var: tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class Norm:
    """A batch norm whose gammas are not negative; ``signs`` float64 (O) turn its operand."""

    signs: np.ndarray
    gamma: tuple[Fraction, ...]
    beta: tuple[Fraction, ...]
    mean: tuple[Fraction, ...]
    var: tuple[Fraction, ...]
    epsilon: Fraction


def square_root(value: Fraction) -> Fraction:
    """The square root of a rational >= 0, cut off after 96 significant bits or more.

    >>> square_root(Fraction(9, 4)), square_root(Fraction(0))
    (Fraction(3, 2), Fraction(0, 1))
    """
    if value == 0:
        return Fraction(0)
    size = value.numerator.bit_length() - value.denominator.bit_length()
    half = max(0, 2 * _ROOT_BITS - size) // 2
    return Fraction(isqrt((value.numerator << (2 * half)) // value.denominator), 1 << half)


def accumulator_moments(acc: np.ndarray) -> Moments:
    """Exact mean and variance of int32 accumulators (..., C), per channel."""
    from ..kernels.moments import add_moments

    channels = acc.shape[-1]
    sums, high, low = (np.zeros(channels, np.int64) for _ in range(3))
    add_moments(acc.reshape(-1, channels), sums, high, low)
    count = acc.size // channels
    mean = tuple(Fraction(int(total), count) for total in sums)
    squares = ((int(h) << 32) + int(s) for h, s in zip(high, low, strict=True))
    return Moments(mean, tuple(Fraction(q, count) - m * m for q, m in zip(squares, mean, strict=True)))


def stored(unit: Sequence[Fraction], bias: Sequence[Fraction]) -> Affine:
    """No batch norm: y = unit * acc + bias."""
    return Affine(tuple(unit), tuple(bias))


def centred(
    unit: Sequence[Fraction], bias: Sequence[Fraction], measured: Moments, wanted: np.ndarray
) -> list[Fraction]:
    """The bias, moved so that the sums of products have the mean ``wanted``, floats (O) (contract F8)."""
    return [b + Fraction(float(w)) - u * m for u, b, m, w in zip(unit, bias, measured.mean, wanted, strict=True)]


def norm_of(layer: FloatLayer) -> Norm:
    """The constants of a batch norm, its signs kept apart: gamma * (z - mean) = |gamma| * (sign*z - sign*mean)."""
    gamma, beta, mean, var = (layer.constants[name] for name in ("gamma", "beta", "mean", "var"))
    signs = np.where(gamma < 0, -1.0, 1.0)
    epsilon = Fraction(layer.attributes["epsilon"])
    return Norm(signs, _exact(np.abs(gamma)), _exact(beta), _exact(mean * signs), _exact(var), epsilon)


def batchnorm(unit: Sequence[Fraction], bias: Sequence[Fraction], norm: Norm, measured: Moments | None) -> Affine:
    """Fold a batch norm; ``measured`` are the accumulators' moments that replace the stored mean and variance.

    unit, bias: what an accumulator is worth, and the conv bias, for each output channel, its sign already turned.
    """
    mean, var = norm.mean, norm.var
    if measured is not None:
        mean = tuple(u * m + b for u, m, b in zip(unit, measured.mean, bias, strict=True))
        var = tuple(u * u * v for u, v in zip(unit, measured.var, strict=True))
    factors, offsets = [], []
    for o, u in enumerate(unit):
        root = square_root(var[o] + norm.epsilon)
        slope = norm.gamma[o] / root if root else Fraction(0)
        factors.append(slope * u)
        offsets.append(norm.beta[o] + slope * (bias[o] - mean[o]))
    return Affine(tuple(factors), tuple(offsets))


def corrected(unit: Sequence[Fraction], measured: Moments, wanted: Moments) -> Affine:
    """No batch norm: give the accumulators the mean and variance ``wanted`` of the float layer (contract F5)."""
    factors, offsets = [], []
    for o, u in enumerate(unit):
        factor = square_root(wanted.var[o] / measured.var[o]) if measured.var[o] else u
        factors.append(factor)
        offsets.append(wanted.mean[o] - factor * measured.mean[o])
    return Affine(tuple(factors), tuple(offsets))


def after_norm(inner: Affine, norm: Norm) -> Affine:
    """The stored batch norm after z = factor * acc + offset."""
    roots = [square_root(var + norm.epsilon) for var in norm.var]
    slopes = [gamma / root if root else Fraction(0) for gamma, root in zip(norm.gamma, roots, strict=True)]
    factors = (slope * f for slope, f in zip(slopes, inner.factor, strict=True))
    offsets = (
        beta + slope * (z - mean)
        for beta, slope, z, mean in zip(norm.beta, slopes, inner.offset, norm.mean, strict=True)
    )
    return Affine(tuple(factors), tuple(offsets))


def turned(moments: Moments, signs: np.ndarray) -> Moments:
    """The moments of channels multiplied by ``signs``, +1 or -1."""
    mean = (m * int(sign) for m, sign in zip(moments.mean, signs, strict=True))
    return Moments(tuple(mean), moments.var)


def units(exponents: Iterable[int]) -> list[Fraction]:
    """2**exponent for each channel."""
    return [power_of_two(int(exponent)) for exponent in exponents]


def _exact(values: np.ndarray) -> tuple[Fraction, ...]:
    return tuple(Fraction(float(value)) for value in values)
