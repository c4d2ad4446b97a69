"""The paper's accounting: how many multiplications of a network become additions.

A convolution has one multiply-accumulate (MAC) for each weight and output pixel.  With ternary codes a cluster's taps
are added and subtracted, and one multiplication by the cluster's scale is left for each output: O * G * OH * OW.  Other
weight formats keep every multiplication; so does the first convolution, which counts as 8-bit.  An addition goes with
each MAC in every format, zero codes counted as the paper counts them.  Pooling, residuals and requantization are not
counted: they are the same whatever the format of the weights.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import TERNARY
from ..ops.conv import clusters_of


@dataclass(frozen=True)
class LayerCost:
    """One weighted layer's operations for one image."""

    name: str
    op: str
    format: str
    macs: int
    multiplications: int
    additions: int

    @property
    def replaced(self) -> float:
        """Share of the multiplications that became additions, 0..1."""
        return 1 - self.multiplications / self.macs


@dataclass(frozen=True)
class NetworkCost:
    """The weighted layers of a network, and their sums."""

    layers: tuple[LayerCost, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def multiplications(self) -> int:
        """Multiplications that are left."""
        return sum(layer.multiplications for layer in self.layers)

    @property
    def additions(self) -> int:
        """Additions and subtractions."""
        return sum(layer.additions for layer in self.layers)

    @property
    def multiplications_replaced(self) -> float:
        """Share of the network's multiplications that became additions, 0..1; 0 where it has none."""
        return 1 - self.multiplications / self.macs if self.macs else 0.0

    def as_json(self) -> dict[str, Any]:
        """Sums and layers in types that JSON knows."""
        sums = {name: getattr(self, name) for name in ("macs", "multiplications", "additions")}
        layers = [{**vars(layer), "replaced": layer.replaced} for layer in self.layers]
        return {**sums, "multiplications_replaced": self.multiplications_replaced, "layers": layers}


def macs(inputs: int, outputs: int, taps: int, pixels: int) -> int:
    """MACs of a layer: ``inputs`` channels an output sums over, ``taps`` KH*KW of a filter, ``pixels`` OH*OW."""
    return inputs * outputs * taps * pixels


def ternary_multiplications(inputs: int, outputs: int, pixels: int, cluster: int) -> int:
    """Multiplications of a ternary layer: one for each cluster and output.

    >>> 1 - ternary_multiplications(64, 64, 56 * 56, 4) / macs(64, 64, 9, 56 * 56)      # 1 - 1/(4 * 3 * 3)
    0.9722222222222222
    """
    return clusters_of(inputs, cluster) * outputs * pixels


def network_cost(network: IntNetwork) -> NetworkCost:
    """Count the operations of every layer that has weights."""
    weighted = [layer for layer in network.layers if "weight" in layer.constants]
    return NetworkCost(tuple(layer_cost(layer, network.shapes[layer.name]) for layer in weighted))


def layer_cost(layer: IntLayer, shape: tuple[int, ...]) -> LayerCost:
    """Count one layer with weights, whose result has ``shape`` (OH, OW, O) or (O,)."""
    outputs, inputs, *kernel = layer.constants["weight"].shape
    pixels = prod(shape[:-1])
    products = macs(inputs, outputs, prod(kernel), pixels)
    left = products
    if layer.weight_format == TERNARY.name:
        left = ternary_multiplications(inputs, outputs, pixels, int(str(layer.attributes["cluster"])))
    return LayerCost(layer.name, layer.op, str(layer.weight_format), products, left, products)
