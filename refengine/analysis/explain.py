"""How one output integer is computed, stage by stage, from the input codes at its window to the code that comes out.

    running sum = bias + factor * (sum of weight * code) + ...          one step a cluster, in order
    accumulator = the sum as its accumulator holds it                   (contract A)
    total       = accumulator * multiplier + (residual << its shift)    (contract Q1)
    rounded     = (total + addend) >> shift                             (contract Q2, R; D where exponents are dynamic)
    code        = rounded, clipped to lo..hi                            (contract Q3, Q4)

Everything is computed again in plain Python integers from the codes of one place, which neither the engine's kernels
nor its NumPy definitions see, and is then compared with what the engine gave there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Context, Decimal
from typing import Any

import numpy as np

from ..engine.run import Result, check_images
from ..errors import RefengineError
from ..network.int_network import IntLayer, IntNetwork
from ..network.units import result_divisor
from ..numbers.requantize import Requantize
from ..numbers.rounding import STOCHASTIC
from ..numbers.stochastic import GOLDEN, key, mix
from ..runs.predict import predictor
from .explain_rounding import Rounding, rounded
from .terms import Part, Place, Tap, Terms, accumulates, check_place, operand_shapes, terms

IMAGE = "image"


@dataclass(frozen=True)
class Term:
    """One input code and its weight: ``product = code * weight``; padding has the code 0.

    Of a lookup ``product`` is the table's entry, of a mul ``weight`` is the other operand's code.
    """

    source: str
    place: Place
    code: int
    weight: int
    product: int
    padding: bool


@dataclass(frozen=True)
class Contribution:
    """What one part (a cluster, an operand, a window) adds: ``product = factor * partial``, and the sum up to here."""

    first: int
    last: int
    grid: tuple[int, int]
    taps: tuple[Term, ...]
    partial: int
    factor: int
    product: int
    running: int


@dataclass(frozen=True)
class Accumulation:
    """The sum: it starts with the bias and goes part by part.

    ``sum`` is whole, ``accumulator`` is what ``bits`` bits under ``policy`` keep of it.  A step is worth
    ``2**unit_exponent / unit_divisor``.
    """

    bias: int
    parts: tuple[Contribution, ...]
    sum: int
    bits: int
    policy: str
    accumulator: int
    unit_exponent: int
    unit_divisor: int


@dataclass(frozen=True)
class Residual:
    """The code that is added before the rounding: ``aligned = code << shift``."""

    source: str
    place: Place
    code: int
    shift: int
    aligned: int


@dataclass(frozen=True)
class Clip:
    """The ends, which one was passed (``low``, ``high`` or None), whether that is a saturation, and why in words."""

    lo: int
    hi: int
    activation: str
    end: str | None
    saturation: bool
    reason: str


@dataclass(frozen=True)
class Choice:
    """How an image came to its exponent (contract D2): ``coarser = min(max(bits - room, 0), dynamic)``.

    ``widest``: the largest of the image's totals, each rounded down at its channel's shift; it needs ``bits`` bits,
    a code has ``room`` for so many.
    """

    place: Place
    widest: int
    bits: int
    room: int
    dynamic: int
    coarser: int


@dataclass(frozen=True)
class Requantization:
    """From the accumulator to the code: product, residual, rounding, clip; ``choice`` where exponents are dynamic."""

    multiplier: int
    product: int
    residual: Residual | None
    choice: Choice | None
    rounding: Rounding
    clip: Clip


@dataclass(frozen=True)
class Operand:
    """What the layer reads: its layer (``image`` for the pixels), shape, format and what a code is worth."""

    source: str
    shape: tuple[int, ...]
    format: str
    exponent: int


@dataclass(frozen=True)
class Passing:
    """Where a code comes from that is passed through: the candidates, and the number of the chosen one."""

    taps: tuple[Term, ...]
    grid: tuple[int, int]
    chosen: int
    reason: str


@dataclass(frozen=True)
class Explanation:
    """One output integer of one image with everything that led to it.

    ``result`` is a code, or a logit of the last layer; it is worth ``result * 2**exponent / divisor``.  Either
    ``accumulation`` (and ``requantization``, unless the layer gives logits) or ``passing`` is there.
    """

    network: str
    model_hash: str
    image: int
    layer: str
    op: str
    weight_format: str | None
    position: int
    shape: tuple[int, ...]
    at: Place
    operands: tuple[Operand, ...]
    accumulation: Accumulation | None
    requantization: Requantization | None
    passing: Passing | None
    format: str
    exponent: int
    divisor: int
    result: int


def explain(
    network: IntNetwork, pixels: np.ndarray, layer: str, at: Sequence[int], image: int = 0, backend: str = "fast"
) -> Explanation:
    """Run one image, uint8 (H, W, C), and explain the place ``at`` (y, x, c or k) of a layer's result.

    ``image`` is its number, which stochastic rounding looks at.  NetworkError for an unknown layer, RangeError for a
    place or an image that does not fit, RefengineError where the engine computed another integer than the explanation.
    """
    chosen, place = network.layer(layer), tuple(int(index) for index in at)
    check_place(network, chosen, place)
    batch = np.asarray(pixels)[None]
    check_images(network, batch)
    found: list[Explanation] = []

    def observe(seen: IntLayer, operands: Sequence[np.ndarray], result: Result) -> None:
        found.append(explain_result(network, seen, place, operands, result, image))

    predictor(network, backend, 1, observed=[chosen.name])(batch, image, observe)
    return found[0]


def explain_result(
    network: IntNetwork, layer: IntLayer, place: Place, operands: Sequence[np.ndarray], result: Result, image: int
) -> Explanation:
    """Explain one place of what the engine computed for one image: operands and result (1, ...).

    RefengineError where accumulator or result are not those that the explanation comes to.
    """
    choice = choice_of(layer, result)
    coarser = 0 if result.coarser is None else int(result.coarser[0])
    if choice is not None and choice.coarser != coarser:
        raise RefengineError(
            f"layer {layer.name!r} ({layer.op}): image {image} added {coarser} to its exponent, "
            f"its totals come to {choice.coarser}"
        )
    explanation = explain_codes(network, layer, place, operands, result.residual, image, choice)
    explanation = replace(explanation, exponent=explanation.exponent + coarser)
    stages = [("result", explanation.result, result.result)]
    if explanation.accumulation is not None and result.accumulator is not None:
        stages.insert(0, ("accumulator", explanation.accumulation.accumulator, result.accumulator))
    for stage, explained, array in stages:
        computed = int(array[(0, *place)])
        if computed != explained:
            raise RefengineError(
                f"layer {layer.name!r} ({layer.op}) at {','.join(map(str, place))} of image {image}: "
                f"the run gave the {stage} {computed}, its terms come to {explained}"
            )
    return explanation


def explain_codes(
    network: IntNetwork,
    layer: IntLayer,
    place: Place,
    operands: Sequence[np.ndarray],
    residual: np.ndarray | None,
    image: int = 0,
    choice: Choice | None = None,
) -> Explanation:
    """The same from codes alone: operands and residual (1, ...), nothing to compare with.

    ``choice`` is that of the whole image, for a layer whose exponent is dynamic.
    """
    parts = terms(network, layer, place)
    position = [each.name for each in network.layers].index(layer.name)
    accumulation = requantization = passing = None
    if accumulates(layer):
        accumulation = _accumulated(layer, parts, operands)
        value = accumulation.accumulator
        if layer.requantize is not None:
            stream = (position, image, _element(network.shapes[layer.name], place))
            requantization = _requantized(layer, layer.requantize, place, value, residual, stream, choice)
            rounded, clip = requantization.rounding.rounded, requantization.clip
            value = min(max(rounded, clip.lo), clip.hi)
    else:
        passing = _passed(layer, parts.parts[0], operands)
        value = passing.taps[passing.chosen].code
    return Explanation(
        network.name,
        network.hash,
        image,
        layer.name,
        layer.op,
        layer.weight_format,
        position,
        network.shapes[layer.name],
        place,
        _operands(network, layer),
        accumulation,
        requantization,
        passing,
        network.formats[layer.name].name,
        layer.exponent,
        result_divisor(network, layer),
        value,
    )


def figures(explanation: Explanation) -> dict[str, Any]:
    """Everything in types that JSON knows."""
    return asdict(explanation)


def _operands(network: IntNetwork, layer: IntLayer) -> tuple[Operand, ...]:
    shapes = operand_shapes(network, layer)
    if not layer.inputs:
        return (Operand(IMAGE, shapes[0], "uint8", 0),)
    return tuple(
        Operand(name, shape, _format_read(network, layer, name), network.layer(name).exponent)
        for name, shape in zip(layer.inputs, shapes, strict=True)
    )


def _format_read(network: IntNetwork, layer: IntLayer, name: str) -> str:
    """What codes are; shifted left where the layer computes with those of dynamic exponents (contract D4)."""
    fmt = network.formats[name].name
    return f"{fmt} << 0..{network.dynamic[name]}" if network.dynamic[name] and accumulates(layer) else fmt


def choice_of(layer: IntLayer, result: Result) -> Choice | None:
    """How the one image of a result came to its exponent, None where that is static (contract D2)."""
    step, sums = layer.requantize, result.accumulator
    if step is None or not step.dynamic or sums is None:
        return None
    widest, found = -1, (0,) * (sums.ndim - 1)
    for place in np.ndindex(*sums.shape[1:]):
        floored = _total(step, place, int(sums[(0, *place)]), result.residual) >> _of(step.shift, place)
        magnitude = floored if floored >= 0 else ~floored if step.lo < 0 else 0
        if magnitude > widest:
            widest, found = magnitude, place
    bits, room = widest.bit_length(), step.hi.bit_length()
    return Choice(found, widest, bits, room, step.dynamic, min(max(bits - room, 0), step.dynamic))


def choice_words(choice: Choice) -> str:
    """One line: what the image looked at, and what it came to.

    >>> choice_words(Choice((0, 3, 1), 700, 10, 8, 3, 2))
    'the largest total of the image, 700 at 0,3,1 rounded down, needs 10 bits; a code has 8; within 0..3'
    """
    place = ",".join(map(str, choice.place))
    return (
        f"the largest total of the image, {choice.widest} at {place} rounded down, needs {choice.bits} bits; "
        f"a code has {choice.room}; within 0..{choice.dynamic}"
    )


def _total(step: Requantize, place: Place, accumulator: int, residual: np.ndarray | None) -> int:
    """What is rounded at a place (contract Q1)."""
    product = accumulator * _of(step.multiplier, place)
    if residual is None or step.residual_shift is None:
        return product
    return product + (int(residual[(0, *place)]) << _of(step.residual_shift, place))


def _element(shape: Sequence[int], place: Place) -> int:
    """Position of an element in its image, as stochastic rounding counts (contract R5)."""
    number = 0
    for size, index in zip(shape, place, strict=True):
        number = number * size + index
    return number


def _term(layer: IntLayer, tap: Tap, operands: Sequence[np.ndarray]) -> Term:
    source = layer.inputs[tap.operand] if layer.inputs else IMAGE
    code = 0 if tap.padding else int(operands[tap.operand][(0, *tap.place)])
    if tap.by is not None:
        operand, place = tap.by
        tap = replace(tap, weight=int(operands[operand][(0, *place)]))
    return Term(source, tap.place, code, tap.weight, tap.times(code), tap.padding)


def _accumulated(layer: IntLayer, whole: Terms, operands: Sequence[np.ndarray]) -> Accumulation:
    running, found = whole.bias, []
    for part in whole.parts:
        taps = tuple(_term(layer, tap, operands) for tap in part.taps)
        partial = sum(tap.product for tap in taps)
        running += part.factor * partial
        product = part.factor * partial
        found.append(Contribution(part.first, part.last, part.grid, taps, partial, part.factor, product, running))
    bits, policy = layer.accumulator_bits, layer.accumulator_policy
    kept = held(running, bits, policy)
    return Accumulation(whole.bias, tuple(found), running, bits, policy, kept, whole.unit_exponent, whole.unit_divisor)


def held(value: int, bits: int, policy: str) -> int:
    """What an accumulator of ``bits`` bits keeps of a whole sum (contract A3, A4).

    >>> held(32768, 16, "wrap"), held(32768, 16, "saturate"), held(32768, 32, "error")
    (-32768, 32767, 32768)
    """
    top = 1 << (bits - 1)
    if policy == "wrap":
        return (value + top) % (2 * top) - top
    return min(max(value, -top), top - 1) if policy == "saturate" else value


def _passed(layer: IntLayer, part: Part, operands: Sequence[np.ndarray]) -> Passing:
    taps = tuple(_term(layer, tap, operands) for tap in part.taps)
    if layer.op == "maxpool":
        valid = [number for number, tap in enumerate(taps) if not tap.padding]
        chosen = max(valid, key=lambda number: taps[number].code)
        equal = sum(taps[number].code == taps[chosen].code for number in valid)
        codes = f"{len(valid)} codes" if len(valid) > 1 else "one code"
        reason = f"the largest of {codes} of the image" + (f", {equal} of them equal" if equal > 1 else "")
        return Passing(taps, part.grid, chosen, reason)
    if taps[0].padding:
        return Passing(taps, part.grid, 0, "a channel of padding: code 0")
    return Passing(taps, part.grid, 0, f"{layer.op} passes the code through")


def _requantized(
    layer: IntLayer,
    step: Requantize,
    place: Place,
    accumulator: int,
    residual: np.ndarray | None,
    stream: tuple[int, int, int],
    choice: Choice | None,
) -> Requantization:
    multiplier, shift = _of(step.multiplier, place), _of(step.shift, place)
    added = None
    total = product = accumulator * multiplier
    if residual is not None and layer.residual is not None and step.residual_shift is not None:
        code, left = int(residual[(0, *place)]), _of(step.residual_shift, place)
        added = Residual(layer.residual, place, code, left, code << left)
        total += added.aligned
    bits = None if step.rounding != STOCHASTIC else _draw(step.seed, *stream)
    rounding = rounded(total, shift + (0 if choice is None else choice.coarser), step.rounding, bits)
    return Requantization(multiplier, product, added, choice, rounding, clipped(rounding.rounded, step))


def _of(values: np.ndarray, place: Place) -> int:
    """The entry of a channel, or the one for all channels."""
    return int(values[place[-1] if len(values) > 1 else 0])


def _draw(seed: int, position: int, image: int, element: int) -> int:
    """The 64 random bits of one element (contract R5)."""
    return mix((key(seed, position, image) + (element + 1) * GOLDEN) % 2**64)


def clipped(value: int, step: Requantize) -> Clip:
    """Which end of the clip a rounded value passes, and why (contract Q3, Q4)."""
    end = "low" if value < step.lo else "high" if value > step.hi else None
    if end is None:
        return Clip(step.lo, step.hi, step.activation, end, False, f"inside {step.lo}..{step.hi}")
    edge, side = (step.lo, "below") if end == "low" else (step.hi, "above")
    meant = step.activation == "clip" or (end == "low" and step.activation == "relu")
    if meant:
        which = "ReLU" if step.activation == "relu" else "clip"
        why = f"the activation's {which} cuts it, which is meant and not counted"
    else:
        why = f"{step.format.name} ends there, a saturation"
    return Clip(step.lo, step.hi, step.activation, end, not meant, f"{value} is {side} {edge}: {why}")


def worth(code: int, exponent: int, divisor: int = 1) -> str:
    """``code * 2**exponent / divisor`` as a decimal: all of its digits where they are few, else nine.

    >>> worth(27, -6), worth(3, 2), worth(1, -40), worth(1, 0, 3)
    ('0.421875', '12', '9.09494702E-13', '0.333333333')
    """
    if not code:
        return "0"
    exact = Context(prec=40).multiply(Context(prec=40).create_decimal(code), _power(exponent))
    if divisor == 1 and len(text := f"{exact:f}") <= 20:
        return text.rstrip("0").rstrip(".") if "." in text else text
    short = Context(prec=9)
    return str(short.divide(short.create_decimal(exact), short.create_decimal(divisor)))


def _power(exponent: int) -> Decimal:
    wide = Context(prec=40)
    return wide.power(wide.create_decimal(2), wide.create_decimal(exponent))
