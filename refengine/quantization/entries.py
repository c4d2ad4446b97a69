"""Entries of tables: the real function, exactly rounded, so that they depend on no library of floats.

    entry = clip(nearest(f(code * 2**in) / 2**out))          ties away from zero (contract R6, T8)

What is rational is computed in rationals.  Exponentials are decimals of 100 significant digits and more, by ``decimal``
alone, whose ``exp`` and ``sqrt`` round correctly; the first 100 digits of the value are what is rounded.  Every
operation names its context: Python's own operators would cut to 28 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ..network.activations import CUBIC
from ..network.float_layer import FloatLayer

DIGITS = 100
_MORE = Context(prec=DIGITS + 30, Emin=-(10**8), Emax=10**8)
_LEFT = Context(prec=DIGITS)
_FAR = 1000  # beyond it exponentials differ from 0 after the last digit
_NEAR = 24  # beyond it the error function differs from 1 after the last digit

Value = Callable[[Fraction], Fraction]


def values_of(layer: FloatLayer) -> list[Value]:
    """The layer's function, for all channels or one a channel: an exact rational to an exact rational."""
    attributes = {name: Fraction(value) for name, value in layer.attributes.items()}
    if layer.op == "prelu":
        slopes = [Fraction(float(slope)) for slope in layer.constants["slope"]]
        return [_prelu(slope) for slope in (slopes[:1] if len({*slopes}) == 1 else slopes)]
    if layer.op == "clip":
        return [lambda x: min(max(x, attributes["low"]), attributes["high"])]
    if layer.op == "hard_sigmoid":
        return [lambda x: min(max(attributes["alpha"] * x + attributes["beta"], Fraction(0)), Fraction(1))]
    if layer.op == "hard_swish":
        return [lambda x: x * min(max(x + 3, Fraction(0)), Fraction(6)) / 6]
    function, scale = _FUNCTIONS["gelu_tanh" if attributes.get("tanh") else layer.op], attributes.get("alpha")
    if scale is None:
        return [lambda x: _of_decimals(function, x)]
    return [lambda x: x if x >= 0 else scale * _of_decimals(function, x)]


def _prelu(slope: Fraction) -> Value:
    return lambda x: x if x >= 0 else slope * x


@lru_cache(maxsize=2**14)
def _of_decimals(function: Callable[[Decimal], Decimal], x: Fraction) -> Fraction:
    value = _MORE.divide(Decimal(x.numerator), Decimal(x.denominator))
    return Fraction(_LEFT.plus(function(value)))


def _exp(x: Decimal) -> Decimal:
    return _MORE.exp(max(x, Decimal(-_FAR)))


def _sigmoid(x: Decimal) -> Decimal:
    small = _exp(x.copy_abs().copy_negate())
    return _MORE.divide(Decimal(1) if x >= 0 else small, _MORE.add(1, small))


def _tanh(x: Decimal) -> Decimal:
    small = _exp(_MORE.multiply(-2, x.copy_abs()))
    return _MORE.divide(_MORE.subtract(1, small), _MORE.add(1, small)).copy_sign(x)


def _silu(x: Decimal) -> Decimal:
    return _MORE.multiply(x, _sigmoid(x))


def _softplus(x: Decimal) -> Decimal:
    """max(x, 0) + log(1 + exp(-abs(x))), whose last digits are right beside 1 alone."""
    return _MORE.add(max(x, Decimal(0)), _MORE.ln(_MORE.add(1, _exp(x.copy_abs().copy_negate()))))


def _mish(x: Decimal) -> Decimal:
    """x * tanh(log(1 + s)), s = exp(x): the tanh is (s**2 + 2 s) / (s**2 + 2 s + 2), or that with 1 / s."""
    small = _exp(x.copy_abs().copy_negate())
    square, twice = _MORE.multiply(small, small), _MORE.multiply(2, small)
    if x < 0:
        above = _MORE.add(square, twice)
        below = _MORE.add(above, 2)
    else:
        above = _MORE.add(1, twice)
        below = _MORE.add(above, _MORE.multiply(2, square))
    return _MORE.multiply(x, _MORE.divide(above, below))


def _less_one(x: Decimal) -> Decimal:
    return _MORE.subtract(_exp(x), 1)


def _half_of(x: Decimal, rise: Decimal) -> Decimal:
    return _MORE.multiply(_MORE.divide(x, 2), _MORE.add(1, rise))


def _gelu(x: Decimal) -> Decimal:
    return _half_of(x, _erf(_MORE.divide(x, _MORE.sqrt(Decimal(2)))))


def _gelu_tanh(x: Decimal) -> Decimal:
    cubed = _MORE.multiply(_MORE.multiply(x, x), x)
    inner = _MORE.add(x, _MORE.multiply(Decimal(str(CUBIC)), cubed))
    return _half_of(x, _tanh(_MORE.multiply(_MORE.sqrt(_MORE.divide(2, _pi())), inner)))


def _erf(z: Decimal) -> Decimal:
    """2 / sqrt(pi) * exp(-z**2) * sum of 2**n * z**(2n + 1) / (1 * 3 * ... * (2n + 1)): no term is negative."""
    size = z.copy_abs()
    if size > _NEAR:
        return Decimal(1).copy_sign(z)
    square = _MORE.multiply(size, size)
    term = total = size
    number = 0
    while term > total * Decimal(10) ** -(DIGITS + 20):
        number += 1
        term = _MORE.divide(_MORE.multiply(term, _MORE.multiply(2, square)), 2 * number + 1)
        total = _MORE.add(total, term)
    factor = _MORE.divide(_MORE.multiply(2, _MORE.exp(square.copy_negate())), _MORE.sqrt(_pi()))
    return _MORE.multiply(factor, total).copy_sign(z)


@lru_cache
def _pi() -> Decimal:
    """16 atan(1/5) - 4 atan(1/239)."""
    one = 10 ** (DIGITS + 40)

    def arctangent(inverse: int) -> int:
        power, total, number = one // inverse, 0, 0
        while power:
            total += (-1) ** number * (power // (2 * number + 1))
            power, number = power // inverse**2, number + 1
        return total

    return _MORE.divide(Decimal(4 * (4 * arctangent(5) - arctangent(239))), Decimal(one))


_FUNCTIONS: dict[str, Any] = {
    "sigmoid": _sigmoid,
    "silu": _silu,
    "tanh": _tanh,
    "elu": _less_one,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "erf": _erf,
    "softplus": _softplus,
    "mish": _mish,
}
