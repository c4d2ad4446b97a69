"""The float network beside the walk: what its layers give on the calibration images, as far as it is still needed."""

import numpy as np

from ..network.float_network import FloatNetwork
from ..network.forward import OPERATORS, normalise


class FloatSide:
    """Float tensors of all calibration images, float32 (N, ..., C), computed when asked for.

    ``keep`` frees what no later group reads, as the walk does with its codes; a tensor is computed once.
    """

    def __init__(self, network: FloatNetwork, images: np.ndarray) -> None:
        self._images, self._network = images, network
        self._layers = {layer.name: layer for layer in network.layers}
        self._tensors: dict[str, np.ndarray] = {}

    def output(self, name: str) -> np.ndarray:
        """What the float layer ``name`` gives."""
        if name not in self._tensors:
            layer = self._layers[name]
            operands = [self.output(operand) for operand in layer.inputs]
            operands = operands or [normalise(self._network, self._images)]
            self._tensors[name] = OPERATORS[layer.op](layer, *operands)
        return self._tensors[name]

    def keep(self, names: set[str]) -> None:
        """Forget every tensor but these."""
        for name in set(self._tensors) - names:
            del self._tensors[name]
