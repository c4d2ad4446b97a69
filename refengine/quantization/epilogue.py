"""The end of an accumulating layer: choose its output's exponent, derive multipliers and shifts, make the codes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..network.activations import ACTIVATIONS
from ..network.float_layer import FloatLayer
from ..network.int_network import IntLayer
from ..numbers.accumulator import confine
from ..numbers.formats import ACTIVATION_FORMATS, INT32, CodeFormat
from ..numbers.requantize import Requantize, values
from ..numbers.rescale import multiplier_and_shift, power_of_two
from ..numbers.rounding import MAX_SHIFT, STOCHASTIC, nearest
from ..ops import OPS
from ..ops.requantize import Draws, coarser_kernels, rescale_kernels
from .calibrate import Reals, dynamic_exponent, output_exponent
from .fold import Affine
from .fuse import Group
from .scheme import stem
from .walk import Made, Tensor, Walk

_RESIDUAL_MAX_SHIFT = 40
_PLAIN_MULTIPLIER_BITS = 8  # of layers without weights, whose factors no scale can absorb


def add_epilogue(
    walk: Walk, group: Group, layer: IntLayer, acc: np.ndarray, factor: list[Fraction], fmt: CodeFormat
) -> Made:
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
    exponent, dynamic = _exponent(walk, group, reals, fmt)
    in_output = [f * power_of_two(-exponent) for f in factor]
    step = _requantize(walk, in_output, fmt, group.relu, exponent, residual, group.weighted, dynamic)
    before: tuple[IntLayer, ...] = ()
    if residual is not None:
        before, residual, step = _aligned_residual(walk, residual, exponent, step)
        walk = walk.after(before)
        layer = replace(layer, name=walk.name(group.core.name), residual=residual.layer)
    layer = replace(layer, exponent=exponent, requantize=step)
    tensor = _tensor(walk, layer, step, acc, None if residual is None else residual.codes)
    return Made((*before, layer), tensor)


def _exponent(walk: Walk, group: Group, reals: Reals, fmt: CodeFormat) -> tuple[int, int]:
    """The output's exponent, and by how much an image's may exceed it (contract, section Exponents)."""
    if walk.scheme.exponents != "dynamic":
        return output_exponent(reals, fmt, walk.scheme.exponents), 0
    bounded = group.relu is not None and "max" in group.relu.attributes
    if group.core.op == "input" or bounded or _needs_one_exponent(walk, group):
        return output_exponent(reals, fmt, "max"), 0
    return dynamic_exponent(reals, fmt)


def _needs_one_exponent(walk: Walk, group: Group) -> bool:
    """Whether codes reach a concat, a table or the logits as they are, passed on by layers that do not compute."""
    if walk.last(group):
        return True
    readers = [reader for reader in walk.groups if group.output in reader.inputs]
    if any(reader.core.op in ACTIVATIONS for reader in readers):
        return True  # a table has an entry for each code of 8 bits
    passing = [reader for reader in readers if reader.core.op in OPS and not OPS[reader.core.op].ACCUMULATES]
    return any(reader.core.op == "concat" or _needs_one_exponent(walk, reader) for reader in passing)


def _tensor(walk: Walk, layer: IntLayer, step: Requantize, acc: np.ndarray, residual: np.ndarray | None) -> Tensor:
    """What later layers read of a finished layer: its codes, or, where exponents are dynamic, what these are worth."""
    coarser = coarser_kernels(acc, step, residual)
    codes, _ = rescale_kernels(acc, step, residual, Draws(walk.made), coarser)
    ends = (end << step.dynamic for end in (step.lo, step.hi))
    return Tensor(layer.name, values(codes, coarser), layer.exponent, step.format, *ends)


def _requantize(
    walk: Walk,
    in_output: Sequence[Fraction],
    fmt: CodeFormat,
    relu: FloatLayer | None,
    exponent: int,
    residual: Tensor | None = None,
    weighted: bool = False,
    dynamic: int = 0,
) -> Requantize:
    """Multipliers, shifts and clip for accumulators worth ``in_output`` output codes."""
    bits = walk.scheme.multiplier_bits if weighted else max(walk.scheme.multiplier_bits, _PLAIN_MULTIPLIER_BITS)
    max_shift = MAX_SHIFT - dynamic if residual is None else _RESIDUAL_MAX_SHIFT
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
    return Requantize(multiplier, shift, None, walk.scheme.rounding, fmt, activation, lo, hi, seed, dynamic)


def _aligned_residual(
    walk: Walk, residual: Tensor, exponent: int, step: Requantize
) -> tuple[tuple[IntLayer, ...], Tensor, Requantize]:
    """The residual and the left shifts to the products' units; a residual finer than they are is requantized first.

    The layers that do so stand in front.
    """
    missing = -int(step.shift.min()) - (residual.exponent - exponent)
    before: tuple[IntLayer, ...] = ()
    if missing > 0:
        layer, residual = at_exponent(walk, residual, residual.exponent + missing, residual.format)
        before = (layer,)
    return before, residual, replace(step, residual_shift=step.shift + (residual.exponent - exponent))


def at_exponent(walk: Walk, tensor: Tensor, exponent: int, fmt: CodeFormat) -> tuple[IntLayer, Tensor]:
    """The layer that requantizes a tensor to a coarser exponent, and what it gives; what must stay dynamic does."""
    layer = IntLayer(walk.name(f"{stem(tensor.layer)}.requantize"), "requantize", (tensor.layer,), exponent)
    dynamic = max(0, dynamic_bits(tensor) - (exponent - tensor.exponent))
    step = _requantize(walk, [power_of_two(tensor.exponent - exponent)], fmt, None, exponent, dynamic=dynamic)
    layer = replace(layer, requantize=step)
    return layer, _tensor(walk, layer, step, tensor.codes.astype(np.int32), None)


def dynamic_bits(tensor: Tensor) -> int:
    """How many bits more than codes of its format a tensor's integers have."""
    return max(0, tensor.hi.bit_length() - tensor.format.hi.bit_length())
