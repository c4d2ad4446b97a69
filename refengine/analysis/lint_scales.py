"""Lint rules about scales, exponents and multipliers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..numbers.formats import INT8_WEIGHT
from .intervals import flattened
from .lint_look import (
    NOTE,
    WARNING,
    Found,
    LintRule,
    Look,
    ends,
    has_no_weights,
    is_constant,
    is_dead,
    percent_of,
    spread,
    where,
)
from .terms import operand_shapes

LARGEST_EXPONENT = 32  # a code that is worth more than 2**32 or less than 2**-32 a step is a mistake somewhere
FEW_BITS, LOST_BITS = 8, 4  # a multiplier of fewer bits, so many below its layer's widest, errs by 1/32 or more


def _zero_scales(look: Look) -> Iterator[Found]:
    found = _clusters(look)
    if found is None:
        return
    codes, scale, reads = found
    lost = codes & (scale == 0) & reads & ~is_constant(look)[:, None]
    if lost.any():
        yield Found(f"{int(lost.sum())} of {lost.size} clusters have codes and the scale 0", where(lost.any(axis=1)))


def _zero_clusters(look: Look) -> Iterator[Found]:
    found = _clusters(look)
    if found is None:
        return
    codes, *_ = found
    empty = ~codes & codes.any(axis=1, keepdims=True)  # channels without any code are another rule's
    empty &= ~is_constant(look)[:, None]
    if empty.any():
        share = percent_of(int(empty.sum()), empty.size)
        yield Found(
            f"{int(empty.sum())} of {empty.size} clusters ({share}) have no code", where(np.asarray(empty.any(axis=1)))
        )


def _clusters(look: Look) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Of a conv or fc, by cluster (O, G): whether it has codes, its scale, whether it reads anything but zeros."""
    layer = look.layer
    if "weight" not in layer.constants:
        return None
    weight, scale, cluster = layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"]
    (x,), (outputs, inputs) = look.inputs, weight.shape[:2]
    group = layer.attributes.get("group", 1)
    codes = weight.reshape(outputs, inputs, -1).any(axis=2)
    if layer.op == "fc":
        x = flattened(x, operand_shapes(look.network, layer)[0])
    alive = (x.lo != 0) | (x.hi != 0)
    first = np.arange(outputs) // (outputs // group) * inputs
    reads = alive[first[:, None] + np.arange(inputs)]
    starts = np.arange(0, inputs, cluster)
    return (
        np.logical_or.reduceat(codes, starts, axis=1),
        scale,
        np.logical_or.reduceat(reads & codes, starts, axis=1),
    )


def _absurd_exponent(look: Look) -> Iterator[Found]:
    if abs(look.layer.exponent) > LARGEST_EXPONENT:
        yield Found(f"a code of the result is worth 2^{look.layer.exponent}")
    exponents = look.layer.weight_exponent
    if exponents is not None:
        channels = where((np.abs(exponents) > LARGEST_EXPONENT) & ~has_no_weights(look) & ~is_constant(look))
        if channels:
            yield Found(f"weight exponents {ends([int(exponents[channel]) for channel in channels])}", channels)


def _coarse_multiplier(look: Look) -> Iterator[Found]:
    step = look.layer.requantize
    if step is None:
        return
    bits = np.array([int(multiplier).bit_length() for multiplier in step.multiplier])
    few = (bits > 0) & (bits < FEW_BITS) & (int(bits.max()) - bits >= LOST_BITS)
    channels = where(spread(look, few) & ~is_dead(look))
    if channels:
        some = [int(spread(look, bits)[channel]) for channel in channels]
        yield Found(f"multipliers of {ends(some)} bits beside {int(bits.max())}", channels)


def _scaled_int8(look: Look) -> Iterator[Found]:
    layer = look.layer
    if layer.weight_format == INT8_WEIGHT.name:
        scale = layer.constants["scale"]
        channels = where((scale != 1).any(axis=1) | (scale.shape[1] > 1))
        if channels:
            yield Found(f"{scale.shape[1]} clusters with scales {int(scale.min())}..{int(scale.max())}", channels)


RULES = (
    LintRule(
        "zero-scales",
        WARNING,
        "Clusters have weight codes, but their scale was rounded to 0, so the codes count for nothing.",
        "Give the scales one exponent a channel, use smaller clusters, or look at weights of very different sizes.",
        _zero_scales,
    ),
    LintRule(
        "zero-clusters",
        NOTE,
        "Clusters without a single code need no work, if the hardware can skip them.",
        "Count them as sparsity; if there are many, larger clusters cost little.",
        _zero_clusters,
    ),
    LintRule(
        "absurd-exponent",
        WARNING,
        "A power of two this far from 1 is no sensible unit of a weight or an activation.",
        "Look at the range of the float layer: a weight or a statistic is near 0 or enormous.",
        _absurd_exponent,
    ),
    LintRule(
        "coarse-multiplier",
        WARNING,
        "The longest shift was not long enough, and the multiplier has lost significant bits.",
        "The factor is tiny beside those of the other channels: prune the channel or look at its batch norm.",
        _coarse_multiplier,
    ),
    LintRule(
        "scaled-int8",
        NOTE,
        "Weights of 8 bits have clusters or scales, which the contract gives to narrower ones alone (C4).",
        "Hardware for such weights may have no multiplier for scales: fold them into the weights or the multiplier.",
        _scaled_int8,
    ),
)
