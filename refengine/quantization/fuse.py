"""Which float layers become one integer layer.

    conv or fc, then batchnorm, then add, then relu      one layer: accumulate, requantize with a residual, clip
    add, mul, avgpool, global_avgpool, then relu         one layer
    batchnorm alone, then add, then relu                 one layer
    relu alone                                           a requantize layer whose clip is the ReLU

A layer joins the one before it only if nothing else reads that one.  Of an add's two operands the later one that ends
in a convolution is the accumulator, the other its residual.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ..network.float_layer import FloatLayer
from ..network.float_network import FloatNetwork

AFFINE = ("conv", "fc", "batchnorm")
ROUNDED = ("add", "mul", "avgpool", "global_avgpool", "relu")


@dataclass(frozen=True, eq=False)
class Group:
    """Float layers that one integer layer computes; ``core`` gives the operator and ``output`` names the result."""

    core: FloatLayer
    inputs: tuple[str, ...]
    output: str
    covers: tuple[str, ...]
    batchnorm: FloatLayer | None = None
    residual: str | None = None
    relu: FloatLayer | None = None

    @property
    def weighted(self) -> bool:
        """Whether the layer has weights, and sums of products that can overflow."""
        return self.core.op in ("conv", "fc")


def fuse(network: FloatNetwork) -> tuple[Group, ...]:
    """Groups in an order in which every group's inputs and residual come before it."""
    position = {layer.name: number for number, layer in enumerate(network.layers)}
    readers = _sole_readers(network)
    chains = _chains(network, readers)
    residuals = _residuals(network, chains, position)
    taken: set[str] = set()
    groups = []
    for layer in network.layers:
        if layer.name in taken:
            continue
        group = _group(layer, chains.get(layer.name, (layer,)), residuals.get(layer.name), network, readers)
        taken.update(group.covers)
        groups.append(group)
    return tuple(sorted(groups, key=lambda group: position[group.output]))


def _sole_readers(network: FloatNetwork) -> dict[str, FloatLayer]:
    """The layer that reads each layer's result, where it is the only one."""
    count = Counter(name for layer in network.layers for name in layer.inputs)
    return {name: layer for layer in network.layers for name in layer.inputs if count[name] == 1}


def _chains(network: FloatNetwork, readers: dict[str, FloatLayer]) -> dict[str, tuple[FloatLayer, ...]]:
    """Each weighted layer with the batch norm that belongs to it; a batch norm that belongs to none, alone."""
    chains: dict[str, tuple[FloatLayer, ...]] = {}
    absorbed = set()
    for layer in network.layers:
        if layer.op not in AFFINE or layer.name in absorbed:
            continue
        following = readers.get(layer.name)
        if layer.op != "batchnorm" and following is not None and following.op == "batchnorm":
            chains[layer.name] = (layer, following)
            absorbed.add(following.name)
        else:
            chains[layer.name] = (layer,)
    return chains


def _residuals(
    network: FloatNetwork, chains: Mapping[str, tuple[FloatLayer, ...]], position: Mapping[str, int]
) -> dict[str, str]:
    """The add that each weighted layer ends in: name of the weighted layer -> name of the add."""
    ends = {chain[-1].name: name for name, chain in chains.items()}
    readers = _sole_readers(network)
    found: dict[str, str] = {}
    for add in (layer for layer in network.layers if layer.op == "add"):
        fitting = [name for name in add.inputs if name in ends and readers.get(name) is add]
        if fitting:
            found[ends[max(fitting, key=position.__getitem__)]] = add.name
    return found


def _group(
    layer: FloatLayer,
    chain: tuple[FloatLayer, ...],
    add_name: str | None,
    network: FloatNetwork,
    readers: Mapping[str, FloatLayer],
) -> Group:
    covers = list(chain)
    residual = None
    if add_name is not None:
        add = next(other for other in network.layers if other.name == add_name)
        residual = next(name for name in add.inputs if name != chain[-1].name)
        covers.append(add)
    relu = layer if layer.op == "relu" else None
    following = readers.get(covers[-1].name)
    if following is not None and following.op == "relu" and layer.op in (*AFFINE, *ROUNDED) and relu is None:
        relu = following
        covers.append(following)
    return Group(
        core=layer,
        inputs=layer.inputs,
        output=covers[-1].name,
        covers=tuple(member.name for member in covers),
        batchnorm=next((member for member in chain if member.op == "batchnorm"), None),
        residual=residual,
        relu=relu,
    )
