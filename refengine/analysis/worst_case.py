"""The worst case of a layer as input codes: what drives an accumulator to an end of its static bound (contract A2).

A sum is lowest when each code stands at that end of its range which its weight wants.  The bound is that of any partial
sum, in any order, so it is reached when the terms of its sign are added first, the bias with them if it has that sign:

    reached = min(bias, 0) + sum of the negative terms        (low; high alike)        = the bound, without padding
    sum     = bias + all terms, which is what the finished accumulator holds

Both are the same where the bias has the bound's sign, or is 0, and 0 lies in the range of the codes.  A window that
cannot avoid padding, because the image is smaller than the kernel, reaches less; then the tightest one is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ..engine.run import Result, run_layer
from ..errors import NetworkError, RefengineError
from ..network.int_network import IntLayer, IntNetwork
from ..ops.conv import integer_weights
from ..ops.requantize import Draws
from .explain import held
from .terms import Place, Tap, Terms, accumulates, operand_ranges, operand_shapes, terms

LOW, HIGH = "low", "high"
ENDS = (LOW, HIGH)


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Operands (1, ...) of a layer that bring the sum at ``place`` to its ``end``, and what it comes to there.

    bound: the static one of that channel.  reached: by the terms of that sign, added first.  sum: the finished sum.
    padded: whether the window cannot do without padding.  residual: the layer's, at the same end, if it has one.
    """

    layer: str
    end: str
    place: Place
    operands: tuple[np.ndarray, ...]
    residual: np.ndarray | None
    bound: int
    reached: int
    sum: int
    padded: bool

    @property
    def attains(self) -> bool:
        """Whether the bound is reached exactly."""
        return self.reached == self.bound


def stimulus(network: IntNetwork, layer: IntLayer, end: str) -> Stimulus:
    """Input codes that bring the channel with the widest bound to its ``end``, ``low`` or ``high``.

    NetworkError for a layer that does not accumulate.
    """
    network.require_static("a worst-case stimulus")
    if not accumulates(layer):
        raise NetworkError(f"layer {layer.name!r} ({layer.op}) passes codes through, it has no worst sum")
    place, padded = _worst_place(network, layer, end)
    parts = terms(network, layer, place)
    ranges = operand_ranges(network, layer)
    operands = tuple(_filled(shape, ends) for shape, ends in zip(operand_shapes(network, layer), ranges, strict=True))
    products = []
    for part in parts.parts:
        for tap in part.taps:
            if tap.table is not None or tap.by is not None:
                products.append(_curved(tap, operands, ranges, end))
            elif not tap.padding:
                weight = part.factor * tap.weight
                code = _wanted(weight, ranges[tap.operand], end)
                operands[tap.operand][(0, *tap.place)] = code
                products.append(weight * code)
    lo, hi = network.bounds[layer.name]
    ends_of = lo if end == LOW else hi
    return Stimulus(
        layer.name,
        end,
        place,
        operands,
        _residual(network, layer, end),
        int(ends_of[place[-1] if len(ends_of) > 1 else 0]),
        _of_sign([parts.bias, *products], end),
        parts.bias + sum(products),
        padded,
    )


def _curved(tap: Tap, operands: Sequence[np.ndarray], ranges: Sequence[tuple[int, int]], end: str) -> int:
    """What a table, or a product of two codes, comes to at its ``end``; its codes are put into the operands."""
    own = range(ranges[tap.operand][0], ranges[tap.operand][1] + 1)
    extreme = min if end == LOW else max
    if tap.by is None:
        code = extreme(own, key=tap.times)
        operands[tap.operand][(0, *tap.place)] = code
        return tap.times(code)
    other, place = tap.by
    pairs = [(one, factor) for one in (own[0], own[-1]) for factor in ranges[other]]
    code, factor = extreme(pairs, key=prod)
    operands[tap.operand][(0, *tap.place)], operands[other][(0, *place)] = code, factor
    return code * factor


def proven(layer: IntLayer, found: Stimulus, position: int = 0) -> Result:
    """The layer run on its stimulus by the NumPy definitions; RefengineError unless its sum is the expected one.

    ``position``: the layer's in its network, by which stochastic rounding draws: for image 0 at the low end, for image
    1 at the high end (contract R5).
    """
    draws = Draws(position, ENDS.index(found.end))
    result = run_layer(layer, found.operands, found.residual, "reference", draws)
    wanted = held(found.sum, layer.accumulator_bits, layer.accumulator_policy)
    computed = None if result.accumulator is None else int(result.accumulator[(0, *found.place)])
    if computed != wanted:
        raise RefengineError(
            f"layer {layer.name!r} ({layer.op}): its stimulus comes to {computed}, expected was {wanted}"
        )
    return result


def _of_sign(values: Sequence[int], end: str) -> int:
    return sum(value for value in values if (value < 0) == (end == LOW))


def _wanted(weight: int, ends: tuple[int, int], end: str) -> int:
    """The code of the range that brings ``weight * code`` furthest; the one nearest to 0 where there is no weight."""
    if not weight:
        return min(max(0, ends[0]), ends[1])
    return ends[0] if (weight > 0) == (end == LOW) else ends[1]


def _filled(shape: Sequence[int], ends: tuple[int, int]) -> np.ndarray:
    """A tensor (1, ...) of the code nearest to 0, in the type that holds the range."""
    dtype = np.int8 if ends[0] < 0 else np.uint8
    return np.full((1, *shape), min(max(0, ends[0]), ends[1]), dtype)


def _residual(network: IntNetwork, layer: IntLayer, end: str) -> np.ndarray | None:
    if layer.residual is None:
        return None
    code = network.ranges[layer.residual][0 if end == LOW else 1]
    return np.full((1, *network.shapes[layer.residual]), code, network.formats[layer.residual].dtype)


def _worst_place(network: IntNetwork, layer: IntLayer, end: str) -> tuple[Place, bool]:
    """Where the bound is reached, and whether there is padding in every window."""
    lo, hi = network.bounds[layer.name]
    channel = int(lo.argmin() if end == LOW else hi.argmax())
    shape = network.shapes[layer.name]
    if layer.op != "conv":
        return (*(0 for _ in shape[:-1]), channel), False
    whole = _whole_window(layer, operand_shapes(network, layer)[0], shape)
    return ((*whole, channel), False) if whole is not None else (_least_padded(network, layer, end), True)


def _whole_window(layer: IntLayer, image: Sequence[int], shape: Sequence[int]) -> Place | None:
    """The first output whose window lies inside the image, or None (contract W1)."""
    kernel, strides, pads = layer.constants["weight"].shape[2:], layer.attributes["strides"], layer.attributes["pads"]
    found = []
    for axis in range(2):
        first = -(-pads[axis] // strides[axis])
        if first >= shape[axis] or first * strides[axis] - pads[axis] + kernel[axis] > image[axis]:
            return None
        found.append(first)
    return tuple(found)


def _least_padded(network: IntNetwork, layer: IntLayer, end: str) -> Place:
    """The output that reaches furthest although its window has padding."""
    image, shape = operand_shapes(network, layer)[0], network.shapes[layer.name]
    weights = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    lowest, highest = (int(code) * weights.astype(np.int64) for code in operand_ranges(network, layer)[0])
    bias = layer.constants["bias"].astype(np.int64)
    furthest: tuple[int, Place] | None = None
    for y, x in np.ndindex(*shape[:2]):
        rows = _inside(y, image[0], weights.shape[2], layer.attributes["strides"][0], layer.attributes["pads"][0])
        columns = _inside(x, image[1], weights.shape[3], layer.attributes["strides"][1], layer.attributes["pads"][1])
        extreme = np.minimum if end == LOW else np.maximum
        terms_here = extreme(extreme(lowest, highest), 0)[:, :, rows, columns].sum(axis=(1, 2, 3)) + extreme(bias, 0)
        reach = -terms_here if end == LOW else terms_here
        channel = int(reach.argmax())
        if furthest is None or int(reach[channel]) > furthest[0]:
            furthest = int(reach[channel]), (y, x, channel)
    return (0, 0, 0) if furthest is None else furthest[1]


def _inside(position: int, size: int, kernel: int, stride: int, before: int) -> slice:
    """Which rows of the kernel lie on the image."""
    start = position * stride - before
    return slice(min(max(-start, 0), kernel), max(min(size - start, kernel), 0))


def whole_sum(parts: Terms, codes: Sequence[np.ndarray]) -> int:
    """The finished sum of one output for operands (1, ...): what a search for a worse case compares."""
    return parts.bias + sum(
        part.factor * _product(tap, codes) for part in parts.parts for tap in part.taps if not tap.padding
    )


def _product(tap: Tap, codes: Sequence[np.ndarray]) -> int:
    code = int(codes[tap.operand][(0, *tap.place)])
    return tap.times(code) if tap.by is None else code * int(codes[tap.by[0]][(0, *tap.by[1])])
