"""Where a C model keeps what it computes: one structure, the arena, whose size is known before it runs.

Codes of tensors that are alive at one time lie side by side, and a place is used again once its tensor has been read
for the last time.  Beside them stand the sums of one layer: of a few pixels, or of all of them where the exponent is
dynamic (contract D6).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ...engine.fast.buffers import first_fit, lifetimes
from ...errors import RangeError
from ...network.int_network import IntLayer, IntNetwork
from ...ops import OPS

MOST = 2**31
PIXELS = 16
"""Output pixels of a convolution that are computed together."""


@dataclass(frozen=True)
class Memory:
    """The arena: elements of each of its arrays, and the place of each layer's codes in ``codes``."""

    offsets: dict[str, int]
    codes: int
    totals: int
    accumulators: int
    row: int
    patch: int
    layers: int

    @property
    def bytes(self) -> int:
        """Size of the structure, its arrays one after the other from the widest type to the narrowest."""
        size = 8 * self.totals + 4 * (self.accumulators + self.row) + 2 * self.patch + self.codes + self.layers
        return -(-size // 8) * 8


def memory(network: IntNetwork) -> Memory:
    """The arena that one image takes; RangeError for one of 2 GiB or more, whose places 32 bits could not count."""
    made = _memory(network)
    if made.bytes >= MOST:
        raise RangeError(f"one image takes {made.bytes} bytes in C, needed less than {MOST}")
    return made


def _memory(network: IntNetwork) -> Memory:
    sizes = {layer.name: _code_bytes(network, layer) for layer in network.layers}
    offsets = first_fit(sizes, lifetimes(network, frozenset()))
    channels = max(shape[-1] for shape in network.shapes.values())
    return Memory(
        offsets=offsets,
        codes=max(1, *(offsets[name] + size for name, size in sizes.items())),
        totals=channels,
        accumulators=max(_sums(network, layer) for layer in network.layers),
        row=channels,
        patch=max(_patch(layer) for layer in network.layers),
        layers=len(network.layers),
    )


def _code_bytes(network: IntNetwork, layer: IntLayer) -> int:
    """A byte a code; the last layer's sums and codes go where the logits go."""
    last = layer is network.layers[-1]
    return 0 if last and OPS[layer.op].ACCUMULATES else prod(network.shapes[layer.name])


def _sums(network: IntNetwork, layer: IntLayer) -> int:
    shape = network.shapes[layer.name]
    if layer.requantize is not None and layer.requantize.dynamic:
        return prod(shape)
    return shape[-1] * (PIXELS if layer.op == "conv" else 1)


def _patch(layer: IntLayer) -> int:
    """Values that the windows of a convolution's pixels, or a fully connected layer, read at a time."""
    if "weight" not in layer.constants:
        return 1
    return prod(layer.constants["weight"].shape[1:]) * (PIXELS if layer.op == "conv" else 1)
