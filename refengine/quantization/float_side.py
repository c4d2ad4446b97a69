"""The float network beside the walk: what its layers give on the calibration images, as far as it is still needed."""

import numpy as np

from ..network.float_network import FloatNetwork, shapes
from ..network.forward import OPERATORS, images_a_product, normalise
from .blocks import by_blocks

_BLOCK = 16  # images


class FloatSide:
    """Float tensors of all calibration images, float32 (N, ..., C), computed when asked for, by ``threads``.

    ``keep`` frees what no later group reads, as the walk does with its codes; a tensor is computed once.
    """

    def __init__(self, network: FloatNetwork, images: np.ndarray, threads: int = 1) -> None:
        self._images, self._network, self._threads = images, network, threads
        self._layers = {layer.name: layer for layer in network.layers}
        self._shapes = shapes(network)
        self._tensors: dict[str, np.ndarray] = {}

    def output(self, name: str) -> np.ndarray:
        """What the float layer ``name`` gives."""
        if name not in self._tensors:
            self._tensors[name] = self._computed(name)
        return self._tensors[name]

    def _computed(self, name: str) -> np.ndarray:
        layer = self._layers[name]
        operands = [self.output(operand) for operand in layer.inputs]
        tensor = np.empty((len(self._images), *self._shapes[name]), np.float32)

        def block(images: slice) -> None:
            parts = [operand[images] for operand in operands] or [normalise(self._network, self._images[images])]
            tensor[images] = OPERATORS[layer.op](layer, *parts)

        by_blocks(block, len(tensor), self._images_a_block(name), self._threads)
        return tensor

    def _images_a_block(self, name: str) -> int:
        """Blocks at whose ends no product of matrices is divided, so that threads change nothing."""
        layer = self._layers[name]
        if layer.op == "conv":
            return images_a_product(layer, self._shapes[name][:2])
        return len(self._images) if layer.op == "fc" else _BLOCK

    def keep(self, names: set[str]) -> None:
        """Forget every tensor but these."""
        for name in set(self._tensors) - names:
            del self._tensors[name]

    def with_images(self, images: np.ndarray) -> "FloatSide":
        """The same tensors of these images too, which come after the others: uint8 (M, H, W, C)."""
        kept = {name: [tensor] for name, tensor in self._tensors.items()}
        for start in range(0, len(images), _BLOCK * self._threads):
            part = FloatSide(self._network, images[start : start + _BLOCK * self._threads], self._threads)
            for name, tensors in kept.items():
                tensors.append(part.output(name))
        side = FloatSide(self._network, np.concatenate([self._images, images]), self._threads)
        side._tensors.update({name: np.concatenate(tensors) for name, tensors in kept.items()})
        return side
