"""Fine-tuning: a float network that learns while its forward computes in integers.

The weights, gammas and betas that are trained stay floats.  In training every call makes integers of them, as
``quantize`` would with the batch as its calibration images: codes and scales of the current weights, batch norm with
the moments of this batch's accumulators, multipliers, shifts and biases from exact rationals.  Exponents, and which
float layers are one integer layer, are those of the last ``refresh``, which quantizes the network as it is.  Out of
training a call has the integers of that refresh.

Three things of ``quantize`` are left to the refresh: layers without a batch norm compute what their weights and biases
say (contract F5 corrects them), a channel whose gamma is 0 gives 0 (F3: its beta), and a bias that INT32 has no room
for is clipped (F4 finds room).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ...errors import NetworkError, SchemeError
from ...network.float_layer import FloatLayer, dilations
from ...network.float_network import FloatNetwork
from ...network.int_network import IntLayer
from ...numbers.formats import INT32
from ...numbers.requantize import Requantize
from ...numbers.rescale import multiplier_and_shift, power_of_two
from ...numbers.rounding import MAX_SHIFT, nearest
from ...ops.batchnorm import CODE_SHIFT
from ...ops.conv import integer_weights
from ...ops.window import spread, spread_size
from ...quantization import fold
from ...quantization.clusters import METHODS
from ...quantization.fuse import AFFINE, Group, fuse
from ...quantization.quantize import quantize
from ...quantization.scheme import Scheme
from ...quantization.weights import IntWeights, choose
from .export_int import ROUNDING, IntForward, column, convolve, functions, pytorch

MULTIPLIER_BITS = 8
RESIDUAL_MAX_SHIFT = 40  # contract S3
_TRAINED = ("weight", "bias", "gamma", "beta")


class Tuning(IntForward):
    """A float network in training, called with uint8 pixels (N, C, H, W).

    ``parameters`` holds what is trained, by layer and constant; ``training`` says whose integers a call has: those of
    its batch, or those of the last refresh.  ``images`` uint8 (N, H, W, C) are what a refresh calibrates on.  Gradients
    of convolutions are computed in the type ``gradients``.  SchemeError for choices that training cannot follow,
    NetworkError for a last layer with a batch norm, RefengineError where torch is missing.
    """

    def __init__(
        self, network: FloatNetwork, images: np.ndarray, scheme: Scheme, device: Any = "cpu", gradients: Any = None
    ) -> None:
        _check_scheme(scheme)
        torch = pytorch()
        self.start, self.images, self.scheme = network, images, replace(scheme, reestimate=True, equalize=False)
        self.gradients, self.training = gradients, True
        self.parameters: dict[tuple[str, str], Any] = {
            (layer.name, name): torch.tensor(layer.constants[name], device=device, requires_grad=True)
            for layer in network.layers
            for name in _TRAINED
            if name in layer.constants
        }
        self._groups = {group.covers: group for group in fuse(network)}
        self._ternary: set[str] = set()
        self._moments: dict[str, list[np.ndarray]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Quantize the network as it is now: new exponents, and the integers that hold out of training."""
        super().__init__(quantize(self.float_network(), self.images, self.scheme))
        self._moments = {}
        self._ternary = {
            name for layer in self.network.layers if layer.weight_format == "ternary" for name in layer.covers
        }
        last = self.network.layers[-1]
        if last.requantize is None and last.op in AFFINE and self._groups[last.covers].batchnorm is not None:
            raise NetworkError(f"layer {last.name!r} ({last.op}) gives the logits and has a batch norm, needed none")

    def float_network(self) -> FloatNetwork:
        """The network as it is now; means and variances are averages over the calls in training since the refresh.

        Ternary weights are the reals that their codes and scales stand for: every method finds these codes in them.
        """
        return replace(self.start, layers=tuple(self._float_layer(layer) for layer in self.start.layers))

    def _float_layer(self, layer: FloatLayer) -> FloatLayer:
        constants = dict(layer.constants)
        constants |= {name: self._array(layer, name) for name in _TRAINED if name in constants}
        if layer.name in self._ternary and "weight" in constants:
            weights = self._weights(layer, "ternary", self.scheme.scale_exponent)
            constants["weight"] = _reals(weights).reshape(constants["weight"].shape)
        if layer.name in self._moments:
            mean, var = np.mean(self._moments[layer.name], axis=0)
            constants |= {"mean": mean.astype(np.float32), "var": var.astype(np.float32)}
        return replace(layer, constants=constants)

    def _array(self, layer: FloatLayer, name: str) -> np.ndarray:
        return self.parameters[layer.name, name].detach().cpu().numpy().copy()

    def _weights(self, layer: FloatLayer, fmt: str, scope: str, signs: np.ndarray | None = None) -> IntWeights:
        """Integers of a layer's current weights, its output channels turned by ``signs`` (O)."""
        weight = self._array(layer, "weight").astype(np.float64)
        weight = weight.reshape(*weight.shape, *[1] * (4 - weight.ndim))
        turned = weight if signs is None else weight * signs[:, None, None, None]
        return choose(turned, fmt, self.scheme.cluster, self.scheme.method, scope).at()

    # ---- a layer of a call in training

    def accumulate(self, layer: IntLayer, operands: list[Any]) -> tuple[IntLayer, Any]:
        """Sums without a bias, of codes and scales of the current weights."""
        if not self.training or layer.op not in AFFINE:
            return super().accumulate(layer, operands)
        group = self._groups[layer.covers]
        signs = self._signs(group)
        if layer.op == "batchnorm":
            return super().accumulate(_with(layer, sign=signs.astype(np.int8)), operands)
        scope = "layer" if layer.requantize is None else self.scheme.scale_exponent
        weights = self._weights(group.core, str(layer.weight_format), scope, signs)
        apart = dilations(group.core)
        codes = spread(weights.codes, apart) if layer.op == "conv" else weights.codes[:, :, 0, 0]
        layer = replace(_with(layer, weight=codes, scale=weights.scale), weight_exponent=weights.exponent)
        weight = self.parameters[group.core.name, "weight"]
        weight = _spread(weight.reshape(*weight.shape, *[1] * (4 - weight.ndim)), apart)
        unit = weight.new_tensor(signs * np.ldexp(1.0, weights.exponent))
        return layer, convolve(layer, operands[0], weight, unit, self.gradients)

    def epilogue(self, layer: IntLayer, acc: Any, residual: Any) -> tuple[IntLayer, Any]:
        """Codes or logits, by the bias, multipliers and shifts that these sums ask for."""
        if not self.training or layer.op not in AFFINE:
            return super().epilogue(layer, acc, residual)
        group, reads = self._groups[layer.covers], self.used[layer.inputs[0]]
        unit, bias = self._unit_and_bias(layer, group, reads)
        gamma, beta, moments = None, self.parameters.get((group.core.name, "bias")), None
        affine = fold.stored(unit, bias)
        if group.batchnorm is not None:
            gamma, beta = (self.parameters[group.batchnorm.name, name] for name in ("gamma", "beta"))
            affine, moments = self._batchnorm(group.batchnorm, unit, bias, acc)
        layer = _folded(layer, affine, reads, None if layer.residual is None else self.used[layer.residual])
        if layer.requantize is not None:
            return layer, functions().requantization.apply(acc, residual, gamma, beta, layer, moments)
        logits = acc.double() + column(layer.constants["bias"], acc)
        if beta is not None:
            beta = beta * 2.0**-layer.exponent
            logits = logits + (beta - beta.detach())
        return layer, logits

    def _signs(self, group: Group) -> np.ndarray:
        """What turns each output channel, so that no gamma is negative (contract F2): float64 (O)."""
        if group.batchnorm is None:
            return np.ones(len(group.core.constants["weight"]))
        return np.where(self._array(group.batchnorm, "gamma") < 0, -1.0, 1.0)

    def _unit_and_bias(self, layer: IntLayer, group: Group, reads: IntLayer) -> tuple[list[Fraction], list[Fraction]]:
        """What an accumulator is worth, and the bias of the float layer, turned: exact rationals (O)."""
        signs = self._signs(group)
        exponents = np.full(len(signs), -CODE_SHIFT) if layer.weight_exponent is None else layer.weight_exponent
        bias = self._array(group.core, "bias") * signs if "bias" in group.core.constants else np.zeros(len(signs))
        return fold.units(exponents + reads.exponent), [Fraction(float(value)) for value in bias]

    def _batchnorm(self, layer: FloatLayer, unit: list[Fraction], bias: list[Fraction], acc: Any) -> tuple[Any, Any]:
        """The batch norm folded with the moments of these sums; and their mean and 1 / sqrt(var + epsilon), float32."""
        seen = pytorch().batch_norm_update_stats(acc.detach().double(), None, None, 0.0)
        mean, var = (values.cpu().numpy() for values in seen)
        norm = fold.norm_of(self._float_layer(layer))
        affine = fold.batchnorm(unit, bias, norm, fold.Moments(_exact(mean), _exact(var)))
        worth, offset = (np.array([float(value) for value in values]) for values in (unit, bias))
        inverse = worth / np.sqrt(worth**2 * var + layer.attributes["epsilon"])
        self._moments.setdefault(layer.name, []).append(
            np.stack([norm.signs * (worth * mean + offset), worth**2 * var]).astype(np.float32)
        )
        return affine, [seen[0].float(), acc.new_tensor(inverse).float()]


def _check_scheme(scheme: Scheme) -> None:
    if scheme.rounding != ROUNDING or scheme.multiplier_bits != MULTIPLIER_BITS or scheme.accumulator_bits < INT32.bits:
        raise SchemeError(f"fine-tuning needs rounding {ROUNDING}, multipliers of 8 bits and accumulators of 32")
    if scheme.exponents == "dynamic":
        raise SchemeError("fine-tuning needs static exponents, found dynamic ones")
    if scheme.method not in METHODS:
        raise SchemeError(f"method is {scheme.method!r}, fine-tuning needs one of {', '.join(METHODS)}")


def _exact(values: np.ndarray) -> tuple[Fraction, ...]:
    return tuple(Fraction(float(value)) for value in values)


def _with(layer: IntLayer, **constants: np.ndarray) -> IntLayer:
    return replace(layer, constants={**layer.constants, **constants})


def _spread(weight: Any, apart: tuple[int, int]) -> Any:
    """Weights (O, I, KH, KW) with zeros between their taps (contract T7), differentiable."""
    if apart == (1, 1):
        return weight
    wide = weight.new_zeros(*weight.shape[:2], *map(spread_size, weight.shape[2:], apart))
    wide[:, :, :: apart[0], :: apart[1]] = weight
    return wide


def _reals(weights: IntWeights) -> np.ndarray:
    """What the integers are worth: float32 (O, I, KH, KW), exactly."""
    products = integer_weights(weights.codes, weights.scale, weights.cluster).astype(np.float32)
    return np.ldexp(products, weights.exponent[:, None, None, None].astype(np.int32))


def _folded(layer: IntLayer, affine: fold.Affine, reads: IntLayer, residual: IntLayer | None) -> IntLayer:
    """The layer with bias, multipliers and shifts for y = factor * acc + offset, at the exponent that it has."""
    ratios = [b / f if f else Fraction(0) for f, b in zip(affine.factor, affine.offset, strict=True)]
    bias = [min(max(nearest(ratio.numerator, ratio.denominator), INT32.lo), INT32.hi) for ratio in ratios]
    layer = _with(layer, bias=np.array(bias, np.int32))
    if layer.requantize is None:
        return replace(layer, exponent=reads.exponent + int(np.asarray(layer.weight_exponent)[0]))
    in_output = [f * power_of_two(-layer.exponent) for f in affine.factor]
    return replace(layer, requantize=_rescaled(layer.requantize, layer.exponent, in_output, residual))


def _rescaled(step: Requantize, exponent: int, factors: list[Fraction], residual: IntLayer | None) -> Requantize:
    """The requantization with other factors, in output codes; with longer products where a residual is finer."""
    longest = MAX_SHIFT if residual is None else RESIDUAL_MAX_SHIFT
    largest = Fraction(2**MULTIPLIER_BITS - 1)
    pairs = [multiplier_and_shift(min(factor, largest), MULTIPLIER_BITS, longest) for factor in factors]
    multiplier, shift = (np.array(values, np.int64) for values in zip(*pairs, strict=True))
    if residual is None:
        return replace(step, multiplier=multiplier, shift=shift)
    finer = max(0, exponent - residual.exponent - int(shift.min()))
    multiplier, shift = multiplier << finer, shift + finer
    return replace(step, multiplier=multiplier, shift=shift, residual_shift=shift + (residual.exponent - exponent))
