"""Each layer alone: recomputed from the DUT's own dumped inputs, so that an error is told from propagated errors.

Where the DUT dumped no codes of an input, that layer is recomputed from its own inputs in turn, back to what was dumped
or to the images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...engine.run import Result, run_layer
from ...errors import FileError
from ...network.batches import batch_size
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.requantize import total
from ...ops.requantize import Draws
from ...runs.trace import partial_sums
from ..diagnose.machine import Case
from ..dumps.difference import Array
from ..dumps.dump import Values
from .pairs import marks_in, result_stage

_OTHERS = 8


class Alone:
    """Recomputes a layer from the DUT's own inputs (contract P: the network and its inputs decide every bit)."""

    def __init__(
        self,
        network: IntNetwork,
        dut_stages: Mapping[str, Mapping[str, Values]],
        images: Values | None,
        first_image: int,
        golden_stages: Mapping[str, Mapping[str, Values]] | None = None,
        inputs_of_golden: bool = False,
        given: Collection[str] = (),
    ) -> None:
        """``inputs_of_golden``: whether codes that the DUT did not dump are the golden's, and not recomputed.

        ``given``: layers whose codes follow from nothing, and are not recomputed.
        """
        self.network = network
        self.first_image = first_image
        self._given = frozenset(given)
        self._positions = {layer.name: position for position, layer in enumerate(network.layers)}
        self._dut = {name: self._codes_of(name, dut_stages.get(name, {})) for name in self._positions}
        golden = golden_stages or {}
        self._golden = {name: self._codes_of(name, golden.get(name, {})) for name in self._positions}
        if inputs_of_golden:
            self._dut |= {name: self._golden[name] for name, codes in self._dut.items() if codes is None}
        fits = images is not None and images.shape[1:] == tuple(network.input_shape)
        self._images = images if fits else None
        self._rows = batch_size(network)

    def _codes_of(self, name: str, stages: Mapping[str, Values]) -> Values | None:
        """The codes that a dump has of a layer, if they are of the network's shape."""
        layer = self.network.layer(name)
        values = stages.get(result_stage(layer))
        if values is None or values.shape[1:] != self.network.shapes[name]:
            return None
        return values

    def knows(self, layer: str) -> bool:
        """Whether the network has the layer, and says what it gives."""
        return layer in self._positions and layer not in self._given

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

    def sources(self, name: str, through: Collection[str]) -> tuple[str, ...]:
        """The dumped layers that a layer is recomputed from, where those in ``through`` were recomputed too."""
        seen, waiting = {name}, [name]
        while waiting:
            layer = self.network.layer(waiting.pop())
            needed = {*layer.inputs, *([layer.residual] if layer.residual is not None else [])} - seen
            seen |= needed
            waiting += [source for source in needed if source in through]
        found = seen - {name, *through}
        return tuple(sorted(found, key=self._positions.__getitem__))

    def case(self, name: str, images: range) -> Case | None:
        """A layer with the codes it read, for a diagnosis; None where these are not known."""
        layer = self.network.layer(name)
        inputs = self.inputs(layer, images.start, images.stop)
        if inputs is None:
            return None
        case = Case(self.network, layer, *inputs, self.first_image + images.start, skipped=images.start)
        if layer.residual is None:
            return case
        return replace(case, others=self._before(layer, images))

    def _before(self, layer: IntLayer, images: range) -> dict[str, Array]:
        """Codes of some layers before, of the residual's shape, as the DUT dumped them or else the golden: the last."""
        name, shapes, last = layer.residual or "", self.network.shapes, self._positions[layer.name]
        alike = [
            one for one in self._dut if one != name and shapes[one] == shapes[name] and self._positions[one] < last
        ]
        alike.sort(key=lambda other: -self._positions[other])
        found = {}
        for other in alike[:_OTHERS]:
            codes = self._dumped(other, images.start, images.stop)
            if codes is None:
                codes = self._fitting(other, _read(self._golden[other], images.start, images.stop))
            if codes is not None:
                found[other] = codes
        return found

    def _run(self, layer: IntLayer, operands: Sequence[Array], residual: Array | None, start: int) -> Result:
        draws = Draws(self._positions[layer.name], self.first_image + start)
        return run_layer(layer, operands, residual, "kernels", draws)

    def _pixels(self, start: int, stop: int) -> Array | None:
        pixels = _read(self._images, start, stop)
        return pixels if pixels is not None and pixels.dtype == np.uint8 else None

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
        return self._fitting(name, _read(self._dut[name], start, stop))

    def _fitting(self, name: str, codes: Array | None) -> Array | None:
        fmt = self.network.formats[name]
        if codes is None or (codes.dtype != fmt.dtype and (int(codes.min()) < fmt.lo or int(codes.max()) > fmt.hi)):
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


def _read(values: Values | None, start: int, stop: int) -> Array | None:
    """Images of an array; None where it is not there, too short, damaged, or not wholly known."""
    if values is None or values.shape[0] < stop:
        return None
    try:
        if marks_in(values, start, stop) is not None:
            return None
        return values.read(start, stop)
    except FileError:
        return None
