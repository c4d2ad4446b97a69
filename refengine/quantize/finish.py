"""The end of an accumulating layer: choose its output's exponent, derive multipliers and shifts, make the codes."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..network.int_network import IntLayer
from ..numbers.accumulator import confine
from ..numbers.formats import ACTIVATION_FORMATS, INT32, CodeFormat
from ..numbers.requantize import Requantize
from ..numbers.rescale import multiplier_and_shift, power_of_two
from ..numbers.rounding import MAX_SHIFT, STOCHASTIC, nearest
from ..ops.requantize import Draws, rescale_kernels
from .calibrate import Reals, output_exponent
from .fold import Affine
from .fuse import Group
from .scheme import stem
from .walk import Tensor, Walk, append

_RESIDUAL_MAX_SHIFT = 40
_PLAIN_MULTIPLIER_BITS = 8  # of layers without weights, whose factors no scale can absorb


def finish(walk: Walk, group: Group, layer: IntLayer, acc, factor: list[Fraction], fmt: CodeFormat) -> None:
    """Choose the output's exponent and end the layer with its requantization.

    acc int32 (N, ..., C), bias included, each worth ``factor`` (C, or one for all); ``fmt`` is the format without ReLU.
    """
    if layer.accumulator_bits < INT32.bits and layer.accumulator_policy != "error":
        acc, _ = confine(acc, layer.accumulator_bits, layer.accumulator_policy)
    if group.relu is not None:
        fmt = ACTIVATION_FORMATS[walk.scheme.activations]
    residual = None if group.residual is None else walk.tensors[group.residual]
    top = None if group.relu is None else group.relu.attributes.get("max")
    reals = Reals(
        acc,
        Affine(tuple(factor), (Fraction(0),) * len(factor)),
        None if residual is None else residual.codes,
        0 if residual is None else residual.exponent,
        -math.inf if group.relu is None else 0.0,
        math.inf if top is None else float(top),
    )
    exponent = output_exponent(reals, fmt, walk.scheme.exponents)
    in_output = [f * power_of_two(-exponent) for f in factor]
    step = _requantize(walk, in_output, fmt, group.relu, exponent, residual, weighted=group.weighted)
    if residual is not None:
        residual, step = _aligned_residual(walk, residual, exponent, step)
        layer = replace(layer, name=walk.name(group.core.name), residual=residual.layer)
    codes, _ = rescale_kernels(acc, step, None if residual is None else residual.codes, Draws(len(walk.layers)))
    tensor = Tensor(layer.name, codes, exponent, fmt, step.lo, step.hi)
    append(walk, group, replace(layer, exponent=exponent, requantize=step), tensor)


def _requantize(walk, in_output, fmt, relu, exponent, residual=None, weighted=False) -> Requantize:
    """Multipliers, shifts and clip for accumulators worth ``in_output`` output codes."""
    bits = walk.scheme.multiplier_bits if weighted else max(walk.scheme.multiplier_bits, _PLAIN_MULTIPLIER_BITS)
    max_shift = MAX_SHIFT if residual is None else _RESIDUAL_MAX_SHIFT
    largest = Fraction(2**bits - 1)
    pairs = [multiplier_and_shift(min(f, largest), bits, max_shift) for f in in_output]
    multiplier, shift = (np.array(values, np.int64) for values in zip(*pairs, strict=True))
    lo, hi, activation = fmt.lo, fmt.hi, "none"
    if relu is not None:
        lo, activation = 0, "relu"
        if "max" in relu.attributes:
            bound = Fraction(relu.attributes["max"]) * power_of_two(-exponent)
            top = nearest(bound.numerator, bound.denominator)
            if top <= fmt.hi:
                hi, activation = top, "clip"
    seed = walk.scheme.seed if walk.scheme.rounding == STOCHASTIC else 0
    return Requantize(multiplier, shift, None, walk.scheme.rounding, fmt, activation, lo, hi, seed)


def _aligned_residual(walk: Walk, residual: Tensor, exponent: int, step: Requantize) -> tuple[Tensor, Requantize]:
    """The residual and the left shifts to the products' units; a residual finer than they are is requantized first."""
    missing = -int(step.shift.min()) - (residual.exponent - exponent)
    if missing > 0:
        residual = at_exponent(walk, residual, residual.exponent + missing, residual.format)
    return residual, replace(step, residual_shift=step.shift + (residual.exponent - exponent))


def at_exponent(walk: Walk, tensor: Tensor, exponent: int, fmt: CodeFormat) -> Tensor:
    """A tensor requantized to a coarser exponent, by a layer of its own."""
    layer = IntLayer(walk.name(f"{stem(tensor.layer)}.requantize"), "requantize", (tensor.layer,), exponent)
    step = _requantize(walk, [power_of_two(tensor.exponent - exponent)], fmt, None, exponent)
    codes, _ = rescale_kernels(tensor.codes.astype(np.int32), step, None, Draws(len(walk.layers)))
    walk.layers.append(replace(layer, requantize=step))
    return Tensor(layer.name, codes, exponent, fmt, step.lo, step.hi)
