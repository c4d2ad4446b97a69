"""Run an IntNetwork: one loop over its layers, nothing but integers.

For each layer: accumulate, confine to the accumulator, requantize with the residual if there is one.  ``backend`` is
``reference`` (the NumPy definitions) or ``kernels`` (Numba); both give the same bits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import RangeError, RefengineError
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.accumulator import confine
from ..numbers.requantize import values
from ..ops import OPS, requantize
from ..ops.requantize import NO_DRAWS, Draws

BACKENDS = ("reference", "kernels")

_REQUANTIZE = {
    "reference": (requantize.coarser_reference, requantize.rescale_reference),
    "kernels": (requantize.coarser_kernels, requantize.rescale_kernels),
}


@dataclass(frozen=True, eq=False)
class Result:
    """What one layer computed for a batch.

    result: codes or (last layer) int32 logits.  accumulator int32, None where codes pass through.  residual: what was
    added.  saturated: values clipped to the format, low and high.  overflowed: sums that did not fit into a narrow
    accumulator.  coarser int64 (N): what each image adds to the layer's exponent, None where exponents are static.
    """

    result: np.ndarray
    accumulator: np.ndarray | None = None
    residual: np.ndarray | None = None
    saturated: tuple[int, int] = (0, 0)
    overflowed: int = 0
    coarser: np.ndarray | None = None

    @property
    def values(self) -> np.ndarray:
        """What later layers compute with: the codes, each worth 2**exponent of the layer again (contract D4)."""
        return values(self.result, self.coarser)


Observer = Callable[[IntLayer, Sequence[np.ndarray], Result], None]


def run_layer(
    layer: IntLayer,
    operands: Sequence[np.ndarray],
    residual: np.ndarray | None = None,
    backend: str = "kernels",
    draws: Draws = NO_DRAWS,
) -> Result:
    """One layer on the integers it reads (contract A, Q, D4)."""
    op = OPS[layer.op]
    value = getattr(op, backend)(*operands, **layer.arguments)
    if not op.ACCUMULATES:
        return Result(value)
    accumulator, overflowed = value, 0
    if layer.accumulator_bits < 32:
        accumulator, overflowed = confine(value, layer.accumulator_bits, layer.accumulator_policy)
    if layer.requantize is None:
        return Result(accumulator, accumulator, overflowed=overflowed)
    choose, rescale = _REQUANTIZE[backend]
    coarser = choose(accumulator, layer.requantize, residual)
    codes, saturated = rescale(accumulator, layer.requantize, residual, draws, coarser)
    return Result(codes, accumulator, residual, saturated, overflowed, coarser)


def run(
    network: IntNetwork,
    images: np.ndarray,
    backend: str = "kernels",
    observe: Observer | None = None,
    first_image: int = 0,
) -> np.ndarray:
    """Push a batch of images through the network; uint8 (N, H, W, C) -> logits int32 (N, classes) (contract L1).

    ``observe(layer, operands, result)`` sees every layer.  ``first_image`` is the batch's position in the run, which
    only stochastic rounding looks at.  RangeError for images of another type or shape or an unknown backend.
    """
    check_images(network, images)
    if backend not in BACKENDS:
        raise RangeError(f"backend {backend!r} is unknown; available: {', '.join(BACKENDS)}")
    last_reader = {name: layer.name for layer in network.layers for name in _reads(layer)}
    results: dict[str, Result] = {}
    for position, layer in enumerate(network.layers):
        operands = _operands(layer, results) or [images]
        residual = None if layer.residual is None else results[layer.residual].values
        try:
            result = run_layer(layer, operands, residual, backend, Draws(position, first_image))
        except RefengineError as error:
            raise type(error)(f"layer {layer.name!r} ({layer.op}): {error}") from error
        if not OPS[layer.op].ACCUMULATES:
            result = replace(result, coarser=results[layer.inputs[0]].coarser)
        if observe is not None:
            observe(layer, operands, result)
        results[layer.name] = replace(result, accumulator=None, residual=None)
        for name in _reads(layer):
            if last_reader[name] == layer.name:
                results.pop(name, None)
    return results[network.layers[-1].name].result.reshape(len(images), -1).astype(np.int32)


def _operands(layer: IntLayer, results: Mapping[str, Result]) -> list[np.ndarray]:
    """What a layer reads: values where it computes with them, codes where it passes them on (contract D4, D5)."""
    read = [results[name] for name in layer.inputs]
    return [one.values if OPS[layer.op].ACCUMULATES else one.result for one in read]


def check_images(network: IntNetwork, images: np.ndarray) -> None:
    """RangeError unless images are uint8 (N, H, W, C) of the network's size, at least one."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != tuple(network.input_shape):
        raise RangeError(
            f"images are {images.dtype} of shape {images.shape[1:]}, "
            f"the network reads uint8 of shape {tuple(network.input_shape)}"
        )
    if not len(images):
        raise RangeError("0 images are to be run, needed at least 1")


def _reads(layer: IntLayer) -> tuple[str, ...]:
    return layer.inputs if layer.residual is None else (*layer.inputs, layer.residual)
