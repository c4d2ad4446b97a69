"""The same network by programs of others, held against refengine integer by integer: every layer, not logits alone.

The network is exported with all of its layers as outputs, other engines run the export on the same pixels, and
``compare`` judges what they give as it judges a DUT.  An engine that differs somewhere is compared no further than
the batch where it does: its layers are then recomputed alone, and the one that goes wrong by itself is named with its
cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from ..engine.digest import stages_of
from ..engine.predict import Predictor, predictor
from ..engine.run import Result, check_images
from ..interop.onnx_engines import ENGINES, Engine, engine
from ..interop.onnx_int import LOGITS, to_onnx
from ..network.batches import Images, image_batches, image_count
from ..network.int_network import IntLayer, IntNetwork
from ..ops import OPS
from .cause import diagnose
from .compare import Comparison, compare
from .difference import Array
from .dump import Dump, Held, in_memory
from .pairs import Rules

REFENGINE = "refengine"
_MEMORY = 1 << 28
_LARGEST = 16

Progress = Callable[[int, int, str], None]
Stages = Mapping[str, Mapping[str, Array]]


@dataclass(frozen=True)
class Crosschecked:
    """What came of one engine: how many images, layers, and integers of layers and logits were compared with its own.

    different: how many of them differ.  comparison: that of the batch in which some do, with both sides' dumps, None
    where all are equal.
    """

    engine: str
    version: str
    images: int = 0
    layers: int = 0
    values: int = 0
    different: int = 0
    comparison: Comparison | None = None
    dumps: tuple[Dump, Dump] | None = None

    @property
    def equal(self) -> bool:
        """True where every integer is refengine's."""
        return self.comparison is None


def crosscheck(
    network: IntNetwork,
    images: Images,
    engines: Sequence[str] = (*ENGINES,),
    *,
    model: Any = None,
    backend: str = "fast",
    batch: int | None = None,
    threads: int = 1,
    first_image: int = 0,
    progress: Progress | None = None,
) -> tuple[Crosschecked, ...]:
    """Run uint8 images (N, H, W, C) through refengine and through each of ``engines``: all accumulators and codes.

    ``model``: the ``onnx.ModelProto`` that the engines run, with all layers as outputs; None: ``to_onnx`` makes it.
    ``first_image``: the first one's number in its file, for the report.  ``progress(done, total, engine)`` counts
    batches times engines.  RefengineError for an engine that is unknown, missing or cannot run the export; NetworkError
    for a network that cannot be exported; RangeError for images that it cannot read.
    """
    model = to_onnx(network, layers=True) if model is None else model
    programs = [engine(name, model, threads) for name in dict.fromkeys(engines)]
    found = {program.name: Crosschecked(program.name, program.version) for program in programs}
    size = min(images_at_a_time(network) if batch is None else batch, image_count(images))
    predict = predictor(network, backend, size, threads=threads, observed=[layer.name for layer in network.layers])
    total, done = -(-image_count(images) // max(1, size)) * len(programs), 0
    for first, pixels in image_batches(images, size):
        check_images(network, pixels)
        golden, logits = _golden(network, predict, pixels, first_image + first)
        for program in programs:
            if progress is not None:
                progress(done, total, program.name)
            before = found[program.name]
            if before.equal:
                found[program.name] = _compared(network, before, program, pixels, golden, logits)
            done += 1
    return tuple(found.values())


def images_at_a_time(network: IntNetwork) -> int:
    """Images a batch such that the integers of all layers, refengine's and an engine's, stay near 256 MB.

    An engine that is asked for every layer frees none of them, and holds int64 totals beside them.
    """
    numbers = sum(prod(network.shapes[layer.name]) for layer in network.layers)
    return max(1, min(_LARGEST, _MEMORY // (24 * numbers)))


def _compared(
    network: IntNetwork, before: Crosschecked, program: Engine, pixels: Array, golden: Dump, logits: Array
) -> Crosschecked:
    """What was known of an engine, and what one more batch says."""
    outputs = program.run(pixels)
    dut = _dump(network, program.name, pixels, golden.first_image, dict(_by_layer(network, outputs)))
    rules = Rules(stages=("accumulator", "code"))
    comparison = compare(golden, dut, rules)
    problem = _other_logits(logits, outputs[LOGITS])
    if not comparison.equal:
        comparison = compare(golden, dut, rules, network, diagnose)
    if problem is not None:
        comparison = replace(comparison, problems=(*comparison.problems, problem))
    stages = [stage.entire for layer in comparison.layers for stage in layer.stages if stage.entire is not None]
    return replace(
        before,
        images=before.images + len(pixels),
        layers=len(comparison.compared),
        values=before.values + sum(one.values for one in stages) + logits.size,
        different=before.different + sum(one.different for one in stages) + _different(logits, outputs[LOGITS]),
        comparison=None if comparison.equal else comparison,
        dumps=None if comparison.equal else (golden, dut),
    )


def _golden(network: IntNetwork, predict: Predictor, pixels: Array, first_image: int) -> tuple[Dump, Array]:
    """Accumulators and codes of every layer, and the logits, by refengine."""
    stages: dict[str, dict[str, Array]] = {}

    def observe(layer: IntLayer, operands: object, result: Result) -> None:
        stages[layer.name] = {stage: array.copy() for stage, array in stages_of(layer, result)}

    logits = predict(pixels, first_image, observe).logits
    return _dump(network, REFENGINE, pixels, first_image, stages), logits


def _dump(network: IntNetwork, name: str, pixels: Array, first_image: int | None, stages: Stages) -> Dump:
    return in_memory(stages, file=name, first_image=first_image, model_hash=network.hash, images=Held(pixels))


def _by_layer(network: IntNetwork, outputs: Mapping[str, Array]) -> Iterator[tuple[str, dict[str, Array]]]:
    """The engine's outputs as stages of layers, channels last as in a trace."""
    for layer in network.layers:
        accumulates = OPS[layer.op].ACCUMULATES
        wanted = ["accumulator"] * accumulates + ["code"] * (not accumulates or layer.requantize is not None)
        yield layer.name, {stage: np.moveaxis(outputs[f"{layer.name}.{stage}"], 1, -1) for stage in wanted}


def _different(wanted: Array, got: Array) -> int:
    return int(np.count_nonzero(wanted != got)) if wanted.shape == got.shape else wanted.size


def _other_logits(wanted: Array, got: Array) -> str | None:
    """What is wrong with the logits."""
    if (wanted.shape, wanted.dtype) != (got.shape, got.dtype):
        return f"the logits are {got.dtype} {got.shape}, the golden's {wanted.dtype} {wanted.shape}"
    different = _different(wanted, got)
    if not different:
        return None
    n, k = (int(index[0]) for index in np.nonzero(wanted != got))
    return f"{different} of {wanted.size} logits differ, first (n {n}, k {k}): golden {wanted[n, k]}, got {got[n, k]}"
