"""One layer under construction in a graph of TOSA: how codes are held, what its operands are, constants that broadcast.

unsigned codes    int8, 128 less, with zero point -128: padding is code 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ...network.int_network import IntLayer, IntNetwork
from ...ops.window import output_hw
from .graph import Array, Graph, Tensor

ZERO = 128  # what an unsigned code exceeds the byte by that holds it


def signed(codes: Array) -> Array:
    """Codes as a graph holds them: unsigned ones 128 less, int8.

    >>> signed(np.array([0, 255], np.uint8)), signed(np.array([-3], np.int8))
    (array([-128,  127], dtype=int8), array([-3], dtype=int8))
    """
    return (codes.astype(np.int16) - ZERO).astype(np.int8) if codes.dtype == np.uint8 else codes


def unsigned(codes: Array) -> Array:
    """The unsigned codes that ``signed`` took 128 from."""
    return (codes.astype(np.int16) + ZERO).astype(np.uint8)


class Building:
    """One layer under construction; ``made``: tensors of the graph that hold codes of layers, or (None) the pixels."""

    def __init__(
        self,
        network: IntNetwork,
        layer: IntLayer,
        images: int,
        graph: Graph,
        made: Mapping[str | None, Tensor] = MappingProxyType({}),
    ) -> None:
        self.network, self.layer, self.images, self.graph, self.made = network, layer, images, graph, made
        self.shape = (images, *network.shapes[layer.name])

    def operand(self, name: str | None) -> Tensor:
        """The codes of a layer, or the pixels: what is made already, or else another input."""
        if name in self.made:
            return self.made[name]
        shape = self.network.input_shape if name is None else self.network.shapes[name]
        return self.graph.input((self.images, *shape))

    def zero(self, name: str | None) -> int:
        """The byte that holds code 0 of a layer, or pixel 0."""
        return -ZERO if name is None or self.network.formats[name].dtype == np.uint8 else 0

    def wide(self, x: Tensor, name: str | None, dtype: type = np.int32) -> Tensor:
        """The integers that bytes stand for."""
        values = self.graph.cast(x, dtype)
        zero = self.zero(name)
        return self.graph.elementwise("SUB", values, self.number(zero, dtype)) if zero else values

    def number(self, value: int, dtype: type) -> Tensor:
        """A number that broadcasts to the layer's result or operands."""
        return self.graph.number(value, dtype, len(self.shape))

    def by_channel(self, array: Array) -> Tensor:
        """Numbers by channel, or one for all, that broadcast to the layer's result."""
        return self.graph.constant(array.reshape((1,) * (len(self.shape) - 1) + (-1,)))

    def biased(self, x: Tensor) -> Tensor:
        """Plus the layer's bias."""
        return self.graph.elementwise("ADD", x, self.by_channel(self.layer.constants["bias"]))

    def between(self, x: Tensor, lo: int, hi: int) -> Tensor:
        """Every number within ``lo..hi``."""
        kind, graph = x.dtype.type, self.graph
        raised = graph.elementwise("MAXIMUM", x, self.number(lo, kind), nan_mode="PROPAGATE")
        return graph.elementwise("MINIMUM", raised, self.number(hi, kind), nan_mode="PROPAGATE")

    def windows(
        self, x: Tensor, kernel: Sequence[int], attributes: Mapping[str, Any], filler: int
    ) -> tuple[Tensor, list[int]]:
        """What the windows read, and TOSA's padding of it, in its order: windows must end where the padded image ends.

        Where they do not, the image is padded beforehand, with ``filler``, and cut.
        """
        graph, sides = self.graph, x.shape[1:3]
        before, strides = attributes["pads"][:2], attributes["strides"]
        out = output_hw(sides, kernel, strides, attributes["pads"], attributes.get("ceil_mode", False))
        extent = [(count - 1) * stride + size for count, stride, size in zip(out, strides, kernel, strict=True)]
        after = [whole - side - first for whole, side, first in zip(extent, sides, before, strict=True)]
        if min(after) >= 0:
            return x, [before[0], after[0], before[1], after[1]]
        pads = [(0, 0), *((first, max(0, last)) for first, last in zip(before, after, strict=True)), (0, 0)]
        padded = graph.padded(x, pads, filler)
        shape = (x.shape[0], *extent, x.shape[3])
        return graph.part(padded, (0, 0, 0, 0), shape), [0, 0, 0, 0]


Operator = Callable[[Building, list[Tensor]], Tensor]  # appends an operator of a layer, from its operands
