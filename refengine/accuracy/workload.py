"""What each layer of a network has to do for one image, and with which weights: all that its cost depends on.

Layers are those of the integer network.  Of a float network they are the ones that ``quantize`` would make of it, batch
norms, additions and ReLUs taken in by the convolution before them, with the formats of a default ``Scheme``; requantize
layers that only a calibration can ask for are not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ..network.activations import ACTIVATIONS
from ..network.float_network import FloatNetwork, shapes
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import INT8_WEIGHT, TERNARY
from ..numbers.requantize import Requantize
from ..ops import OPS
from ..ops.conv import clusters_of
from ..quantization.fuse import AFFINE, Group, fuse
from ..quantization.scheme import Scheme

FLOAT32 = "float32"
WITHOUT_SCALES = (INT8_WEIGHT.name, FLOAT32)
_LOGITS = ("conv", "fc", "avgpool", "global_avgpool")  # whose accumulators may be the logits


@dataclass(frozen=True)
class Filters:
    """The weights of a conv or fc: ``inputs`` channels that an output sums over, ``taps`` KH*KW, ``pixels`` OH*OW.

    ``nonzero`` codes and ``live`` clusters (with any such code) are None where no codes are known.
    """

    outputs: int
    inputs: int
    taps: int
    pixels: int
    format: str
    cluster: int
    nonzero: int | None = None
    live: int | None = None

    @property
    def codes(self) -> int:
        """How many weights there are."""
        return self.outputs * self.inputs * self.taps

    @property
    def clusters(self) -> int:
        """How many of them share a scale: O * G; 0 where there are no scales."""
        if self.format in WITHOUT_SCALES:
            return 0
        return self.outputs * clusters_of(self.inputs, self.cluster)


@dataclass(frozen=True)
class Workload:
    """One layer: how many numbers it reads and writes for an image, how many it holds, and its filters if it has any.

    ``floats``: its numbers are float32.  ``raw``: it writes accumulators, the logits.  ``signs``: of a batch norm that
    no convolution takes in.  ``multiplier_bytes``: of one multiplier.
    """

    name: str
    op: str
    reads: int
    writes: int
    filters: Filters | None = None
    floats: bool = False
    raw: bool = False
    biases: int = 0
    signs: int = 0
    multipliers: int = 0
    shifts: int = 0
    multiplier_bytes: int = 1

    def with_weights(self, fmt: str, cluster: int) -> "Workload":
        """The layer with weights of another format or cluster size, whose codes nobody knows."""
        filters = self.filters
        if filters is not None:
            cluster = min(cluster, filters.inputs)
            filters = replace(filters, format=fmt, cluster=cluster, nonzero=None, live=None)
        return replace(self, filters=filters, floats=fmt == FLOAT32)


Layers = tuple[Workload, ...]


def workloads(network: IntNetwork | FloatNetwork) -> Layers:
    """The layers of a network in execution order."""
    if isinstance(network, IntNetwork):
        return tuple(_of_layer(network, layer) for layer in network.layers)
    return _of_groups(network)


def _of_layer(network: IntNetwork, layer: IntLayer) -> Workload:
    operands = [*layer.inputs, *([] if layer.residual is None else [layer.residual])]
    multipliers, multiplier_bytes, shifts = _rescaling(layer.requantize)
    return Workload(
        layer.name,
        layer.op,
        reads=sum(prod(network.shapes[name]) for name in operands) if operands else prod(network.input_shape),
        writes=prod(network.shapes[layer.name]),
        filters=_filters_of(layer, network.shapes[layer.name]),
        raw=layer.requantize is None and OPS[layer.op].ACCUMULATES,
        biases=layer.constants["bias"].size if "bias" in layer.constants else 0,
        signs=layer.constants["sign"].size if "sign" in layer.constants else 0,
        multipliers=multipliers,
        multiplier_bytes=multiplier_bytes,
        shifts=shifts,
    )


def _rescaling(step: Requantize | None) -> tuple[int, int, int]:
    """How many multipliers, in how many bytes each, and how many shifts a requantization holds."""
    if step is None:
        return 0, 1, 0
    aligned = 0 if step.residual_shift is None else step.residual_shift.size
    bits = int(step.multiplier.max()).bit_length()
    return step.multiplier.size, max(1, -(-bits // 8)), step.shift.size + aligned


def _filters_of(layer: IntLayer, shape: tuple[int, ...]) -> Filters | None:
    if "weight" not in layer.constants:
        return None
    weight = layer.constants["weight"]
    outputs, inputs, *kernel = weight.shape
    cluster = int(str(layer.attributes["cluster"]))
    ends = range(0, inputs, cluster)
    there = np.add.reduceat(weight.reshape(outputs, inputs, -1) != 0, ends, axis=1, dtype=np.int64)
    return Filters(
        outputs,
        inputs,
        prod(kernel),
        prod(shape[:-1]),
        str(layer.weight_format),
        cluster,
        nonzero=int(there.sum()),
        live=int(np.count_nonzero(there.any(axis=2))),
    )


def _of_groups(network: FloatNetwork) -> Layers:
    groups = fuse(network)
    found, formats = shapes(network), _formats(groups)
    return tuple(_of_group(network, group, found, formats, group is groups[-1]) for group in groups)


def _formats(groups: tuple[Group, ...]) -> dict[str, str]:
    """The default scheme's formats: the first and the last layer with weights have their own."""
    scheme, names = Scheme(), [group.core.name for group in groups if group.weighted]
    ends = (("first", names[:1]), ("last", names[-1:]))
    return {name: scheme.format_of(name, tuple(role for role, end in ends if name in end)) for name in names}


def _of_group(
    network: FloatNetwork, group: Group, found: Mapping[str, tuple[int, ...]], formats: Mapping[str, str], last: bool
) -> Workload:
    operands = [*group.inputs, *([] if group.residual is None else [group.residual])]
    shape, op = found[group.output], group.core.op
    filters = None
    if group.weighted:
        outputs, inputs, *kernel = group.core.constants["weight"].shape
        fmt = formats[group.core.name]
        filters = Filters(outputs, inputs, prod(kernel), prod(shape[:-1]), fmt, min(Scheme().cluster, inputs))
    raw = last and group.relu is None and group.residual is None and op in _LOGITS
    channels = shape[-1] if op in (*AFFINE, "input") else 0
    passes = op in OPS and not OPS[op].ACCUMULATES
    factors = 0 if raw or passes else channels or 1
    return Workload(
        group.core.name,
        {"relu": "requantize", **dict.fromkeys(ACTIVATIONS, "lookup")}.get(op, op),
        reads=sum(prod(found[name]) for name in operands) if operands else prod(network.input_shape),
        writes=prod(shape),
        filters=filters,
        raw=raw,
        biases=channels,
        signs=channels if op == "batchnorm" else 0,
        multipliers=factors,
        shifts=factors * (1 if group.residual is None else 2),
    )


# ------------------------------------------------------------------------------------------------- with other weights


def in_clusters(layers: Layers, cluster: int) -> Layers:
    """The same formats, every layer that has scales in clusters of ``cluster``."""
    return tuple(
        layer.with_weights(layer.filters.format, cluster) if layer.filters and layer.filters.clusters else layer
        for layer in layers
    )


def in_format(layers: Layers, fmt: str) -> Layers:
    """Another format in every layer that has scales; ``int8`` and ``float32``, which have none, in every layer."""
    everywhere = fmt in WITHOUT_SCALES
    return tuple(
        layer.with_weights(fmt, layer.filters.cluster if layer.filters else 1)
        if everywhere or (layer.filters and layer.filters.clusters)
        else layer
        for layer in layers
    )


def as_the_paper_counts(layers: Layers, cluster: int) -> Layers:
    """The first layer with weights in 8 bits, all others ternary in clusters of ``cluster``."""
    first = next((layer for layer in layers if layer.filters), None)
    return tuple(layer.with_weights(INT8_WEIGHT.name if layer is first else TERNARY.name, cluster) for layer in layers)
