"""Part of a float network: its tensors at one layer, and the rest from there on with another result of that layer.

Layers run in the order of the network, so the rest needs no more than what is read after the layer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import NetworkError
from .float_network import FloatNetwork
from .forward import OPERATORS, Array, flatten, normalise

_BATCH = 16


def tensors_at(network: FloatNetwork, images: Array, name: str) -> dict[str, Array]:
    """Tensors of uint8 images (N, H, W, C), float32 (N, ...), that ``name`` or a later layer reads, and its own.

    NetworkError where there is no such layer or a layer gives NaN or infinity.
    """
    last = _place(network, name)
    before, after = network.layers[: last + 1], network.layers[last:]
    read = {operand for layer in after for operand in layer.inputs}
    wanted = [layer.name for layer in before if layer.name in read or layer.name == name]
    parts: dict[str, list[Array]] = {kept: [] for kept in wanted}
    for start in range(0, len(images), _BATCH):
        tensors = _run(network, {}, images[start : start + _BATCH], 0, last + 1)
        for kept in wanted:
            parts[kept].append(tensors[kept])
    return {kept: np.concatenate(part) for kept, part in parts.items()}


def resumed(network: FloatNetwork, tensors: Mapping[str, Array], name: str) -> Array:
    """Logits float32 (N, classes) from ``tensors_at`` of layer ``name``, whose own tensor may be another one."""
    first, count = _place(network, name) + 1, len(tensors[name])
    logits = []
    for start in range(0, count, _BATCH):
        part = {kept: tensor[start : start + _BATCH] for kept, tensor in tensors.items()}
        made = _run(network, part, None, first, len(network.layers))
        logits.append(flatten(network.layers[-1], made[network.layers[-1].name]))
    return np.concatenate(logits)


def _place(network: FloatNetwork, name: str) -> int:
    for number, layer in enumerate(network.layers):
        if layer.name == name:
            return number
    raise NetworkError(f"network {network.name!r} has no layer {name!r}")


def _run(
    network: FloatNetwork, tensors: Mapping[str, Array], images: Array | None, start: int, stop: int
) -> dict[str, Array]:
    """The tensors given and those of layers ``start`` to ``stop`` - 1."""
    made = dict(tensors)
    for layer in network.layers[start:stop]:
        operands = [made[operand] for operand in layer.inputs]
        if not operands and images is not None:
            operands = [normalise(network, images)]
        with np.errstate(over="ignore", invalid="ignore"):
            tensor = OPERATORS[layer.op](layer, *operands)
        if not np.isfinite(tensor).all():
            raise NetworkError(f"layer {layer.name!r} ({layer.op}) gives NaN or infinity for some image")
        made[layer.name] = tensor
    return made
