"""What is suspicious about an integer network, found without running it: a table of rules.

A rule has a name, a severity, a sentence that says what it means, one that says what to do, and a function that looks
at one layer.  ``error``: what comes out is not what anybody wants.  ``warning``: accuracy or hardware is lost, and
somebody should have a look.  ``note``: worth knowing, and often meant.  What a channel can come to is an interval that
holds for every image (``reach``), so whatever is called constant or unused is so; what an interval allows may still
never happen, so of wrapping and clipping it is said that they are not excluded.  What follows from a finding is no
other one: of a constant channel neither its bias nor its scales are found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..network.int_network import IntLayer, IntNetwork, accumulator_bits_needed
from ..network.units import sum_exponent
from ..numbers.formats import INT8_WEIGHT, signed_bits
from ..ops import OPS
from ..ops.conv import integer_weights
from .intervals import Interval, Reach, flattened, reach
from .terms import accumulates, operand_shapes

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)

LARGEST_EXPONENT = (
    32  # a code of 8 bits that is worth more than 2**32 or less than 2**-32 a step is a mistake somewhere
)
EDGE_OF_INT32 = 2**30  # biases from here on leave one bit at most
FEW_BITS, LOST_BITS = 8, 4  # a multiplier of fewer bits, so many below its layer's widest, errs by 1/32 or more
VANISHING_BITS = 4  # bits of an operand below the result's unit
WIDER_TOTAL = 8  # bits by which one channel's totals exceed those of the channel in the middle
OVERWEIGHT = 8  # a residual that reaches so many times the largest code


@dataclass(frozen=True)
class Found:
    """Where a rule strikes in a layer: channels, none for the layer as a whole, and the figures in words.

    ``of``: how many channels there are, where they are not those of the layer's result.  ``advice``: where it is not
    the rule's.
    """

    detail: str
    channels: tuple[int, ...] = ()
    of: int | None = None
    advice: str | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """One layer with what can come in and out: what the functions of the rules are given."""

    network: IntNetwork
    layer: IntLayer
    reach: Reach
    inputs: tuple[Interval, ...]
    residual: Interval | None

    @property
    def last(self) -> bool:
        """Whether the layer gives the logits."""
        return self.layer is self.network.layers[-1]


Rule = Callable[[Look], Iterator[Found]]


@dataclass(frozen=True)
class LintRule:
    """A line of the table."""

    name: str
    severity: str
    meaning: str
    advice: str
    find: Rule


@dataclass(frozen=True)
class Finding:
    """A rule that strikes: in which layer, in which of ``of`` channels (none: the layer as a whole).

    The channels are those of the layer's result; in ``dead-inputs`` those that come in.
    """

    rule: str
    severity: str
    layer: str
    channels: tuple[int, ...]
    of: int
    detail: str
    meaning: str
    advice: str


def lint(network: IntNetwork) -> tuple[Finding, ...]:
    """Every finding, layer by layer, in the order of the table of rules."""
    network.require_static("lint")
    reached = reach(network)
    findings = []
    for layer in network.layers:
        inputs = tuple(reached[name].result for name in layer.inputs)
        residual = None if layer.residual is None else reached[layer.residual].result
        look = Look(network, layer, reached[layer.name], inputs, residual)
        findings += [_finding(rule, look, found) for rule in RULES for found in rule.find(look)]
    return tuple(findings)


def _finding(rule: LintRule, look: Look, found: Found) -> Finding:
    of = look.network.shapes[look.layer.name][-1] if found.of is None else found.of
    advice = rule.advice if found.advice is None else found.advice
    return Finding(
        rule.name, rule.severity, look.layer.name, found.channels, of, found.detail, rule.meaning, advice
    )  # fmt: skip


def figures(finding: Finding) -> dict[str, Any]:
    """A finding in types that JSON knows."""
    return {**vars(finding), "channels": list(finding.channels)}


# ------------------------------------------------------------------------------------------------------ what rules need


def _where(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(channel) for channel in np.flatnonzero(mask))


def _spread(look: Look, values: Any) -> np.ndarray:
    """One entry a channel, whether there is one or one for all."""
    return np.broadcast_to(values, look.network.shapes[look.layer.name][-1])


def _weights(layer: IntLayer) -> np.ndarray | None:
    """Integer weights (O, I, taps) of a conv or fc, signs (C, 1, 1) of a batch norm; None elsewhere."""
    if layer.op == "batchnorm":
        return layer.constants["sign"][:, None, None]
    if "weight" not in layer.constants:
        return None
    whole = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    return whole.reshape(*whole.shape[:2], -1)


def _no_weights(look: Look) -> np.ndarray:
    """Channels whose every weight is 0: bool (C)."""
    weights = _weights(look.layer)
    if weights is None:
        return _spread(look, False)
    return np.asarray(~weights.any(axis=(1, 2)))


def _no_multiplier(look: Look) -> np.ndarray:
    step = look.layer.requantize
    return _spread(look, False if step is None else step.multiplier == 0)


def _only_saturates(look: Look) -> np.ndarray:
    """Channels whose rounded value lies beyond an end of the format for every image (contract Q4)."""
    step, rounded = look.layer.requantize, look.reach.rounded
    if step is None or rounded is None:
        return _spread(look, False)
    above = (rounded.lo > step.hi) & (step.activation != "clip")
    below = (rounded.hi < step.lo) & (step.activation == "none")
    return _spread(look, above | below)


def _constant(look: Look) -> np.ndarray:
    return _spread(look, look.reach.result.constant)


def _dead(look: Look) -> np.ndarray:
    """Channels of which some other rule says that they carry nothing."""
    return _no_weights(look) | _no_multiplier(look) | _only_saturates(look) | _constant(look)


def _per_channel(look: Look) -> bool:
    """Whether one channel of the result is made of the same channel of the operands."""
    return OPS[look.layer.op].CHANNELWISE


# ------------------------------------------------------------------------------------------------------- dead channels


def _zero_weights(look: Look) -> Iterator[Found]:
    channels = _where(_no_weights(look))
    if channels:
        rest = "bias and residual come out" if look.layer.residual is not None else "the bias comes out"
        constant = int(np.count_nonzero(_constant(look)[list(channels)]))
        what = f"no weight is left, {rest}; {constant} of them {'is' if constant == 1 else 'are'} constant"
        yield Found(what + _widening(look, channels), channels)


def _zero_multiplier(look: Look) -> Iterator[Found]:
    channels = _where(_no_multiplier(look) & ~_no_weights(look))
    if channels:
        yield Found("multiplier 0", channels)


def _constant_output(look: Look) -> Iterator[Found]:
    if look.reach.sums is None:
        return
    mask = _constant(look) & ~_no_weights(look) & ~_no_multiplier(look) & ~_only_saturates(look)
    if _per_channel(look):  # what was constant before is the finding of the layer before
        mask = mask & ~np.logical_and.reduce([_spread(look, x.constant) for x in look.inputs])
    channels = _where(mask)
    if channels:
        codes = sorted({int(code) for code in _spread(look, look.reach.result.lo)[mask]})
        yield Found(f"always {_listed(codes)}" + _widening(look, channels), channels)


def _widening(look: Look, channels: Sequence[int]) -> str:
    """What the sums would need without the constant channels, if some of ``channels`` make them wider."""
    lo, hi = (_spread(look, end) for end in look.network.bounds[look.layer.name])
    alive = ~_constant(look)
    among = [channel for channel in channels if not alive[channel]]
    if not among or not alive.any():
        return ""
    widest, without = (accumulator_bits_needed(lo[some], hi[some]) for some in (among, alive))
    return f"; sums of {widest} bits, where {without} hold all that are not constant" if widest > without else ""


def _always_saturates(look: Look) -> Iterator[Found]:
    channels = _where(_only_saturates(look))
    if channels and look.reach.rounded is not None:
        lo, hi = (_spread(look, end)[list(channels)] for end in (look.reach.rounded.lo, look.reach.rounded.hi))
        yield Found(f"rounded values are {int(lo.min())}..{int(hi.max())} for every image", channels)


def _dead_inputs(look: Look) -> Iterator[Found]:
    if "weight" not in look.layer.constants:
        return
    (x,) = look.inputs
    zero = (x.lo == 0) & (x.hi == 0) & ~_read_by_constants(look, len(x.lo))
    channels = _where(zero)
    if channels:
        adds = f"{_share(len(channels), len(zero))} of the work adds nothing"
        yield Found(f"these channels of the input are always 0: {adds}", channels, len(zero))


def _read_by_constants(look: Look, inputs: int) -> np.ndarray:
    """Input channels that only constant channels of the result read, which are found by themselves: bool (inputs)."""
    groups = look.layer.attributes.get("group", 1)
    constant = _constant(look).reshape(groups, -1).all(axis=1)
    return np.repeat(constant, inputs // groups)


def _share(part: int, whole: int) -> str:
    """A share in percent, cut.

    >>> _share(1, 8), _share(1, 480)
    ('12 %', 'less than 1 %')
    """
    percent = 100 * part // whole
    return f"{percent} %" if percent else "less than 1 %"


# ---------------------------------------------------------------------------------------------------- scales, exponents


def _zero_scales(look: Look) -> Iterator[Found]:
    found = _clusters(look)
    if found is None:
        return
    codes, scale, reads = found
    lost = codes & (scale == 0) & reads & ~_constant(look)[:, None]
    if lost.any():
        yield Found(f"{int(lost.sum())} of {lost.size} clusters have codes and the scale 0", _where(lost.any(axis=1)))


def _zero_clusters(look: Look) -> Iterator[Found]:
    found = _clusters(look)
    if found is None:
        return
    codes, *_ = found
    empty = ~codes & codes.any(axis=1, keepdims=True)  # channels without any code are another rule's
    empty &= ~_constant(look)[:, None]
    if empty.any():
        share = _share(int(empty.sum()), empty.size)
        yield Found(
            f"{int(empty.sum())} of {empty.size} clusters ({share}) have no code", _where(np.asarray(empty.any(axis=1)))
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
        channels = _where((np.abs(exponents) > LARGEST_EXPONENT) & ~_no_weights(look) & ~_constant(look))
        if channels:
            yield Found(f"weight exponents {_ends([int(exponents[channel]) for channel in channels])}", channels)


def _coarse_multiplier(look: Look) -> Iterator[Found]:
    step = look.layer.requantize
    if step is None:
        return
    bits = np.array([int(multiplier).bit_length() for multiplier in step.multiplier])
    few = (bits > 0) & (bits < FEW_BITS) & (int(bits.max()) - bits >= LOST_BITS)
    channels = _where(_spread(look, few) & ~_dead(look))
    if channels:
        some = [int(_spread(look, bits)[channel]) for channel in channels]
        yield Found(f"multipliers of {_ends(some)} bits beside {int(bits.max())}", channels)


def _wide_total(look: Look) -> Iterator[Found]:
    total = look.reach.total
    if total is None:
        return
    bits = np.array([signed_bits(int(lo), int(hi)) for lo, hi in zip(total.lo, total.hi, strict=True)])
    alive = ~_dead(look)[: len(bits)]
    if not alive.any():
        return
    middle = int(np.sort(bits[alive])[(int(alive.sum()) - 1) // 2])
    channels = _where((bits >= middle + WIDER_TOTAL) & alive)
    if channels:
        widest = int(bits[alive].max())
        yield Found(f"totals of up to {widest} bits, those of the middle channel need {middle}", channels)


# --------------------------------------------------------------------------------------------------------------- biases


def _bias_at_the_edge(look: Look) -> Iterator[Found]:
    bias = look.layer.constants.get("bias")
    if bias is None:
        return
    channels = _where((np.abs(bias.astype(np.int64)) >= EDGE_OF_INT32) & ~_constant(look))
    if channels:
        yield Found(f"biases of {_ends([int(bias[channel]) for channel in channels])}", channels)


def _bias_dominates(look: Look) -> Iterator[Found]:
    bias, sums = look.layer.constants.get("bias"), look.reach.sums
    if bias is None or sums is None:
        return
    size = np.abs(bias.astype(np.int64))
    channels = _where((size > sums.hi - sums.lo) & (size < EDGE_OF_INT32) & ~_dead(look))
    if channels:
        yield Found(f"biases of {_ends([int(bias[channel]) for channel in channels])}", channels)


# --------------------------------------------------------------------------------------------------------- two operands


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


# --------------------------------------------------------------------------------------------------------- accumulators


def _beyond(look: Look, sums: Interval) -> np.ndarray:
    """Channels whose sums are not all held by the declared accumulator: bool (C)."""
    top = 1 << (look.layer.accumulator_bits - 1)
    return _spread(look, (sums.lo < -top) | (sums.hi >= top))


def _can_wrap(look: Look) -> Iterator[Found]:
    """Finished sums alone: what wraps on the way wraps back (contract A3)."""
    sums, layer = look.reach.sums, look.layer
    if sums is None or layer.accumulator_policy != "wrap":
        return
    channels = _where(_beyond(look, sums))
    if channels:
        needed = accumulator_bits_needed(sums.lo, sums.hi)
        yield Found(f"finished sums may need {needed} bits, the accumulator has {layer.accumulator_bits}", channels)


def _can_clip(look: Look) -> Iterator[Found]:
    """Finished sums, which are clipped, and partial ones, which are not, but by another machine (contract A4)."""
    sums, layer = look.reach.sums, look.layer
    if sums is None or layer.accumulator_policy != "saturate":
        return
    partial = Interval(*(np.asarray(end, np.int64) for end in look.network.bounds[layer.name]))
    channels = _where(_beyond(look, sums) | _beyond(look, partial))
    if channels:
        finished, on_the_way = (accumulator_bits_needed(ends.lo, ends.hi) for ends in (sums, partial))
        yield Found(
            f"finished sums may need {finished} bits, partial ones {on_the_way}, "
            f"the accumulator has {layer.accumulator_bits}",
            channels,
        )


# --------------------------------------------------------------------------------------------------------------- output


def _unused_codes(look: Look) -> Iterator[Found]:
    step, rounded = look.layer.requantize, look.reach.rounded
    if step is None or rounded is None or _dead(look).all():
        return
    lo, hi = int(look.reach.result.lo.min()), int(look.reach.result.hi.max())
    used, offered = _code_bits(lo, hi, step.format.lo), _code_bits(step.lo, step.hi, step.format.lo)
    if used < offered:
        advice = "The format can be narrower in hardware; the exponent is that of the others that are joined."
        yield Found(
            f"codes {lo}..{hi} of {step.lo}..{step.hi}: {offered - used} of {offered} bits are never used",
            advice=advice if _joined(look.network, look.layer) else None,
        )


def _joined(network: IntNetwork, layer: IntLayer) -> bool:
    """Whether the layer's codes are joined with others, which must have its exponent."""
    readers = [reader for reader in network.layers if layer.name in reader.inputs]
    return any(
        len(reader.inputs) > 1 or _joined(network, reader) for reader in readers if not accumulates(reader)
    )  # fmt: skip


def _code_bits(lo: int, hi: int, format_lo: int) -> int:
    return signed_bits(lo, hi) if format_lo < 0 else hi.bit_length()


def _class_never_wins(look: Look) -> Iterator[Found]:
    if not look.last:
        return
    lo, hi = (_spread(look, end) for end in (look.reach.result.lo, look.reach.result.hi))
    channels = _where(hi < lo.max())
    if channels:
        yield Found(f"logits below {int(lo.max())}, which another class always reaches", channels)


def _equal_classes(look: Look) -> Iterator[Found]:
    if not look.last or "weight" not in look.layer.constants:
        return
    weights = _weights(look.layer)
    rows = [] if weights is None else [
        (weights[o].tobytes(), int(look.layer.constants["bias"][o])) for o in range(len(weights))
    ]  # fmt: skip
    channels = tuple(o for o, row in enumerate(rows) if rows.index(row) < o)
    if channels and look.layer.requantize is None:
        yield Found("weights and bias are those of a class before", channels)


def _coded_logits(look: Look) -> Iterator[Found]:
    if look.last and (look.layer.requantize is not None or look.reach.sums is None):
        yield Found(f"the logits are {look.network.formats[look.layer.name].name} codes, rounded and clipped")


def _clipped_pixels(look: Look) -> Iterator[Found]:
    bias, step = look.layer.constants.get("bias"), look.layer.requantize
    if look.layer.op == "input" and bias is not None and step is not None and step.lo == 0:
        channels = _where(bias < 0)
        if channels:
            yield Found(f"biases from {int(bias.min())} on under codes from 0 on", channels)


def _scaled_int8(look: Look) -> Iterator[Found]:
    layer = look.layer
    if layer.weight_format == INT8_WEIGHT.name:
        scale = layer.constants["scale"]
        channels = _where((scale != 1).any(axis=1) | (scale.shape[1] > 1))
        if channels:
            yield Found(f"{scale.shape[1]} clusters with scales {int(scale.min())}..{int(scale.max())}", channels)


def _unit_of_logits(look: Look) -> Iterator[Found]:
    unit = sum_exponent(look.network, look.layer) if look.last and look.layer.requantize is None else None
    if unit is not None and accumulates(look.layer) and unit != look.layer.exponent:
        yield Found(f"exponent {look.layer.exponent}, a step of the sums is worth 2^{unit}")


def _listed(values: Sequence[int], most: int = 4) -> str:
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def _ends(values: Sequence[int]) -> str:
    return str(values[0]) if min(values) == max(values) else f"{min(values)}..{max(values)}"


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
    LintRule(
        "unused-codes",
        NOTE,
        "No image can make the largest codes of the output.",
        "A smaller exponent would make the codes finer; or the format can be narrower in hardware.",
        _unused_codes,
    ),
    LintRule(
        "class-never-wins",
        WARNING,
        "These classes can never have the largest logit.",
        "Look at the bias of the last layer and at its weight exponent.",
        _class_never_wins,
    ),
    LintRule(
        "equal-classes",
        WARNING,
        "These classes have the logits of a class before them, and ties go to the lowest index.",
        "Look at the weights of the last layer; so few codes cannot tell the classes apart.",
        _equal_classes,
    ),
    LintRule(
        "coded-logits",
        NOTE,
        "The last layer rounds, so logits are narrow codes and ties are likely.",
        "If that is not meant, leave the last layer's activation or addition out.",
        _coded_logits,
    ),
    LintRule(
        "clipped-pixels",
        WARNING,
        "Normalised pixels can be negative, and the input's codes cannot (contract Input3).",
        "Give the input the format int8, as quantize does where a mean is above 0.",
        _clipped_pixels,
    ),
    LintRule(
        "scaled-int8",
        NOTE,
        "Weights of 8 bits have clusters or scales, which the contract gives to narrower ones alone (C4).",
        "Hardware for such weights may have no multiplier for scales: fold them into the weights or the multiplier.",
        _scaled_int8,
    ),
    LintRule(
        "unit-of-logits",
        NOTE,
        "The exponent of the logits is not that of the sums that they are (contract L4).",
        "Set it to the exponent of the input plus that of the weights; no integer depends on it.",
        _unit_of_logits,
    ),
)
