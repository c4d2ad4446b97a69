"""Lint rules about what is added: biases, operands, and accumulators that must hold the sums."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..network.int_network import accumulator_bits_needed
from ..numbers.formats import signed_bits
from .intervals import Interval
from .lint_look import (
    NOTE,
    WARNING,
    Found,
    LintRule,
    Look,
    ends,
    is_constant,
    is_dead,
    spread,
    where,
)

EDGE_OF_INT32 = 2**30  # biases from here on leave one bit at most
VANISHING_BITS = 4  # bits of an operand below the result's unit
WIDER_TOTAL = 8  # bits by which one channel's totals exceed those of the channel in the middle
OVERWEIGHT = 8  # a residual that reaches so many times the largest code


def _wide_total(look: Look) -> Iterator[Found]:
    total = look.reach.total
    if total is None:
        return
    bits = np.array([signed_bits(int(lo), int(hi)) for lo, hi in zip(total.lo, total.hi, strict=True)])
    alive = ~is_dead(look)[: len(bits)]
    if not alive.any():
        return
    middle = int(np.sort(bits[alive])[(int(alive.sum()) - 1) // 2])
    channels = where((bits >= middle + WIDER_TOTAL) & alive)
    if channels:
        widest = int(bits[alive].max())
        yield Found(f"totals of up to {widest} bits, those of the middle channel need {middle}", channels)


def _bias_at_the_edge(look: Look) -> Iterator[Found]:
    bias = look.layer.constants.get("bias")
    if bias is None:
        return
    channels = where((np.abs(bias.astype(np.int64)) >= EDGE_OF_INT32) & ~is_constant(look))
    if channels:
        yield Found(f"biases of {ends([int(bias[channel]) for channel in channels])}", channels)


def _bias_dominates(look: Look) -> Iterator[Found]:
    bias, sums = look.layer.constants.get("bias"), look.reach.sums
    if bias is None or sums is None:
        return
    size = np.abs(bias.astype(np.int64))
    channels = where((size > sums.hi - sums.lo) & (size < EDGE_OF_INT32) & ~is_dead(look))
    if channels:
        yield Found(f"biases of {ends([int(bias[channel]) for channel in channels])}", channels)


def _added(look: Look) -> list[tuple[str, Interval]]:
    """What is added to the result: the operands of an add, and the residual."""
    layer = look.layer
    operands = list(zip(layer.inputs, look.inputs, strict=True)) if layer.op == "add" else []
    return operands + ([(layer.residual, look.residual)] if layer.residual and look.residual is not None else [])


def _operands_far_apart(look: Look) -> Iterator[Found]:
    for name, _ in _added(look):
        lost = look.layer.exponent - look.network.layer(name).exponent
        if lost >= VANISHING_BITS:
            yield Found(f"of {name} the lowest {lost} bits lie below the result's unit")


def _overweight_operand(look: Look) -> Iterator[Found]:
    step = look.layer.requantize
    for name, x in _added(look):
        left = look.network.layer(name).exponent - look.layer.exponent
        peak = max(abs(int(x.lo.min())), abs(int(x.hi.max())))
        if step is not None and left > 0 and peak << left >= OVERWEIGHT * (max(step.hi, -step.lo) + 1):
            enough = max(step.hi, -step.lo) >> left
            what = f"one code of {name} is worth 2^{left} of the result's"
            yield Found(f"{what}: codes above {enough} saturate by themselves")


def _beyond(look: Look, sums: Interval) -> np.ndarray:
    """Channels whose sums are not all held by the declared accumulator: bool (C)."""
    top = 1 << (look.layer.accumulator_bits - 1)
    return spread(look, (sums.lo < -top) | (sums.hi >= top))


def _can_wrap(look: Look) -> Iterator[Found]:
    """Finished sums alone: what wraps on the way wraps back (contract A3)."""
    sums, layer = look.reach.sums, look.layer
    if sums is None or layer.accumulator_policy != "wrap":
        return
    channels = where(_beyond(look, sums))
    if channels:
        needed = accumulator_bits_needed(sums.lo, sums.hi)
        yield Found(f"finished sums may need {needed} bits, the accumulator has {layer.accumulator_bits}", channels)


def _can_clip(look: Look) -> Iterator[Found]:
    """Finished sums, which are clipped, and partial ones, which are not, but by another machine (contract A4)."""
    sums, layer = look.reach.sums, look.layer
    if sums is None or layer.accumulator_policy != "saturate":
        return
    partial = Interval(*(np.asarray(end, np.int64) for end in look.network.bounds[layer.name]))
    channels = where(_beyond(look, sums) | _beyond(look, partial))
    if channels:
        finished, on_the_way = (accumulator_bits_needed(ends.lo, ends.hi) for ends in (sums, partial))
        yield Found(
            f"finished sums may need {finished} bits, partial ones {on_the_way}, "
            f"the accumulator has {layer.accumulator_bits}",
            channels,
        )


RULES = (
    LintRule(
        "wide-total",
        NOTE,
        "A few channels need a much wider sum before rounding than the others, mostly for a residual shifted far left.",
        "Prune the channels, or limit their shift, if the adder before rounding is to be narrow.",
        _wide_total,
    ),
    LintRule(
        "bias-at-the-edge",
        WARNING,
        "The bias alone nearly fills INT32, in channels that are not constant.",
        "A coarser weight exponent makes it smaller; a factor near 0 makes it large.",
        _bias_at_the_edge,
    ),
    LintRule(
        "bias-dominates",
        NOTE,
        "The bias exceeds whatever the weights can add or take away, so the sum never changes its sign.",
        "Look whether the channel still carries anything that matters.",
        _bias_dominates,
    ),
    LintRule(
        "operands-far-apart",
        WARNING,
        "An operand is so much finer than the result that its low bits are rounded away.",
        "Look at the ranges of both operands: one of them has an outlier, or the addition is pointless.",
        _operands_far_apart,
    ),
    LintRule(
        "overweight-operand",
        WARNING,
        "An operand is so much coarser than the result that its larger codes saturate by themselves.",
        "Give the result a larger exponent: calibrate with images of the kind that will come.",
        _overweight_operand,
    ),
    LintRule(
        "can-wrap",
        WARNING,
        "Finished sums may leave the accumulator and wrap round to other numbers: the bounds do not exclude it, which "
        "is no proof that an image does it.  Partial sums may wrap as they like.",
        "Widen it to the finished sums, or see with 'refengine ranges' how much the given images leave.",
        _can_wrap,
    ),
    LintRule(
        "can-clip",
        WARNING,
        "Sums may leave the accumulator: the bounds do not exclude it, which is no proof that an image does it.  The "
        "finished sum is then clipped, once; an adder of that width, which clips partial sums too, is another machine.",
        "Widen it to the bound, or add in a wider one; 'refengine ranges' says how much the given images leave.",
        _can_clip,
    ),
)
