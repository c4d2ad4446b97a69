"""Each layer alone: recomputed from the DUT's own dumped inputs, so that an error is told from its echo.

Where the DUT dumped no codes of an input, that layer is recomputed from its own inputs in turn, back to what was dumped
or to the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..engine.run import Result, run_layer
from ..engine.trace import partial_sums
from ..network.batches import batch_size
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.requantize import total
from ..ops.requantize import Draws
from .difference import Array
from .dump import Values
from .machine import Case
from .pairs import result_stage

_OTHERS = 8


class Alone:
    """Recomputes a layer from the DUT's own inputs (contract P: the network and its inputs decide every bit)."""

    def __init__(
        self,
        network: IntNetwork,
        dut_stages: Mapping[str, Mapping[str, Values]],
        images: Values | None,
        first_image: int,
    ) -> None:
        self.network = network
        self.first_image = first_image
        self._positions = {layer.name: position for position, layer in enumerate(network.layers)}
        self._dut = {name: self._codes_of(name, dut_stages.get(name, {})) for name in self._positions}
        fits = images is not None and images.shape[1:] == tuple(network.input_shape)
        self._images = images if fits else None
        self._rows = batch_size(network)

    def _codes_of(self, name: str, stages: Mapping[str, Values]) -> Values | None:
        """The DUT's codes of a layer, if they are of the network's shape."""
        layer = self.network.layer(name)
        values = stages.get(result_stage(layer))
        if values is None or values.shape[1:] != self.network.shapes[name]:
            return None
        return values

    def knows(self, layer: str) -> bool:
        """Whether the network has the layer."""
        return layer in self._positions

    @property
    def rows(self) -> int:
        """Images that fit into memory together."""
        return self._rows

    def recompute(
        self, name: str, start: int, stop: int, stages: Sequence[str], through: set[str]
    ) -> dict[str, Array] | None:
        """Stages of a layer from the DUT's inputs; None where these are not known."""
        layer = self.network.layer(name)
        inputs = self.inputs(layer, start, stop, through)
        if inputs is None:
            return None
        operands, residual = inputs
        result = self._run(layer, operands, residual, start)
        made: dict[str, Array] = {"code": result.result}
        if result.accumulator is not None:
            made["accumulator"] = result.accumulator
            if layer.requantize is not None:
                made["total"] = total(result.accumulator, layer.requantize, residual)
        if "partial_sums" in stages and layer.op in ("conv", "fc"):
            made["partial_sums"] = partial_sums(layer, operands[0])
        return {stage: made[stage] for stage in stages if stage in made}

    def inputs(
        self, layer: IntLayer, start: int, stop: int, through: set[str] | None = None
    ) -> tuple[tuple[Array, ...], Array | None] | None:
        """The codes that a layer reads, as the DUT has them: operands and residual; None where they are not known."""
        held: dict[str, Array | None] = {}
        seen = set() if through is None else through
        operands = [self._codes(name, start, stop, held, seen) for name in layer.inputs]
        if not layer.inputs:
            operands = [self._pixels(start, stop)]
        residual = None if layer.residual is None else self._codes(layer.residual, start, stop, held, seen)
        if any(operand is None for operand in operands) or (layer.residual is not None and residual is None):
            return None
        return tuple(operand for operand in operands if operand is not None), residual

    def case(self, name: str, images: range) -> Case | None:
        """A layer with the codes it read, for a diagnosis; None where these are not known."""
        layer = self.network.layer(name)
        inputs = self.inputs(layer, images.start, images.stop)
        if inputs is None:
            return None
        others = {} if layer.residual is None else self._like(layer.residual, images)
        return Case(self.network, layer, *inputs, self.first_image + images.start, others)

    def _like(self, name: str, images: range) -> dict[str, Array]:
        """Codes of some layers that could be mistaken for this one's: dumped, of its shape, and before it or near."""
        shape = self.network.shapes[name]
        alike = [other for other in self._dut if other != name and self.network.shapes[other] == shape]
        alike.sort(key=lambda other: abs(self._positions[other] - self._positions[name]))
        read = {other: self._dumped(other, images.start, images.stop) for other in alike[:_OTHERS]}
        return {other: codes for other, codes in read.items() if codes is not None}

    def _run(self, layer: IntLayer, operands: Sequence[Array], residual: Array | None, start: int) -> Result:
        draws = Draws(self._positions[layer.name], self.first_image + start)
        return run_layer(layer, operands, residual, "kernels", draws)

    def _pixels(self, start: int, stop: int) -> Array | None:
        if self._images is None or self._images.shape[0] < stop:
            return None
        pixels = self._images.read(start, stop)
        return pixels if pixels.dtype == np.uint8 else None

    def _codes(
        self, name: str, start: int, stop: int, held: dict[str, Array | None], through: set[str]
    ) -> Array | None:
        if name not in held:
            held[name] = self._dumped(name, start, stop)
            if held[name] is None and self._dut[name] is None:
                held[name] = self._recomputed(name, start, stop, held, through)
        return held[name]

    def _dumped(self, name: str, start: int, stop: int) -> Array | None:
        """The DUT's codes in the type that operators read; None where it has none, or none that fit that type."""
        values, fmt = self._dut[name], self.network.formats[name]
        if values is None or values.shape[0] < stop:
            return None
        codes = values.read(start, stop)
        if codes.dtype != fmt.dtype and (int(codes.min()) < fmt.lo or int(codes.max()) > fmt.hi):
            return None
        return np.ascontiguousarray(codes, fmt.dtype)

    def _recomputed(
        self, name: str, start: int, stop: int, held: dict[str, Array | None], through: set[str]
    ) -> Array | None:
        """Codes that the DUT did not dump, from those of its inputs, however far back these are."""
        waiting = [name]
        while waiting:
            layer = self.network.layer(waiting[-1])
            needed = [*layer.inputs, *([layer.residual] if layer.residual is not None else [])]
            missing = []
            for needed_name in needed:
                if needed_name not in held:
                    dumped = self._dumped(needed_name, start, stop)
                    if dumped is None and self._dut[needed_name] is None:
                        missing.append(needed_name)
                    else:
                        held[needed_name] = dumped
            if missing:
                waiting += missing
                continue
            waiting.pop()
            operands = [held[needed_name] for needed_name in layer.inputs] or [self._pixels(start, stop)]
            residual = None if layer.residual is None else held[layer.residual]
            present = [operand for operand in operands if operand is not None]
            if len(present) < len(operands) or (layer.residual is not None and residual is None):
                held[layer.name] = None
            else:
                held[layer.name] = self._run(layer, present, residual, start).result
            through.add(layer.name)
        return held[name]
