"""Layers with weights, conv and fc: codes and scales, batch norm folded, a bias that INT32 has room for."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import NetworkError
from ..network.float_layer import dilations
from ..network.int_network import IntLayer
from ..numbers.formats import INT8
from ..numbers.rescale import power_of_two, smallest_exponent
from ..numbers.rounding import nearest
from ..ops import OPS, conv
from ..ops.window import spread
from . import fold
from .blocks import by_blocks
from .calibrated import Operands, choose_calibrated, mean_wanted
from .epilogue import add_epilogue
from .fold import Affine
from .fuse import Group
from .scheme import CALIBRATED
from .walk import Made, Tensor, Walk, new_layer
from .weights import IntWeights, WeightChoice, choose, erased

_CONSTANT_BITS = 15
_CHUNK = 8
_MOST_SPREAD = 2**26
_ONE_PIXEL = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


def weighted(walk: Walk, group: Group) -> Made:
    """conv and fc: codes and scales, fold, then requantize."""
    x = walk.tensors[group.inputs[0]]
    operands = operands_of(group)
    attributes = operands.attributes
    choice = _choice(walk, group, operands)
    first = choice.at()
    acc = _accumulate(x, first, attributes, walk.threads)
    affine = _fold(walk, group, fold.units(first.exponent + x.exponent), operands, acc)
    slopes = None
    if walk.last(group) or walk.scheme.multiplier_bits == 1:
        slopes, affine = _absorbed(choice, first, affine, x)
    weights, factor, bias_codes = _with_room(choice, slopes, affine, x, attributes)
    if not _same(weights, first):
        acc = _accumulate(x, weights, attributes, walk.threads)
    acc += bias_codes
    layer = _weighted_layer(walk, group, weights, bias_codes, attributes)
    if layer.op == "fc":
        acc = acc[:, 0, 0]
    if walk.last(group) and group.relu is None and group.residual is None:
        return Made((replace(layer, exponent=x.exponent + int(weights.exponent[0])),), None)
    return add_epilogue(walk, group, layer, acc, factor, INT8)


def _choice(walk: Walk, group: Group, operands: Operands) -> WeightChoice:
    """Codes and scales by the scheme's method, those of a dilated convolution with the zeros between its taps."""
    scope = "layer" if walk.last(group) else walk.scheme.scale_exponent
    weights, method = walk.formats[group.core.name], walk.scheme.method
    if method == CALIBRATED:
        choice = choose_calibrated(walk, group, operands, weights, scope)
    else:
        choice = choose(operands.weight, weights.format, weights.cluster, method, scope)
    codes = None if choice.codes is None else spread(choice.codes, operands.dilations)
    return replace(choice, weight=spread(choice.weight, operands.dilations), codes=codes)


def operands_of(group: Group) -> Operands:
    """What the layer computes with, signs turned so that no gamma is negative."""
    core = group.core
    norm = None if group.batchnorm is None else fold.norm_of(group.batchnorm)
    weight = core.constants["weight"] if core.op == "conv" else core.constants["weight"][:, :, None, None]
    names = ("strides", "pads", "group")
    attributes = {name: core.attributes[name] for name in names} if core.op == "conv" else _ONE_PIXEL
    bias = core.constants.get("bias", np.zeros(len(weight)))
    signs = np.ones(len(weight)) if norm is None else norm.signs
    turned = [Fraction(float(value)) for value in bias * signs]
    apart = dilations(core)
    if apart != (1, 1) and weight.size * math.prod(apart) > _MOST_SPREAD:
        raise NetworkError(f"has dilations {apart}, with the zeros between its taps more than {_MOST_SPREAD} weights")
    return Operands(weight * signs[:, None, None, None], turned, attributes, norm, apart)


def _fold(walk: Walk, group: Group, unit: Sequence[Fraction], operands: Operands, acc: np.ndarray) -> Affine:
    """What the accumulators mean: batch norm folded, re-estimated, or corrected towards the float layer."""
    bias, norm = operands.bias, operands.norm
    measured = fold.accumulator_moments(acc)
    if walk.scheme.method == CALIBRATED:
        bias = fold.centred(unit, bias, measured, mean_wanted(walk, group, operands))
    if norm is not None and group.core.name in walk.moments:
        wanted = fold.turned(walk.moments[group.core.name], norm.signs)
        return fold.after_norm(fold.corrected(unit, measured, wanted), norm)
    if norm is not None:
        kept = not walk.reestimate or any(name in walk.not_normalising for name in group.covers)
        return fold.batchnorm(unit, bias, norm, None if kept else measured)
    if walk.reestimate and not walk.last(group):
        return fold.corrected(unit, measured, walk.moments[group.core.name])
    return fold.stored(unit, bias)


def _absorbed(choice: WeightChoice, weights: IntWeights, affine: Affine, x: Tensor) -> tuple[np.ndarray, Affine]:
    """Slopes for weights that carry their channels' factors themselves: what is left is a power of two."""
    unit = fold.units(weights.exponent + x.exponent)
    slopes = np.array([float(f / u) for f, u in zip(affine.factor, unit, strict=True)])
    return slopes, Affine(tuple(fold.units(choice.at(slopes).exponent + x.exponent)), affine.offset)


def _with_room(
    choice: WeightChoice, slopes: np.ndarray | None, affine: Affine, x: Tensor, attributes: Mapping[str, Any]
) -> tuple[IntWeights, list[Fraction], np.ndarray]:
    """Integer weights and bias that INT32 has room for (contract F3, F4): weights, factors > 0, bias int32 (O).

    A channel whose sums and bias exceed INT32 gets a coarser exponent, and with it a smaller bias, until they fit.  A
    factor of 0 makes a channel constant: no codes, a bias that holds the offset.
    """
    constant = np.array([f == 0 for f in affine.factor])
    coarser = np.zeros(len(constant), np.int64)
    while True:
        weights = erased(choice.at(slopes, coarser), constant)
        factor = [
            constant_unit(offset, x) if f == 0 else f * power_of_two(int(k))
            for f, offset, k in zip(affine.factor, affine.offset, coarser, strict=True)
        ]
        bias = [nearest((b / f).numerator, (b / f).denominator) for b, f in zip(affine.offset, factor, strict=True)]
        excess = _excess_bits(weights, bias, x, attributes)
        if not excess.any():
            return weights, factor, np.array(bias, np.int32)
        coarser += excess.max() if choice.scope == "layer" else excess


def constant_unit(offset: Fraction, x: Tensor) -> Fraction:
    """The unit of a constant channel's bias: the offset in 15 bits."""
    return power_of_two(smallest_exponent(abs(offset), 2**_CONSTANT_BITS) if offset else x.exponent)


def _excess_bits(weights: IntWeights, bias: list[int], x: Tensor, attributes: Mapping[str, Any]) -> np.ndarray:
    """By how many bits each channel's worst case exceeds INT32."""
    none = np.zeros(len(bias), np.int32)
    lo, hi = conv.bound(
        (min(x.lo, 0), max(x.hi, 0)), weight=weights.codes, scale=weights.scale, bias=none, cluster=weights.cluster
    )
    peaks = [max(int(h), -int(low)) + abs(b) for low, h, b in zip(lo, hi, bias, strict=True)]
    return np.array([max(0, peak.bit_length() - 31) for peak in peaks], np.int64)


def _same(weights: IntWeights, other: IntWeights) -> bool:
    """Whether two choices give the same accumulators."""
    return np.array_equal(weights.codes, other.codes) and np.array_equal(weights.scale, other.scale)


def _accumulate(x: Tensor, weights: IntWeights, attributes: Mapping[str, Any], threads: int) -> np.ndarray:
    """Accumulators of all calibration images, without a bias: int32 (N, OH, OW, O)."""
    channels = weights.codes.shape[1] * attributes["group"]
    whole = x.codes.ndim == 4 and x.codes.shape[-1] == channels
    codes = x.codes if whole else OPS["flatten"].reference(x.codes)[:, None, None, :]
    bias = np.zeros(len(weights.codes), np.int32)
    given: dict[str, Any] = {
        "weight": weights.codes, "scale": weights.scale, "bias": bias, "cluster": weights.cluster, **attributes,
    }  # fmt: skip
    acc = np.empty((len(codes), *conv.output_shape(codes.shape[1:], **given)), np.int32)

    def chunk(images: slice) -> None:
        acc[images] = conv.dense(codes[images], **given)

    by_blocks(chunk, len(codes), _CHUNK, threads)
    return acc


def _weighted_layer(
    walk: Walk, group: Group, weights: IntWeights, bias: np.ndarray, attributes: Mapping[str, Any]
) -> IntLayer:
    """The integer layer that holds these weights."""
    fully_connected = group.core.op == "fc"
    codes = weights.codes[:, :, 0, 0] if fully_connected else weights.codes
    return replace(
        new_layer(walk, group, "fc" if fully_connected else "conv"),
        constants={"weight": np.ascontiguousarray(codes), "scale": weights.scale, "bias": bias},
        attributes={**({} if fully_connected else attributes), "cluster": weights.cluster},
        weight_format=weights.format,
        weight_exponent=weights.exponent,
    )
