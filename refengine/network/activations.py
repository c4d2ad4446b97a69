"""Activations that become tables: their float32 functions, for the float network and for calibration.

Each is a function of its layer and of one tensor, elementwise; a table of 256 entries knows it exactly
(``quantization/entries.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .float_layer import FloatLayer

Array = np.ndarray[Any, Any]

CUBIC = 0.044715  # of the GELU that is written with a tanh


def prelu(layer: FloatLayer, x: Array) -> Array:
    """x where it is not negative, slope * x elsewhere; a slope a channel."""
    return np.where(x < 0, x * layer.constants["slope"], x)


def clip(layer: FloatLayer, x: Array) -> Array:
    """Between low and high."""
    return np.clip(x, np.float32(layer.attributes["low"]), np.float32(layer.attributes["high"]))


def elu(layer: FloatLayer, x: Array) -> Array:
    """x where it is not negative, alpha * (exp(x) - 1) elsewhere."""
    return np.where(x < 0, np.float32(layer.attributes["alpha"]) * np.expm1(np.minimum(x, 0)), x)


def sigmoid(layer: FloatLayer, x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return _sigmoid(x)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    found: Array = np.where(x < 0, small, np.float32(1)) / (1 + small)
    return found


def silu(layer: FloatLayer, x: Array) -> Array:
    """x / (1 + exp(-x))."""
    return x * _sigmoid(x)


def tanh(layer: FloatLayer, x: Array) -> Array:
    """tanh(x)."""
    return np.tanh(x)


def hard_sigmoid(layer: FloatLayer, x: Array) -> Array:
    """alpha * x + beta, between 0 and 1."""
    alpha, beta = (np.float32(layer.attributes[name]) for name in ("alpha", "beta"))
    return np.clip(alpha * x + beta, 0, 1)


def hard_swish(layer: FloatLayer, x: Array) -> Array:
    """x * clip(x + 3, 0, 6) / 6."""
    return x * np.clip(x + 3, 0, 6) / 6


def gelu(layer: FloatLayer, x: Array) -> Array:
    """x / 2 * (1 + erf(x / sqrt(2))), or with ``tanh`` x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))."""
    if layer.attributes["tanh"]:
        inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(CUBIC) * x * x * x)
        return x / 2 * (1 + np.tanh(inner))
    return (x / 2 * (1 + _erf(x.astype(np.float64) / math.sqrt(2)))).astype(np.float32)


def erf(layer: FloatLayer, x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    return _erf(x.astype(np.float64)).astype(np.float32)


def _erf(x: Array) -> Array:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), np.float64)


def softplus(layer: FloatLayer, x: Array) -> Array:
    """log(1 + exp(x))."""
    found: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return found


def mish(layer: FloatLayer, x: Array) -> Array:
    """x * tanh(log(1 + exp(x))); the tanh is (s**2 + 2 s) / (s**2 + 2 s + 2) of s = exp(x)."""
    small = np.exp(-np.abs(x))
    above, below = 1 + 2 * small, small * (small + 2)
    found: Array = x * np.where(x < 0, below / (below + 2), above / (above + 2 * small * small))
    return found


ACTIVATIONS: dict[str, Callable[[FloatLayer, Array], Array]] = {
    "prelu": prelu,
    "clip": clip,
    "elu": elu,
    "sigmoid": sigmoid,
    "silu": silu,
    "tanh": tanh,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "gelu": gelu,
    "erf": erf,
    "softplus": softplus,
    "mish": mish,
}
