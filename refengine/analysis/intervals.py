"""What each channel of each layer can come to, whatever the image: intervals, carried forward channel by channel.

The network's own ranges and bounds take every channel of a tensor for as wide as its clip.  Here a channel that can
hold only few codes stays narrow downstream, so that a dead or constant channel is known as such.  The intervals hold
for every image; they need not be tight, because channels are taken for independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..network.int_network import IntLayer, IntNetwork
from ..numbers.accumulator import confine
from ..numbers.requantize import Requantize
from ..numbers.rounding import STOCHASTIC, round_shift
from ..ops import OPS, avgpool, lookup
from ..ops.batchnorm import CODE_SHIFT
from ..ops.conv import integer_weights
from ..ops.input import PIXEL_SHIFT
from ..ops.interface import Array, Operator, Shape, bound_of, sources
from .terms import accumulates, operand_shapes

PIXELS = (0, 255)

Shapes = tuple[Shape, ...]


@dataclass(frozen=True, eq=False)
class Interval:
    """The lowest and the highest value of each channel, int64 (C) twice."""

    lo: np.ndarray
    hi: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """Which channels can hold one value alone: bool (C)."""
        return self.lo == self.hi


@dataclass(frozen=True, eq=False)
class Reach:
    """Of one layer, by channel: finished sums, totals, rounded values before the clip, and what comes out.

    Where codes pass through all but ``result`` is None, and without a requantization ``total`` and ``rounded`` are.
    """

    result: Interval
    sums: Interval | None = None
    total: Interval | None = None
    rounded: Interval | None = None


def reach(network: IntNetwork) -> dict[str, Reach]:
    """The intervals of every layer; a flat tensor has a channel for each of its elements."""
    found: dict[str, Reach] = {}
    for layer in network.layers:
        inputs = [found[name].result for name in layer.inputs]
        if not inputs:
            ends = [np.full(network.input_shape[2], end, np.int64) for end in PIXELS]
            inputs = [Interval(*ends)]
        residual = None if layer.residual is None else found[layer.residual].result
        found[layer.name] = _reach(network, layer, inputs, residual)
    return found


def _reach(network: IntNetwork, layer: IntLayer, inputs: list[Interval], residual: Interval | None) -> Reach:
    shapes = operand_shapes(network, layer)
    if not accumulates(layer):
        return Reach(_passed(layer, inputs, shapes))
    sums = SUMS.get(layer.op, _bounded)(layer, inputs, shapes)
    kept = _kept(layer, sums)
    step = layer.requantize
    if step is None:
        return Reach(kept, sums)
    total = Interval(kept.lo * step.multiplier, kept.hi * step.multiplier)
    if residual is not None and step.residual_shift is not None:
        total = Interval(
            total.lo + (residual.lo << step.residual_shift), total.hi + (residual.hi << step.residual_shift)
        )
    rounded = _rounded(total, step)
    codes = Interval(*(np.minimum(np.maximum(end, step.lo), step.hi) for end in (rounded.lo, rounded.hi)))
    return Reach(codes, sums, total, rounded)


def _kept(layer: IntLayer, sums: Interval) -> Interval:
    """What the accumulator can hold of the sums (contract A3, A4)."""
    top = np.int64(1) << (layer.accumulator_bits - 1)
    if layer.accumulator_policy == "wrap":
        leaves = (sums.lo < -top) | (sums.hi >= top)
        return Interval(np.where(leaves, -top, sums.lo), np.where(leaves, top - 1, sums.hi))
    ends = (confine(end, layer.accumulator_bits, layer.accumulator_policy)[0] for end in (sums.lo, sums.hi))
    return Interval(*(np.asarray(end, np.int64) for end in ends))


def _rounded(total: Interval, step: Requantize) -> Interval:
    """Rounding keeps the order of totals; a draw can take them down or up."""
    down, up = ("floor", "ceil") if step.rounding == STOCHASTIC else (step.rounding, step.rounding)
    return Interval(round_shift(total.lo, step.shift, down), round_shift(total.hi, step.shift, up))


# ---------------------------------------------------------------------------------------------------------------- sums


def _input(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    (pixels,), bias = inputs, layer.constants["bias"].astype(np.int64)
    lo, hi = (end[::-1] if layer.attributes["flip"] else end for end in (pixels.lo, pixels.hi))
    return Interval((lo << PIXEL_SHIFT) + bias, (hi << PIXEL_SHIFT) + bias)


def _conv(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    attributes = layer.attributes
    weights = integer_weights(layer.constants["weight"], layer.constants["scale"], attributes["cluster"])
    (x,) = inputs
    if any(attributes["pads"]):
        x = Interval(np.minimum(x.lo, 0), np.maximum(x.hi, 0))
    outputs, count = len(weights) // attributes["group"], weights.shape[1]
    parts = [
        _weighed(
            weights[q * outputs : (q + 1) * outputs].reshape(outputs, count, -1),
            Interval(x.lo[q * count : (q + 1) * count], x.hi[q * count : (q + 1) * count]),
        )
        for q in range(attributes["group"])
    ]
    bias = layer.constants["bias"].astype(np.int64)
    return Interval(*(np.concatenate([getattr(part, end) for part in parts]) + bias for end in ("lo", "hi")))


def _fc(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    weights = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    found = _weighed(weights[:, :, None], flattened(inputs[0], shapes[0]))
    bias = layer.constants["bias"].astype(np.int64)
    return Interval(found.lo + bias, found.hi + bias)


def _weighed(weights: np.ndarray, x: Interval) -> Interval:
    """Ends of the sum of products: weights (O, I, taps), x (I)."""
    up = np.maximum(weights, 0).sum(axis=2, dtype=np.int64)
    down = np.minimum(weights, 0).sum(axis=2, dtype=np.int64)
    return Interval(up @ x.lo + down @ x.hi, up @ x.hi + down @ x.lo)


def _batchnorm(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    sign, bias = (layer.constants[name].astype(np.int64) for name in ("sign", "bias"))
    lo, hi = ((end << CODE_SHIFT) * sign for end in (inputs[0].lo, inputs[0].hi))
    return Interval(np.minimum(lo, hi) + bias, np.maximum(lo, hi) + bias)


def _add(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    a, b = layer.attributes["shifts"]
    return Interval((inputs[0].lo << a) + (inputs[1].lo << b), (inputs[0].hi << a) + (inputs[1].hi << b))


def _lookup(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    table, (x,) = layer.constants["table"].astype(np.int64), inputs
    seen = [
        table[c % len(table), np.arange(lo, hi + 1) & (lookup.ENTRIES - 1)]
        for c, (lo, hi) in enumerate(zip(x.lo.tolist(), x.hi.tolist(), strict=True))
    ]
    return Interval(np.array([entries.min() for entries in seen]), np.array([entries.max() for entries in seen]))


def _mul(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    a, b = inputs
    products = [one * other for one in (a.lo, a.hi) for other in (b.lo, b.hi)]
    return Interval(np.minimum.reduce(products), np.maximum.reduce(products))


def _times(factor: int, x: Interval) -> Interval:
    return Interval(x.lo * factor, x.hi * factor)


def _bounded(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    """The bounds of all partial sums, for an operator of which nothing else is known (contract A2)."""
    ranges = [(min(int(x.lo.min()), 0), max(int(x.hi.max()), 0)) for x in inputs]
    operator = OPS[layer.op]
    ends = bound_of(operator)(*ranges, shape=shapes[0], **layer.arguments)
    channels = operator.output_shape(*shapes, **layer.arguments)[-1]
    return Interval(*(np.broadcast_to(np.asarray(end, np.int64), channels) for end in ends))


SUMS: dict[str, Callable[[IntLayer, list[Interval], Shapes], Interval]] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "avgpool": lambda layer, inputs, shapes: _times(avgpool.common_count(shapes[0], **layer.attributes), inputs[0]),
    "global_avgpool": lambda layer, inputs, shapes: _times(shapes[0][0] * shapes[0][1], inputs[0]),
    "requantize": lambda layer, inputs, shapes: inputs[0],
    "lookup": _lookup,
    "mul": _mul,
}


# --------------------------------------------------------------------------------------------------------------- codes


def _passed(layer: IntLayer, inputs: list[Interval], shapes: Shapes) -> Interval:
    """What comes out where codes pass through, from what the operator says of itself."""
    operator = OPS[layer.op]
    if operator.MOVES:
        return _moved(operator, layer.arguments, inputs, shapes)
    ends = [(x.lo, x.hi) for x in inputs]
    if not operator.CHANNELWISE:
        channels = operator.output_shape(*shapes, **layer.arguments)[-1]
        ends = [(np.full(channels, lo.min()), np.full(channels, hi.max())) for lo, hi in ends]
    if operator.PADS:
        ends.append((np.zeros_like(ends[0][0]), np.zeros_like(ends[0][1])))
    return Interval(np.minimum.reduce([lo for lo, _ in ends]), np.maximum.reduce([hi for _, hi in ends]))


def _moved(operator: Operator, arguments: Mapping[str, Any], inputs: list[Interval], shapes: Shapes) -> Interval:
    """Of every channel, all intervals that its codes come from."""
    found = sources(operator, shapes, arguments)

    def moved(ends: list[Array]) -> Array:
        elements = [np.broadcast_to(end, shape).ravel() for end, shape in zip(ends, shapes, strict=True)]
        read: Array = np.append(np.concatenate(elements), 0)[found]  # -1, code 0, reads the last entry
        return read.reshape(-1, found.shape[-1])

    return Interval(moved([x.lo for x in inputs]).min(axis=0), moved([x.hi for x in inputs]).max(axis=0))


def flattened(x: Interval, shape: Shape) -> Interval:
    """A channel for each element, in the order C, H, W (contract Flatten1)."""
    return _moved(OPS["flatten"], {}, [x], (shape,))
