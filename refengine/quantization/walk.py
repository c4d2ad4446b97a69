"""The records of a quantization: where it stands before a group, and what is made of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True, eq=False)
class Made:
    """The integer layers of a group in execution order, and the codes that the last gives; None for logits."""

    layers: tuple[IntLayer, ...]
    tensor: Tensor | None


@dataclass(frozen=True, eq=False)
class Walk:
    """Where the walk stands: what is decided, how many layers were made, the tensors that later layers still read.

    moments: what the float layers with weights give, where they have no batch norm that normalises.  seen: how many
    images the tensors hold, of all images and then of their further views, one view after the other.
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
    made: int = 0
    seen: int = 0
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def views(self) -> int:
        """How many views of the images the tensors hold, the last one perhaps of some images alone."""
        return -(-self.seen // len(self.images))

    def name(self, group_name: str) -> str:
        """The name of the layer that is made next."""
        return f"{self.made:03d}_{stem(group_name)}"

    def after(self, layers: Sequence[IntLayer]) -> "Walk":
        """Where the walk stands when these layers of a group are made."""
        return replace(self, made=self.made + len(layers))

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


def sign_of(*tensors: Tensor) -> CodeFormat:
    """UINT8 where nothing can be negative."""
    return UINT8 if all(tensor.format == UINT8 for tensor in tensors) else INT8
