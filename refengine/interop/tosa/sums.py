"""The accumulators of a layer by TOSA's operators, an entry in ``SUMS`` for each operator that has some.

sums               CONV2D, DEPTHWISE_CONV2D, MUL and ADD in INT32
weight * scale     128 * high + low, two convolutions, where the product exceeds a byte: int4 codes
groups             SLICE, CONV2D each, CONCAT
average pools      DEPTHWISE_CONV2D with ones, MUL by L / count (contract Avgpool1)
wrapped sum        LOGICAL_LEFT_SHIFT and ARITHMETIC_RIGHT_SHIFT by 32 - bits
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...ops import lookup
from ...ops.avgpool import shares
from ...ops.batchnorm import CODE_SHIFT
from ...ops.conv import integer_weights
from ...ops.input import PIXEL_SHIFT
from ...ops.window import output_hw
from .building import ZERO, Building, Operator
from .graph import Array, Graph, Tensor
from .moves import flat

_LIMB = 128


def _input(building: Building, operands: list[Tensor]) -> Tensor:
    graph, (x,) = building.graph, operands
    if building.layer.attributes["flip"]:
        x = graph.node("REVERSE", [x], x.shape, x.dtype, axis=3)
    unit = building.number(1 << PIXEL_SHIFT, np.int32)
    return building.biased(graph.elementwise("MUL", building.wide(x, None), unit))


def _conv(building: Building, operands: list[Tensor]) -> Tensor:
    layer, attributes = building.layer, building.layer.attributes
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], attributes["cluster"])
    zero = building.zero(layer.inputs[0])
    x, pad = building.windows(operands[0], weight.shape[2:], attributes, zero)
    window = {"pad": pad, "stride": list(attributes["strides"])}
    return _convolved(building, x, zero, weight, layer.constants["bias"], attributes["group"], window)


def _fc(building: Building, operands: list[Tensor]) -> Tensor:
    """A convolution of one pixel."""
    graph, layer = building.graph, building.layer
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    weight = weight[:, :, None, None]
    x = graph.reshaped(flat(building, operands), (building.images, 1, 1, weight.shape[1]))
    window = {"pad": [0, 0, 0, 0], "stride": [1, 1]}
    y = _convolved(building, x, building.zero(layer.inputs[0]), weight, layer.constants["bias"], 1, window)
    return graph.reshaped(y, building.shape)


def _convolved(
    building: Building, x: Tensor, zero: int, weight: Array, bias: Array, group: int, window: dict[str, Any]
) -> Tensor:
    """Sums of products of codes and integer weights, plus bias; within the bound of contract A2 at every step."""
    graph, shape = building.graph, (building.images, *_hw(x, weight, window), len(weight))
    if np.abs(weight).max() < _LIMB:
        return _products(graph, x, zero, weight, bias, group, shape, window)
    high = np.sign(weight) * (np.abs(weight) // _LIMB)  # of one sign with low, so that neither sum exceeds the bound
    upper = _products(graph, x, zero, high, np.zeros_like(bias), group, shape, window)
    lower = _products(graph, x, zero, weight - high * _LIMB, bias, group, shape, window)
    return graph.elementwise("ADD", graph.elementwise("MUL", upper, graph.number(_LIMB, np.int32, 4)), lower)


def _hw(x: Tensor, weight: Array, window: Mapping[str, Any]) -> tuple[int, int]:
    top, bottom, left, right = window["pad"]
    return output_hw(x.shape[1:3], weight.shape[2:], window["stride"], (top, left, bottom, right))


def _products(
    graph: Graph,
    x: Tensor,
    zero: int,
    weight: Array,
    bias: Array,
    group: int,
    shape: tuple[int, ...],
    window: Mapping[str, Any],
) -> Tensor:
    """One convolution, or one a group."""
    zeros = [graph.number(zero, np.int8), graph.number(0, np.int8)]
    common = {**window, "dilation": [1, 1], "local_bound": False, "acc_type": "INT32"}
    inputs, outputs = weight.shape[1], len(weight) // group
    if inputs == 1 and group > 1:
        filters = weight.reshape(group, outputs, *weight.shape[2:]).transpose(2, 3, 0, 1)
        read = [x, graph.constant(filters.astype(np.int8)), graph.constant(bias), *zeros]
        return graph.node("DEPTHWISE_CONV2D", read, shape, np.int32, **common)
    parts = []
    for first in range(group):
        ours = slice(first * outputs, (first + 1) * outputs)
        part = x
        if group > 1:
            part = graph.part(x, (0, 0, 0, first * inputs), (*x.shape[:3], inputs))
        filters = weight[ours].transpose(0, 2, 3, 1)
        read = [part, graph.constant(filters.astype(np.int8)), graph.constant(bias[ours]), *zeros]
        parts.append(graph.node("CONV2D", read, (*shape[:3], outputs), np.int32, **common))
    return parts[0] if group == 1 else graph.node("CONCAT", parts, shape, np.int32, axis=3)


def _batchnorm(building: Building, operands: list[Tensor]) -> Tensor:
    factor = building.by_channel(building.layer.constants["sign"].astype(np.int32) << CODE_SHIFT)
    wide = building.wide(operands[0], building.layer.inputs[0])
    return building.biased(building.graph.elementwise("MUL", wide, factor))


def _add(building: Building, operands: list[Tensor]) -> Tensor:
    layer = building.layer
    shifted = [
        building.graph.elementwise("MUL", building.wide(x, name), building.number(1 << shift, np.int32))
        for x, name, shift in zip(operands, layer.inputs, layer.attributes["shifts"], strict=True)
    ]
    return building.graph.elementwise("ADD", *shifted)


def _avgpool(building: Building, operands: list[Tensor]) -> Tensor:
    layer, attributes = building.layer, building.layer.attributes
    shape = building.network.shapes[layer.inputs[0]]
    total = _summed(building, operands[0], attributes["kernel_shape"], attributes)
    share = shares(shape, **attributes).astype(np.int32)[None, :, :, None]
    return building.graph.elementwise("MUL", total, building.graph.constant(share))


def _global_avgpool(building: Building, operands: list[Tensor]) -> Tensor:
    return _summed(building, operands[0], operands[0].shape[1:3], {"strides": (1, 1), "pads": (0, 0, 0, 0)})


def _summed(building: Building, x: Tensor, kernel: Sequence[int], attributes: Mapping[str, Any]) -> Tensor:
    """The sum of each window: a convolution of every channel with ones, whose padding adds nothing."""
    channels, zero = x.shape[3], building.zero(building.layer.inputs[0])
    x, pad = building.windows(x, kernel, attributes, zero)
    window = {"pad": pad, "stride": list(attributes["strides"])}
    ones = np.ones((channels, 1, *kernel), np.int32)
    return _convolved(building, x, zero, ones, np.zeros(channels, np.int32), channels, window)


def _requantize(building: Building, operands: list[Tensor]) -> Tensor:
    return building.wide(operands[0], building.layer.inputs[0])


def _lookup(building: Building, operands: list[Tensor]) -> Tensor:
    """TABLE, whose entries are those of the bytes from -128 on; a table a channel: SLICE, TABLE each, CONCAT."""
    graph, layer, (x,) = building.graph, building.layer, operands
    table, held = layer.constants["table"], building.zero(layer.inputs[0])
    zero = 0 if table.min() < 0 else -ZERO
    entries = (table[:, np.arange(-ZERO, ZERO) - held & (lookup.ENTRIES - 1)] + zero).astype(np.int8)
    if len(entries) == 1:
        found = graph.node("TABLE", [x, graph.constant(entries[0])], x.shape, np.int8)
    else:
        one = (*x.shape[:-1], 1)
        start = (0,) * (len(one) - 1)
        parts = [
            graph.node("TABLE", [graph.part(x, (*start, c), one), graph.constant(row)], one, np.int8)
            for c, row in enumerate(entries)
        ]
        found = graph.node("CONCAT", parts, x.shape, np.int8, axis=len(one) - 1)
    wide = graph.cast(found, np.int32)
    return graph.elementwise("SUB", wide, building.number(zero, np.int32)) if zero else wide


def _mul(building: Building, operands: list[Tensor]) -> Tensor:
    names = building.layer.inputs
    return building.graph.elementwise("MUL", *map(building.wide, operands, names))


SUMS: dict[str, Operator] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "avgpool": _avgpool,
    "global_avgpool": _global_avgpool,
    "requantize": _requantize,
    "lookup": _lookup,
    "mul": _mul,
}


def confined(building: Building, x: Tensor) -> Tensor:
    """The sum as a narrow accumulator holds it (contract A3, A4)."""
    layer, graph = building.layer, building.graph
    if layer.accumulator_policy == "saturate":
        top = 1 << (layer.accumulator_bits - 1)
        return building.between(x, -top, top - 1)
    if layer.accumulator_policy == "wrap" and layer.accumulator_bits < 32:
        unused = building.number(32 - layer.accumulator_bits, np.int32)
        return graph.elementwise(
            "ARITHMETIC_RIGHT_SHIFT", graph.elementwise("LOGICAL_LEFT_SHIFT", x, unused), unused, round=False
        )
    return x
