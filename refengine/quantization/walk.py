"""Where a quantization stands: what is decided, what was made, which tensors later layers still read."""

from dataclasses import dataclass, field

import numpy as np

from ..network.float_network import FloatNetwork
from ..network.int_network import IntLayer
from ..numbers.formats import INT8, UINT8, CodeFormat
from .float_side import FloatSide
from .fold import Moments
from .fuse import Group
from .plan import Weights
from .scheme import Scheme, stem


@dataclass(frozen=True, eq=False)
class Tensor:
    """Codes of all calibration images at one point of the network."""

    layer: str
    codes: np.ndarray
    exponent: int
    format: CodeFormat
    lo: int
    hi: int


@dataclass(eq=False)
class Walk:
    """Where the walk stands: what is decided, what was made, and the tensors that later layers still read.

    moments: what the float layers with weights give, where they have no batch norm that normalises.
    """

    network: FloatNetwork
    scheme: Scheme
    images: np.ndarray
    groups: tuple[Group, ...]
    reestimate: bool
    formats: dict[str, Weights]
    moments: dict[str, Moments]
    threads: int
    float_side: FloatSide
    not_normalising: tuple[str, ...] = ()
    layers: list[IntLayer] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def name(self, group_name: str) -> str:
        """The name of the layer that is made next."""
        return f"{len(self.layers):03d}_{stem(group_name)}"

    def last(self, group: Group) -> bool:
        """Whether the group gives the logits."""
        return group is self.groups[-1]


def new_layer(walk: Walk, group: Group, op: str) -> IntLayer:
    """The group's integer layer, still without its constants, exponent and requantization."""
    scheme = walk.scheme
    return IntLayer(
        name=walk.name(group.core.name),
        op=op,
        inputs=tuple(walk.tensors[name].layer for name in group.inputs),
        exponent=0,
        accumulator_bits=scheme.accumulator_bits if group.weighted else 32,
        accumulator_policy=scheme.accumulator_policy if group.weighted and scheme.accumulator_bits < 32 else "error",
        covers=group.covers,
    )


def append(walk: Walk, group: Group, layer: IntLayer, tensor: Tensor | None) -> None:
    """Put a finished layer into the network, and its codes where later layers find them."""
    walk.layers.append(layer)
    if tensor is not None:
        walk.tensors[group.output] = tensor


def sign_of(*tensors: Tensor) -> CodeFormat:
    """UINT8 where nothing can be negative."""
    return UINT8 if all(tensor.format == UINT8 for tensor in tensors) else INT8
