"""One output integer as the terms that it is made of: which input codes, with which weights, in which clusters.

Whatever accumulates is a sum of one form,

    acc = bias + sum over parts of factor * (sum over taps of weight * code)

A part is a cluster of a conv or fc, and the factor its scale; an operand of an add, and the factor its left shift; the
one window of a pool; or the one code that input, batchnorm, requantize, lookup and mul read.  Whatever passes codes
through has one part, whose taps are the codes that the result may come from; where codes are only moved, the definition
itself says which one that is (``ops.interface.sources``).  Plain Python integers throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from ..errors import NetworkError, RangeError
from ..network.int_network import IntLayer, IntNetwork
from ..ops import OPS, avgpool
from ..ops.batchnorm import CODE_SHIFT
from ..ops.input import PIXEL_SHIFT
from ..ops.interface import Shape, sources

Place = tuple[int, ...]
Shapes = tuple[Shape, ...]
Exponents = tuple[int, ...]


@dataclass(frozen=True)
class Tap:
    """One input code of the sum: the operand's number, the place in it (without the image), and the weight's code.

    A tap of padding lies outside the operand, and its code is 0.  ``table``: what stands for each code in place of a
    product; ``by``: the operand and place of the code that stands for the weight.
    """

    operand: int
    place: Place
    weight: int
    padding: bool = False
    table: tuple[int, ...] | None = None
    by: tuple[int, Place] | None = None

    def times(self, code: int) -> int:
        """What a code adds: its product with the weight, or the table's entry."""
        return code * self.weight if self.table is None else self.table[code & (len(self.table) - 1)]


@dataclass(frozen=True)
class Part:
    """Taps that share a factor: channels ``first..last`` of the operand, the taps in the order channel, row, column.

    ``grid``: rows and columns of the window of each channel.
    """

    first: int
    last: int
    grid: tuple[int, int]
    factor: int
    taps: tuple[Tap, ...]


@dataclass(frozen=True)
class Terms:
    """All terms of one output; the sum is worth ``2**unit_exponent / unit_divisor`` a step."""

    bias: int
    parts: tuple[Part, ...]
    unit_exponent: int
    unit_divisor: int = 1


def terms(network: IntNetwork, layer: IntLayer, place: Place) -> Terms:
    """The terms of one output (contract, the operator's section).

    RangeError where the layer has no such place, NetworkError for an operator whose terms are not known.
    """
    check_place(network, layer, place)
    made = TERMS.get(layer.op, _moved if OPS[layer.op].MOVES else None)
    if made is None:
        known = ", ".join(name for name in OPS if name in TERMS or OPS[name].MOVES)
        raise NetworkError(
            f"layer {layer.name!r} ({layer.op}): the terms of this operator are not known; known are: {known}"
        )
    return made(layer, operand_shapes(network, layer), operand_exponents(network, layer), place)


def operand_shapes(network: IntNetwork, layer: IntLayer) -> tuple[tuple[int, ...], ...]:
    """Shape of each operand for one image; the image itself for the input."""
    return tuple(network.shapes[name] for name in layer.inputs) or (tuple(network.input_shape),)


def operand_exponents(network: IntNetwork, layer: IntLayer) -> tuple[int, ...]:
    """Exponent of each operand; 0 for the pixels of the image."""
    return tuple(network.layer(name).exponent for name in layer.inputs) or (0,)


def operand_ranges(network: IntNetwork, layer: IntLayer) -> tuple[tuple[int, int], ...]:
    """Lowest and highest code that each operand can hold; 0..255 for the pixels of the image."""
    return tuple(network.ranges[name] for name in layer.inputs) or ((0, 255),)


def check_place(network: IntNetwork, layer: IntLayer, place: Place) -> None:
    """RangeError unless the place is one of the layer's result."""
    shape = network.shapes[layer.name]
    if len(place) != len(shape) or not all(0 <= index < size for index, size in zip(place, shape, strict=True)):
        axes = "y,x,c" if len(shape) == 3 else "k"
        ends = ",".join(str(size - 1) for size in shape)
        raise RangeError(
            f"layer {layer.name!r} has no place {','.join(map(str, place))}, "
            f"needed {axes} in {','.join('0' for _ in shape)}..{ends}"
        )


def _window(
    shape: Shape, place: Place, grid: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> list[tuple[int, int, bool]]:
    """(row, column, whether it is padding) of each pixel of the window at output (y, x), row by row (contract W1)."""
    top, left = place[0] * strides[0] - pads[0], place[1] * strides[1] - pads[1]
    found = []
    for ky, kx in product(range(grid[0]), range(grid[1])):
        row, column = top + ky, left + kx
        found.append((row, column, not (0 <= row < shape[0] and 0 <= column < shape[1])))
    return found


def _conv(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    weight, scale = layer.constants["weight"], layer.constants["scale"]
    (y, x, o), attributes = place, layer.attributes
    outputs, inputs, *grid = weight.shape
    window = _window(shapes[0], (y, x), grid, attributes["strides"], attributes["pads"])
    base = o // (outputs // attributes["group"]) * inputs
    parts = []
    for g, first in enumerate(range(0, inputs, attributes["cluster"])):
        last = min(first + attributes["cluster"], inputs) - 1
        taps = tuple(
            Tap(0, (row, column, base + i), code, padding)
            for i in range(first, last + 1)
            for (row, column, padding), code in zip(window, weight[o, i].ravel().tolist(), strict=True)
        )
        parts.append(Part(base + first, base + last, (grid[0], grid[1]), int(scale[o, g]), taps))
    return Terms(int(layer.constants["bias"][o]), tuple(parts), exponents[0] + _weight_exponent(layer, o))


def _fc(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    weight, scale, cluster = layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"]
    o, codes = place[0], layer.constants["weight"][place[0]].tolist()
    parts = []
    for g, first in enumerate(range(0, weight.shape[1], cluster)):
        last = min(first + cluster, weight.shape[1]) - 1
        taps = tuple(Tap(0, unflattened(shapes[0], k), codes[k]) for k in range(first, last + 1))
        parts.append(Part(first, last, (1, 1), int(scale[o, g]), taps))
    return Terms(int(layer.constants["bias"][o]), tuple(parts), exponents[0] + _weight_exponent(layer, o))


def _weight_exponent(layer: IntLayer, o: int) -> int:
    return 0 if layer.weight_exponent is None else int(layer.weight_exponent[o])


def unflattened(shape: Sequence[int], k: int) -> Place:
    """Where number k of the order C, H, W lies in a tensor (H, W, C) (contract Flatten1); (k,) in a flat one.

    >>> unflattened((2, 3, 4), 7), unflattened((9,), 7)
    ((0, 1, 1), (7,))
    """
    if len(shape) == 1:
        return (k,)
    height, width, _ = shape
    return k // width % height, k % width, k // (height * width)


def _one(place: Place, weight: int, factor: int, operand: int = 0, padding: bool = False) -> Part:
    """A part of a single tap."""
    return Part(place[-1], place[-1], (1, 1), factor, (Tap(operand, place, weight, padding),))


def _input(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    y, x, c = place
    source = shapes[0][2] - 1 - c if layer.attributes["flip"] else c
    return Terms(int(layer.constants["bias"][c]), (_one((y, x, source), 1, 1 << PIXEL_SHIFT),), -PIXEL_SHIFT)


def _batchnorm(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    sign, bias = (int(layer.constants[name][place[-1]]) for name in ("sign", "bias"))
    return Terms(bias, (_one(place, sign, 1 << CODE_SHIFT),), exponents[0] - CODE_SHIFT)


def _add(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    parts = tuple(_one(place, 1, 1 << shift, number) for number, shift in enumerate(layer.attributes["shifts"]))
    return Terms(0, parts, min(exponents))


def _pooled(layer: IntLayer, shapes: Shapes, place: Place, factor: int) -> Part:
    attributes, (y, x, c) = layer.attributes, place
    window = _window(shapes[0], (y, x), attributes["kernel_shape"], attributes["strides"], attributes["pads"])
    taps = tuple(Tap(0, (row, column, c), 1, padding) for row, column, padding in window)
    return Part(c, c, attributes["kernel_shape"], factor, taps)


def _avgpool(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    common = avgpool.common_count(shapes[0], **layer.attributes)
    part = _pooled(layer, shapes, place, 1)
    share = common // sum(not tap.padding for tap in part.taps)
    return Terms(0, (Part(part.first, part.last, part.grid, share, part.taps),), exponents[0], common)


def _global_avgpool(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    height, width, _ = shapes[0]
    taps = tuple(Tap(0, (row, column, place[2]), 1) for row in range(height) for column in range(width))
    return Terms(0, (Part(place[2], place[2], (height, width), 1, taps),), exponents[0], height * width)


def _requantize(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    return Terms(0, (_one(place, 1, 1),), exponents[0])


def _lookup(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    table = layer.constants["table"]
    tap = Tap(0, place, 1, table=tuple(table[place[-1] % len(table)].tolist()))
    return Terms(0, (Part(place[-1], place[-1], (1, 1), 1, (tap,)),), layer.exponent)


def _mul(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    other = place if shapes[0] == shapes[1] else (0, 0, place[-1])
    tap = Tap(0, place, 1, by=(1, other))
    return Terms(0, (Part(place[-1], place[-1], (1, 1), 1, (tap,)),), sum(exponents))


def _maxpool(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    return Terms(0, (_pooled(layer, shapes, place, 1),), exponents[0])


def _moved(layer: IntLayer, shapes: Shapes, exponents: Exponents, place: Place) -> Terms:
    """The one code that an operator moves here; a code 0 that it makes lies before the first place."""
    number = int(sources(OPS[layer.op], shapes, layer.arguments)[place])
    operand = 0
    while number >= (size := prod(shapes[operand])):
        number, operand = number - size, operand + 1
    padding = number < 0
    shape = shapes[operand]
    found = (-1,) * len(shape) if padding else tuple(int(index) for index in np.unravel_index(number, shape))
    return Terms(0, (_one(found, 1, 1, operand, padding),), exponents[0])


TERMS: dict[str, Callable[[IntLayer, Shapes, Exponents, Place], Terms]] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "global_avgpool": _global_avgpool,
    "requantize": _requantize,
    "lookup": _lookup,
    "mul": _mul,
}


def accumulates(layer: IntLayer) -> bool:
    """Whether the terms are summed; otherwise one of the codes passes through."""
    return bool(OPS[layer.op].ACCUMULATES)
