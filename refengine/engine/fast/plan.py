"""The fast plan: an IntNetwork compiled for a batch, with the same bits as its definition.

Layers become steps (``steps.py``), rows of integers that one call walks (``kernels/fast/plan.py``): sums in registers,
rescale, residual and clip, straight into the next layer's buffer.  What no step covers runs through ``run_layer``.
Which is which changes no bit: no sum can leave its accumulator (contract A2), so its order is free.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from threading import Thread
from typing import Any

import numpy as np

from ...errors import RangeError
from ...kernels.fast import plan as kernel
from ...kernels.fast import step, turns
from ...kernels.lanes import LINE
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.accumulator import confine
from ...numbers.requantize import counted
from ...ops import OPS
from ...ops.requantize import Draws
from ..events import Events
from ..run import Observer, Result, check_images, run_layer
from .buffers import buffers
from .compiler import Compiler, Fields
from .steps import steps_of

_WORTH_A_THREAD = 2**27  # products that take as long as a few starts of a thread


_BYTES_READ: dict[int, Callable[[np.ndarray], int]] = {  # for each sum
    step.CONV: lambda row: row[step.TAPS] * row[step.LENGTH],
    step.CLUSTERS: lambda row: 4 * row[step.CHAINS] * row[step.PLACES],
    step.CROSSED: lambda row: 8 * row[step.CHAINS],
    step.DEPTHWISE: lambda row: row[step.TAPS],
}


@dataclass(frozen=True, eq=False)
class _Walk:
    """Steps that one call computes: int64 (S, FIELDS), and the layer of each step, by position.

    events int64 (threads, S, 3): what each thread has counted.  reading: the step that reads the caller's pixels, if it
    is here.
    """

    steps: np.ndarray
    layers: tuple[int, ...]
    events: np.ndarray
    reading: int | None


@dataclass(frozen=True, eq=False)
class _Single:
    """A layer that runs by itself."""

    position: int


class Plan:
    """A network compiled for batches of up to ``images`` images.

    ``threads`` share the work of one batch, if it is large enough to gain by it.  ``observed``: names of layers whose
    results ``run`` can show an observer.  ``counted``: whether runs count clipped values and overflows (``events``);
    where layers are observed they always do.  ``run`` works in the plan's own buffers: one call at a time, a plan for
    each thread that calls.  RangeError for counts below 1 or a batch too large for 32-bit offsets, NetworkError for a
    layer that does not exist.
    """

    def __init__(
        self,
        network: IntNetwork,
        images: int,
        *,
        threads: int = 1,
        observed: Sequence[str] = (),
        counted: bool = False,
    ) -> None:
        if min(images, threads) < 1:
            raise RangeError(f"a plan is for at least 1 image and 1 thread, found {images} and {threads}")
        network.require_static("the fast plan")
        self.network = network
        self.images = images
        self._options = {"threads": threads, "observed": tuple(observed), "counted": counted}
        self._threads = threads if images * network.macs >= _WORTH_A_THREAD else 1
        self._observed = frozenset(network.layer(name).name for name in observed)
        self._counted = counted or bool(observed)
        self._buffers = buffers(network, images, _kept(network, self._observed))
        self._compiler = Compiler(network, self._buffers, images, self._counted, self._observed)
        self._parts = tuple(_parts(self._compiler, self._threads))
        self._events = np.zeros((len(network.layers), len(kernel.EVENTS)), np.int64)
        self._results: dict[str, Result] = {}
        self._copies: dict[str, np.ndarray] = {}
        self._count = 0

    def __reduce__(self) -> "tuple[Callable[..., Plan], tuple[object, ...]]":
        """Copies and pickles are compiled again: steps name memory by its address."""
        return _again, (self.network, self.images, self._options)

    @property
    def memory(self) -> int:
        """Bytes of all codes between layers."""
        ends = [buffer.address + buffer.bytes.size for buffer in self._buffers.values()]
        return max(ends) - min(buffer.address for buffer in self._buffers.values())

    @property
    def products(self) -> dict[int, int]:
        """Products of a whole batch by the kind of their step, those with weights that only fill up included."""
        found: dict[int, int] = {}
        for row in [row for part in self._parts if isinstance(part, _Walk) for row in part.steps]:
            kind = int(row[step.KIND])
            bytes_read = _BYTES_READ.get(kind, lambda row: 0)(row)
            sums = row[step.PER_IMAGE] * self.images * row[step.PANEL_COUNT] * row[step.WIDTH]
            found[kind] = found.get(kind, 0) + int(sums * bytes_read)
        return {kind: count for kind, count in found.items() if count}

    def run(self, pixels: np.ndarray, first_image: int = 0, observe: Observer | None = None) -> np.ndarray:
        """uint8 (N, H, W, C), N at most the plan's images -> logits int32 (N, classes).

        ``observe(layer, operands, result)`` sees the observed layers, in order, when all are computed.
        """
        check_images(self.network, pixels)
        self._count = len(pixels)
        if self._count > self.images:
            raise RangeError(f"the plan is for {self.images} images at a time, found {self._count}")
        self._events[:] = 0
        self._results.clear()
        self._copies.clear()
        pixels = np.ascontiguousarray(pixels)
        for part in self._parts:
            if isinstance(part, _Walk):
                self._walk(part, pixels)
            else:
                self._single(part.position, pixels, first_image)
        if observe is not None:
            self._show(observe, pixels)
        return self._logits()

    def events(self) -> dict[str, Events]:
        """Of the last run, for each accumulating layer; RangeError for a plan that does not count."""
        if not self._counted:
            raise RangeError("this plan counts no events; needed: counted=True")
        return {
            layer.name: Events(self._count * prod(self.network.shapes[layer.name]), *low_high, overflowed)
            for layer, (low_high, overflowed) in zip(
                self.network.layers, map(self._events_of, range(len(self.network.layers))), strict=True
            )
            if OPS[layer.op].ACCUMULATES
        }

    # ---------------------------------------------------------------------------------------------------------- steps

    def _walk(self, part: _Walk, pixels: np.ndarray) -> None:
        if part.steps[0, step.PIXELS] != part.steps[0, step.PER_IMAGE] * self._count:
            part.steps[:, step.PIXELS] = part.steps[:, step.PER_IMAGE] * self._count
        if part.reading is not None:
            part.steps[part.reading, step.IMAGES] = pixels.ctypes.data
        part.events[:] = 0
        if self._threads == 1:
            kernel.walk(part.steps, part.events[0], 0, 1)
        else:
            self._walk_together(part, pixels)
        if self._counted:
            np.add.at(self._events, list(part.layers), part.events.sum(axis=0))

    def _walk_together(self, part: _Walk, pixels: np.ndarray) -> None:
        """Threads live for one run: nothing is left that a fork could lose, and an idle plan costs nothing."""
        counters = np.zeros((len(part.steps) + 1, turns.COUNTERS), np.int64)
        place = counters.ctypes.data + -counters.ctypes.data % LINE
        started = []
        try:
            for own in part.events[1:]:
                thread = Thread(target=self._help, args=(part, own, counters, place, pixels))
                thread.start()
                started.append(thread)
            kernel.walk(part.steps, part.events[0], place, self._threads)
        finally:  # an interrupt may come at any time, and nobody may still work in these buffers after it
            for thread in started:
                thread.join()

    def _help(self, part: _Walk, events: np.ndarray, counters: np.ndarray, place: int, pixels: np.ndarray) -> None:
        """A thread's share; its arguments and ``self`` keep alive whatever the steps name by address."""
        kernel.walk(part.steps, events, place, self._threads)

    def _single(self, position: int, pixels: np.ndarray, first_image: int) -> None:
        layer = self.network.layers[position]
        operands, residual = self._operands(layer, pixels)
        result = run_layer(layer, operands, residual, "kernels", Draws(position, first_image))
        low, high = result.saturated
        self._events[position] = low, high, result.overflowed
        self._results[layer.name] = result
        if layer is not self.network.layers[-1]:
            self._buffers[layer.name].put(result.result)

    # -------------------------------------------------------------------------------------------------------- results

    def _codes(self, name: str) -> np.ndarray:
        """A copy of a tensor's codes, made once a run."""
        if name not in self._copies:
            codes = self._buffers[name].codes(self._count)
            self._copies[name] = codes.reshape(self._count, *self.network.shapes[name])
        return self._copies[name]

    def _operands(self, layer: IntLayer, pixels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray | None]:
        operands = [self._codes(name) for name in layer.inputs] or [pixels]
        return operands, None if layer.residual is None else self._codes(layer.residual)

    def _logits(self) -> np.ndarray:
        last = self.network.layers[-1]
        if last.name in self._results:
            logits = self._results[last.name].result
        elif last.requantize is None and OPS[last.op].ACCUMULATES:
            logits = self._accumulators(last)
        else:
            logits = self._codes(last.name)
        return logits.reshape(self._count, -1).astype(np.int32)

    def _accumulators(self, layer: IntLayer) -> np.ndarray:
        """Accumulators of a layer that keeps them; those of the input are computed again."""
        shape = self.network.shapes[layer.name]
        kept = self._compiler.accumulators[layer.name].reshape(self.images, -1, self._buffers[layer.name].stored)
        return kept[: self._count, :, : shape[-1]].reshape(self._count, *shape)

    def _show(self, observe: Observer, pixels: np.ndarray) -> None:
        for position, layer in enumerate(self.network.layers):
            if layer.name in self._observed:
                operands, residual = self._operands(layer, pixels)
                observe(layer, operands, self._result(position, layer, operands, residual))

    def _result(
        self, position: int, layer: IntLayer, operands: list[np.ndarray], residual: np.ndarray | None
    ) -> Result:
        if layer.name in self._results:
            return self._results[layer.name]
        if not OPS[layer.op].ACCUMULATES:
            return Result(self._codes(layer.name))
        if layer.op in ("input", "lookup"):
            sums = OPS[layer.op].reference(*operands, **layer.arguments)
            accumulator, _ = confine(sums, layer.accumulator_bits, layer.accumulator_policy)
        else:
            accumulator = self._accumulators(layer)
        if layer.requantize is None:
            return Result(accumulator, accumulator, overflowed=self._events_of(position)[1])
        return Result(self._codes(layer.name), accumulator, residual, *self._events_of(position))

    def _events_of(self, position: int) -> tuple[tuple[int, int], int]:
        below, above, overflowed = self._events[position].tolist()
        rescale = self.network.layers[position].requantize
        return (0, 0) if rescale is None else counted(below, above, rescale), overflowed


def _again(network: IntNetwork, images: int, options: dict[str, Any]) -> Plan:
    return Plan(network, images, **options)


def _kept(network: IntNetwork, observed: frozenset[str]) -> frozenset[str]:
    """The layers whose codes must outlive a run: those that are shown, and what they read."""
    shown = [layer for layer in network.layers if layer.name in observed]
    read = [name for layer in shown for name in (*layer.inputs, layer.residual) if name is not None]
    return observed | frozenset(read)


def _parts(compiler: Compiler, threads: int) -> Iterator[_Walk | _Single]:
    """Steps in execution order, as many together as no layer that runs by itself interrupts."""
    steps: list[Fields] = []
    layers: list[int] = []
    for position, layer in enumerate(compiler.network.layers):
        own = steps_of(compiler, layer)
        if own is None:
            if steps:
                yield _walk_of(steps, layers, threads)
            yield _Single(position)
            steps, layers = [], []
            continue
        steps += [{**fields, step.WAITS_FOR: len(steps)} for fields in own]
        layers += [position] * len(own)
    if steps:
        yield _walk_of(steps, layers, threads)


def _walk_of(steps: list[Fields], layers: list[int], threads: int) -> _Walk:
    rows = np.array([[int(fields.get(name, 0)) for name in range(step.FIELDS)] for fields in steps], np.int64)
    events = np.zeros((threads, len(rows), len(kernel.EVENTS)), np.int64)
    reading = [number for number, row in enumerate(rows) if row[step.KIND] == step.LOOKUP and not row[step.IMAGES]]
    return _Walk(rows, tuple(layers), events, reading[0] if reading else None)
