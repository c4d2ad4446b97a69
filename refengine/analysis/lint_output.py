"""Lint rules about the codes and logits that come out, and the pixels that come in."""

from __future__ import annotations

from collections.abc import Iterator

from ..network.int_network import IntLayer, IntNetwork
from ..network.units import sum_exponent
from ..numbers.formats import signed_bits
from .lint_look import (
    NOTE,
    WARNING,
    Found,
    LintRule,
    Look,
    is_dead,
    spread,
    weights_of,
    where,
)
from .terms import accumulates


def _unused_codes(look: Look) -> Iterator[Found]:
    step, rounded = look.layer.requantize, look.reach.rounded
    if step is None or rounded is None or is_dead(look).all():
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
    lo, hi = (spread(look, end) for end in (look.reach.result.lo, look.reach.result.hi))
    channels = where(hi < lo.max())
    if channels:
        yield Found(f"logits below {int(lo.max())}, which another class always reaches", channels)


def _equal_classes(look: Look) -> Iterator[Found]:
    if not look.last or "weight" not in look.layer.constants:
        return
    weights = weights_of(look.layer)
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
        channels = where(bias < 0)
        if channels:
            yield Found(f"biases from {int(bias.min())} on under codes from 0 on", channels)


def _unit_of_logits(look: Look) -> Iterator[Found]:
    unit = sum_exponent(look.network, look.layer) if look.last and look.layer.requantize is None else None
    if unit is not None and accumulates(look.layer) and unit != look.layer.exponent:
        yield Found(f"exponent {look.layer.exponent}, a step of the sums is worth 2^{unit}")


RULES = (
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
        "unit-of-logits",
        NOTE,
        "The exponent of the logits is not that of the sums that they are (contract L4).",
        "Set it to the exponent of the input plus that of the weights; no integer depends on it.",
        _unit_of_logits,
    ),
)
