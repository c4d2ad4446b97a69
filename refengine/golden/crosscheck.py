"""The same network in third-party engines, compared with refengine integer by integer: every layer, not logits alone.

The network is exported with all of its layers as outputs, other engines run the export on the same pixels, and
``compare`` judges what they give as it judges a DUT.  An engine that differs somewhere is compared no further than
the batch where it does: its layers are then recomputed alone, and the one that goes wrong by itself is named with its
cause.

TOSA's reference model runs each layer alone, on refengine's own codes, and gives the stages that TOSA can express; as
``tosa-network`` it runs the whole network at once, if TOSA can express all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from ..engine.run import Result, check_images
from ..errors import RefengineError
from ..interop.onnx.engines import ENGINES, engine
from ..interop.onnx.export_int import LOGITS, to_onnx
from ..interop.tosa.engine import TOSA, WHOLE, TosaEngine, TosaNetwork, reference_model
from ..network.batches import Images, image_batches, image_count
from ..network.int_network import IntLayer, IntNetwork
from ..ops import OPS
from ..runs.digest import stages_of
from ..runs.predict import Predictor, predictor
from .compare.compare import DIAGNOSED, Comparison, LayerReport, compare
from .compare.pairs import Rules
from .diagnose.cause import diagnose
from .dumps.difference import Array
from .dumps.dump import Dump, Held, in_memory

REFENGINE = "refengine"
_MEMORY = 1 << 28
_LARGEST = 16

Progress = Callable[[int, int, str], None]
Stages = Mapping[str, Mapping[str, Array]]

_RULES = Rules(stages=("accumulator", "code"))


@dataclass(frozen=True)
class Crosschecked:
    """What came of one engine: how many images, layers, and integers of layers and logits were compared with its own.

    different: how many of them differ.  comparison: that of the batch in which some do, with both sides' dumps, None
    where all are equal.  stages: how many accumulators and codes of layers.  left_out: "LAYER.STAGE" that the engine
    cannot express -> why; by_int64: layers whose codes are not those of TOSA's RESCALE -> why.
    """

    engine: str
    version: str
    images: int = 0
    layers: int = 0
    values: int = 0
    different: int = 0
    comparison: Comparison | None = None
    dumps: tuple[Dump, Dump] | None = None
    stages: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    by_int64: Mapping[str, str] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """True where every integer is refengine's."""
        return self.comparison is None


@dataclass(frozen=True)
class _Program:
    """An engine made ready; ``run``: pixels and refengine's stages -> its own, and the logits where it gives them.

    alone: whether each layer runs by itself, on refengine's codes.
    """

    name: str
    version: str
    run: Callable[[Array, Stages], tuple[Stages, Array | None]]
    alone: bool = False
    left_out: Mapping[str, str] = field(default_factory=dict)
    by_int64: Mapping[str, str] = field(default_factory=dict)


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
    tosa_python: str | None = None,
    progress: Progress | None = None,
) -> tuple[Crosschecked, ...]:
    """Run uint8 images (N, H, W, C) through refengine and through each of ``engines``: all accumulators and codes.

    ``model``: the ``onnx.ModelProto`` that the engines run, with all layers as outputs; None: ``to_onnx`` makes it.
    ``tosa_python``: the interpreter beside which TOSA's reference model is found; None: that of ``TOSA_PYTHON``.
    ``first_image``: the first one's number in its file, for the report.  ``progress(done, total, engine)`` counts
    batches times engines.  RefengineError for an engine that is unknown, missing or cannot run the export; NetworkError
    for a network that cannot be exported; RangeError for images that it cannot read.
    """
    programs = _programs(network, [*dict.fromkeys(engines)], model, threads, tosa_python)
    found = {
        one.name: Crosschecked(one.name, one.version, left_out=one.left_out, by_int64=one.by_int64) for one in programs
    }
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
                found[program.name] = _compared(network, before, program, pixels, golden, logits, first_image + first)
            done += 1
    return tuple(found.values())


def images_at_a_time(network: IntNetwork) -> int:
    """Images a batch such that the integers of all layers, refengine's and an engine's, stay near 256 MB.

    An engine that is asked for every layer frees none of them, and holds int64 totals beside them.
    """
    numbers = sum(prod(network.shapes[layer.name]) for layer in network.layers)
    return max(1, min(_LARGEST, _MEMORY // (24 * numbers)))


def _programs(
    network: IntNetwork, names: Sequence[str], model: Any, threads: int, tosa_python: str | None
) -> list[_Program]:
    known = (*ENGINES, TOSA, WHOLE)
    for name in names:
        if name not in known:
            raise RefengineError(f"engine {name[:80]!r} is unknown; available: {', '.join(known)}")
    if model is None and any(name in ENGINES for name in names):
        model = to_onnx(network, layers=True)
    in_tosa = {TOSA: _tosa, WHOLE: _whole_in_tosa}
    return [
        in_tosa[name](network, threads, tosa_python) if name in in_tosa else _onnx(network, name, model, threads)
        for name in names
    ]


def _onnx(network: IntNetwork, name: str, model: Any, threads: int) -> _Program:
    made = engine(name, model, threads)

    def run(pixels: Array, golden: Stages) -> tuple[Stages, Array | None]:
        outputs = made.run(pixels)
        return dict(_by_layer(network, outputs)), outputs[LOGITS]

    return _Program(made.name, made.version, run)


def _tosa(network: IntNetwork, threads: int, tosa_python: str | None) -> _Program:
    made = TosaEngine(network, reference_model(tosa_python), threads)

    def run(pixels: Array, golden: Stages) -> tuple[Stages, Array | None]:
        codes = {name: stages["code"] for name, stages in golden.items() if "code" in stages}
        return made.run(pixels, codes), None

    return _Program(made.name, made.version, run, True, made.left_out, made.by_int64)


def _whole_in_tosa(network: IntNetwork, threads: int, tosa_python: str | None) -> _Program:
    made = TosaNetwork(network, reference_model(tosa_python))
    return _Program(made.name, made.version, lambda pixels, golden: made.run(pixels))


def _compared(
    network: IntNetwork,
    before: Crosschecked,
    program: _Program,
    pixels: Array,
    golden: Stages,
    wanted: Array,
    first_image: int,
) -> Crosschecked:
    """What was known of an engine, and what one more batch says; ``wanted``: refengine's logits."""
    given, logits = program.run(pixels, golden)

    def dump(name: str, stages: Stages) -> Dump:
        return in_memory(stages, file=name, first_image=first_image, model_hash=network.hash, images=Held(pixels))

    dumps = dump(REFENGINE, _judged(golden, program.left_out)), dump(program.name, given)
    comparison = compare(*dumps, _RULES)
    if not comparison.equal and program.alone:
        comparison = replace(comparison, layers=tuple(_by_themselves(network, comparison, dumps)), network=True)
    elif not comparison.equal:
        comparison = compare(*dumps, _RULES, network, diagnose)
    problem = None if logits is None else _other_logits(wanted, logits)
    if problem is not None:
        comparison = replace(comparison, problems=(*comparison.problems, problem))
    stages = [stage.entire for layer in comparison.layers for stage in layer.stages if stage.entire is not None]
    of_logits = (0, 0) if logits is None else (wanted.size, _different(wanted, logits))
    return replace(
        before,
        images=before.images + len(pixels),
        layers=len(comparison.compared),
        stages=len(stages),
        values=before.values + sum(one.values for one in stages) + of_logits[0],
        different=before.different + sum(one.different for one in stages) + of_logits[1],
        comparison=None if comparison.equal else comparison,
        dumps=None if comparison.equal else dumps,
    )


def _judged(golden: Stages, left_out: Mapping[str, str]) -> Stages:
    """The golden's stages that an engine must give."""
    return {
        name: {stage: array for stage, array in stages.items() if f"{name}.{stage}" not in left_out}
        for name, stages in golden.items()
    }


def _by_themselves(network: IntNetwork, comparison: Comparison, dumps: tuple[Dump, Dump]) -> Iterator[LayerReport]:
    """The same layers, with what is to be said of those that differ where all that they read was the golden's."""
    failing, golden = 0, dumps[0]
    for report in comparison.layers:
        if report.fails:
            layer = network.layer(report.layer)
            read = {name: golden.arrays[name] for name in (*layer.inputs, layer.residual) if name is not None}
            ours, theirs = (
                replace(side, arrays={**read, layer.name: side.arrays.get(layer.name, {})}) for side in dumps
            )
            found = compare(ours, theirs, _RULES, network, diagnose if failing < DIAGNOSED else None)
            report = next(one for one in found.layers if one.layer == layer.name)
            failing += 1
        yield report


def _golden(network: IntNetwork, predict: Predictor, pixels: Array, first_image: int) -> tuple[Stages, Array]:
    """Accumulators and codes of every layer, and the logits, by refengine."""
    stages: dict[str, dict[str, Array]] = {}

    def observe(layer: IntLayer, operands: object, result: Result) -> None:
        stages[layer.name] = {stage: array.copy() for stage, array in stages_of(layer, result)}

    logits = predict(pixels, first_image, observe).logits
    return stages, logits


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
