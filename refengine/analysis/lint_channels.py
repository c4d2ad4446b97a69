"""Lint rules about channels that carry nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..network.int_network import accumulator_bits_needed
from .lint_look import (
    ERROR,
    NOTE,
    WARNING,
    Found,
    LintRule,
    Look,
    has_no_multiplier,
    has_no_weights,
    is_constant,
    listed,
    only_saturates,
    per_channel,
    percent_of,
    spread,
    where,
)


def _zero_weights(look: Look) -> Iterator[Found]:
    channels = where(has_no_weights(look))
    if channels:
        rest = "bias and residual come out" if look.layer.residual is not None else "the bias comes out"
        constant = int(np.count_nonzero(is_constant(look)[list(channels)]))
        what = f"no weight is left, {rest}; {constant} of them {'is' if constant == 1 else 'are'} constant"
        yield Found(what + _widening(look, channels), channels)


def _zero_multiplier(look: Look) -> Iterator[Found]:
    channels = where(has_no_multiplier(look) & ~has_no_weights(look))
    if channels:
        yield Found("multiplier 0", channels)


def _constant_output(look: Look) -> Iterator[Found]:
    if look.reach.sums is None:
        return
    mask = is_constant(look) & ~has_no_weights(look) & ~has_no_multiplier(look) & ~only_saturates(look)
    if per_channel(look):  # what was constant before is the finding of the layer before
        mask = mask & ~np.logical_and.reduce([spread(look, x.constant) for x in look.inputs])
    channels = where(mask)
    if channels:
        codes = sorted({int(code) for code in spread(look, look.reach.result.lo)[mask]})
        yield Found(f"always {listed(codes)}" + _widening(look, channels), channels)


def _widening(look: Look, channels: Sequence[int]) -> str:
    """What the sums would need without the constant channels, if some of ``channels`` make them wider."""
    lo, hi = (spread(look, end) for end in look.network.bounds[look.layer.name])
    alive = ~is_constant(look)
    among = [channel for channel in channels if not alive[channel]]
    if not among or not alive.any():
        return ""
    widest, without = (accumulator_bits_needed(lo[some], hi[some]) for some in (among, alive))
    return f"; sums of {widest} bits, where {without} hold all that are not constant" if widest > without else ""


def _always_saturates(look: Look) -> Iterator[Found]:
    channels = where(only_saturates(look))
    if channels and look.reach.rounded is not None:
        lo, hi = (spread(look, end)[list(channels)] for end in (look.reach.rounded.lo, look.reach.rounded.hi))
        yield Found(f"rounded values are {int(lo.min())}..{int(hi.max())} for every image", channels)


def _dead_inputs(look: Look) -> Iterator[Found]:
    if "weight" not in look.layer.constants:
        return
    (x,) = look.inputs
    zero = (x.lo == 0) & (x.hi == 0) & ~_read_by_constants(look, len(x.lo))
    channels = where(zero)
    if channels:
        adds = f"{percent_of(len(channels), len(zero))} of the work adds nothing"
        yield Found(f"these channels of the input are always 0: {adds}", channels, len(zero))


def _read_by_constants(look: Look, inputs: int) -> np.ndarray:
    """Input channels that only constant channels of the result read, which are found by themselves: bool (inputs)."""
    groups = look.layer.attributes.get("group", 1)
    constant = is_constant(look).reshape(groups, -1).all(axis=1)
    return np.repeat(constant, inputs // groups)


RULES = (
    LintRule(
        "zero-weights",
        WARNING,
        "Every weight of these channels is 0: without a residual they say the same for every image.",
        "Prune them from the float network, or look whether training or the scheme lost them.  Hardware that keeps "
        "constant ones can give them any bias that makes the same code, and need not be as wide as theirs.",
        _zero_weights,
    ),
    LintRule(
        "zero-multiplier",
        WARNING,
        "The multiplier takes away whatever these channels accumulate.",
        "Prune them, or look at the batch norm that gave a factor of 0.",
        _zero_multiplier,
    ),
    LintRule(
        "constant-output",
        WARNING,
        "These channels have weights and yet give one code for every image.",
        "Prune them, or look at bias and activation: a ReLU behind a low bias is never passed.  Hardware that keeps "
        "them can give them weights of 0 and any bias that makes the same code, and need not be as wide as theirs.",
        _constant_output,
    ),
    LintRule(
        "always-saturates",
        ERROR,
        "These channels are clipped at an end of the format, whatever the image.",
        "The output's exponent is too small, or bias, multiplier or shift are wrong.",
        _always_saturates,
    ),
    LintRule(
        "dead-inputs",
        NOTE,
        "Some of the channels that come in, those named, are 0 for every image, and their weights are read in vain.",
        "Prune these inputs here and the channels where they are made.",
        _dead_inputs,
    ),
)
