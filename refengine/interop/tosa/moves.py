"""Codes that are passed on, by TOSA's operators: maxpool, concat, pad_channels, flatten, and whatever only moves."""

from __future__ import annotations

from math import prod

import numpy as np

from ...ops import OPS
from ...ops.interface import sources
from .building import ZERO, Building, Operator
from .graph import Tensor


def _maxpool(building: Building, operands: list[Tensor]) -> Tensor:
    attributes, lowest = building.layer.attributes, -ZERO
    kernel = attributes["kernel_shape"]
    x, pad = building.windows(operands[0], kernel, attributes, lowest)
    window = {"kernel": list(kernel), "stride": list(attributes["strides"]), "pad": pad, "nan_mode": "PROPAGATE"}
    return building.graph.node("MAX_POOL2D", [x], building.shape, np.int8, **window)


def _concat(building: Building, operands: list[Tensor]) -> Tensor:
    return building.graph.node("CONCAT", operands, building.shape, np.int8, axis=len(building.shape) - 1)


def _pad_channels(building: Building, operands: list[Tensor]) -> Tensor:
    layer = building.layer
    pads = [*[(0, 0)] * (len(building.shape) - 1), (layer.attributes["before"], layer.attributes["after"])]
    return building.graph.padded(operands[0], pads, building.zero(layer.inputs[0]))


def flat(building: Building, operands: list[Tensor]) -> Tensor:
    """Vectors in the order C, H, W."""
    graph, (x,) = building.graph, operands
    if len(x.shape) == 4:
        n, h, w, c = x.shape
        x = graph.node("TRANSPOSE", [x], (n, c, h, w), x.dtype, perms=[0, 3, 1, 2])
    return graph.reshaped(x, (building.images, int(np.prod(x.shape[1:]))))


PASS: dict[str, Operator] = {
    "maxpool": _maxpool,
    "concat": _concat,
    "pad_channels": _pad_channels,
    "flatten": flat,
}


def moved(building: Building, operands: list[Tensor]) -> Tensor:
    """Codes that only move, by their numbers in the operands laid end to end; the last number is code 0."""
    graph, layer, images = building.graph, building.layer, building.images
    found = sources(OPS[layer.op], [building.network.shapes[name] for name in layer.inputs], layer.arguments)
    parts = [graph.reshaped(x, (images, prod(x.shape[1:]), 1)) for x in operands]
    if found.min() < 0:
        parts.append(graph.constant(np.full((images, 1, 1), building.zero(layer.inputs[0]), np.int8)))
    count = sum(x.shape[1] for x in parts)
    together = graph.node("CONCAT", parts, (images, count, 1), np.int8, axis=1) if len(parts) > 1 else parts[0]
    order = graph.constant(np.tile((found % count).astype(np.int32).ravel(), (images, 1)))
    gathered = graph.node("GATHER", [together, order], (*order.shape, 1), np.int8)
    return graph.reshaped(gathered, building.shape)
