"""What a network costs for one image: the paper's accounting of multiplications, the bytes that it holds and moves.

A convolution has one multiply-accumulate (MAC) for each weight and output pixel.  With ternary codes a cluster's taps
are added and subtracted, and one multiplication by the cluster's scale is left for each output: O * G * OH * OW.  8-bit
weights keep every multiplication, as in the first convolution, which counts as 8-bit; so do 4-bit codes, whose clusters
have scales to be multiplied by on top.  An addition goes with each MAC in every format: n taps of a cluster take n - 1,
and one more takes their sum to the accumulator, which starts at the bias.  Zero codes and padding are counted as the
paper counts them; ``without_zeros`` leaves out the zero codes, and the clusters that hold nothing else.  Pooling,
residuals and requantization are not counted: they are the same whatever the format of the weights.

Source: Mellempudi et al. 2017, Mixed Low-precision Deep Learning Inference using Dynamic Fixed Point, read so that its
figures for ResNet-101 come out.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ..network.float_network import FloatNetwork
from ..network.int_network import IntNetwork
from ..numbers.formats import INT32, TERNARY, WEIGHT_FORMATS
from .workload import Filters, Workload, workloads

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Counts:
    """Operations: ``products`` of activation and weight code, ``scalings`` of a cluster's sum, ``additions``."""

    products: int = 0
    scalings: int = 0
    additions: int = 0

    @property
    def multiplications(self) -> int:
        """All of them, whatever the width of what is multiplied."""
        return self.products + self.scalings


@dataclass(frozen=True)
class Storage:
    """Bytes of the constants: packed weight codes, scales, biases, multipliers, shifts."""

    codes: int = 0
    scales: int = 0
    biases: int = 0
    multipliers: int = 0
    shifts: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(vars(self).values())

    def __add__(self, other: "Storage") -> "Storage":
        return Storage(**{name: size + getattr(other, name) for name, size in vars(self).items()})


@dataclass(frozen=True)
class LayerCost:
    """One layer's operations and bytes for one image.

    ``format`` is None in layers without weights, ``cluster`` where there are no scales, ``without_zeros`` where the
    codes are not known.
    """

    name: str
    op: str
    format: str | None
    cluster: int | None
    macs: int
    counts: Counts
    without_zeros: Counts | None
    storage: Storage
    bytes_read: int
    bytes_written: int

    @property
    def multiplications(self) -> int:
        """Multiplications that are left."""
        return self.counts.multiplications

    @property
    def additions(self) -> int:
        """Additions and subtractions."""
        return self.counts.additions

    @property
    def replaced(self) -> float:
        """Share of the MACs that need no multiplication, at most 1; below 0 where scales come on top of products."""
        return 1 - self.multiplications / self.macs if self.macs else 0.0

    def as_json(self) -> dict[str, Any]:
        """Everything, in types that JSON knows."""
        return {
            **asdict(self),
            "multiplications": self.multiplications,
            "additions": self.additions,
            "replaced": self.replaced,
        }


@dataclass(frozen=True)
class NetworkCost:
    """The layers of a network, and their sums."""

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
    def additions_without_zeros(self) -> int | None:
        """Additions and subtractions of codes that are not 0; None where the codes are not known."""
        known = [layer.without_zeros for layer in self.layers]
        return None if None in known else sum(counts.additions for counts in known if counts)

    @property
    def multiplications_replaced(self) -> float:
        """Share of the network's MACs that need no multiplication, at most 1; 0 where it has no MACs.

        Below 0 where there are more multiplications than MACs: 4-bit codes take one each, and their scales others.
        """
        return 1 - self.multiplications / self.macs if self.macs else 0.0

    @property
    def storage(self) -> Storage:
        """Bytes of all constants."""
        return sum((layer.storage for layer in self.layers), Storage())

    @property
    def bytes_moved(self) -> int:
        """Bytes of activations that the layers read and write, each once."""
        return sum(layer.bytes_read + layer.bytes_written for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """Sums and layers in types that JSON knows."""
        names = ("macs", "multiplications", "additions", "additions_without_zeros", "multiplications_replaced")
        sums = {name: getattr(self, name) for name in names}
        sums |= {"storage": {**asdict(self.storage), "total": self.storage.total}, "bytes_moved": self.bytes_moved}
        return {**sums, "layers": [layer.as_json() for layer in self.layers]}


def macs(inputs: int, outputs: int, taps: int, pixels: int) -> int:
    """MACs of a layer: ``inputs`` channels an output sums over, ``taps`` KH*KW of a filter, ``pixels`` OH*OW."""
    return inputs * outputs * taps * pixels


def ternary_multiplications(inputs: int, outputs: int, pixels: int, cluster: int) -> int:
    """Multiplications of a ternary layer: one for each cluster and output.

    >>> 1 - ternary_multiplications(64, 64, 56 * 56, 4) / macs(64, 64, 9, 56 * 56)      # 1 - 1/(4 * 3 * 3)
    0.9722222222222222
    """
    return Filters(outputs, inputs, 1, pixels, TERNARY.name, cluster).clusters * pixels


def network_cost(network: IntNetwork | FloatNetwork) -> NetworkCost:
    """Count the operations and bytes of every layer; of a float network as a default scheme would quantize it."""
    return cost_of(workloads(network))


def cost_of(layers: Iterable[Workload]) -> NetworkCost:
    """The cost of layers with whatever weights they have."""
    return NetworkCost(tuple(map(layer_cost, layers)))


def layer_cost(layer: Workload) -> LayerCost:
    """Count one layer."""
    filters = layer.filters
    width, end = (FLOAT_BYTES, FLOAT_BYTES) if layer.floats else (1, INT32.bits // 8 if layer.raw else 1)
    return LayerCost(
        layer.name,
        layer.op,
        filters.format if filters else None,
        filters.cluster if filters and filters.clusters else None,
        macs(filters.inputs, filters.outputs, filters.taps, filters.pixels) if filters else 0,
        _counts(filters, filters.codes, filters.clusters) if filters else Counts(),
        _without_zeros(filters),
        _storage(layer),
        bytes_read=layer.reads * (1 if layer.op == "input" else width),
        bytes_written=layer.writes * end,
    )


def _counts(filters: Filters, codes: int, clusters: int) -> Counts:
    """The operations of so many codes and clusters, at every pixel."""
    products = 0 if filters.format == TERNARY.name else codes
    return Counts(products * filters.pixels, clusters * filters.pixels, codes * filters.pixels)


def _without_zeros(filters: Filters | None) -> Counts | None:
    if filters is None:
        return Counts()
    if filters.nonzero is None or filters.live is None:
        return None
    return _counts(filters, filters.nonzero, filters.live if filters.clusters else 0)


def _storage(layer: Workload) -> Storage:
    """Codes packed to their bits, everything else in whole bytes; in floats a batch norm is folded into the weights."""
    codes, filters = (layer.filters.codes if layer.filters else 0) + layer.signs, layer.filters
    if layer.floats:
        return Storage(codes=FLOAT_BYTES * codes, biases=FLOAT_BYTES * layer.biases)
    bits = WEIGHT_FORMATS[filters.format].bits if filters else TERNARY.bits
    return Storage(
        codes=-(-codes * bits // 8),
        scales=filters.clusters if filters else 0,
        biases=INT32.bits // 8 * layer.biases,
        multipliers=layer.multiplier_bytes * layer.multipliers,
        shifts=layer.shifts,
    )
