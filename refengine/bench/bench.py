"""How fast refengine is beside production int8 engines: one process, the same network, engines in turns.

Clocks, neighbours and temperatures change from second to second, so no engine is measured by itself.  Every round runs
each engine once, beginning with another one each time; what counts are the ratios within a round, of which the median
and the quartiles are given.  Each round also measures the peak of each sequence of instructions that refengine uses
(``kernels/fast/peak.py``), the only yardstick that needs no other program.

    refengine F            a plan for one batch, weights of format F, all threads together
    refengine F N=4        the same where several sizes of clusters are compared
    refengine F, capacity  with several threads: as many plans of one thread each, at once, each with a batch of its own
    openvino, ...          the peers, see peers.py

A measure lasts ENOUGH seconds or more, in as many repetitions as that takes, after a pause in which the threads of the
engine before become idle and one run that is not counted.  The garbage collector is off meanwhile.
"""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import RangeError
from ..interop.onnx.export_float import onnx_input
from ..network.float_network import FloatNetwork
from ..network.int_file import write_int_network
from ..network.int_network import IntNetwork
from ..quantization.scheme import Scheme
from .memory import MODEL, OURS, Memory, Stored, memory_of
from .models import quantized
from .peers import peer

if TYPE_CHECKING:
    from ..engine.fast.plan import Plan

ENOUGH = 0.005
PAUSE = 0.02
WARM_UPS = 2
PEAK_BURSTS = 10
PEAK_WARM_UP = 0.05  # seconds: after a pause the clock is slow at first, by a quarter for some milliseconds
PEAK_STEPS = 30_000  # about half a millisecond

Array = np.ndarray[Any, Any]
Show = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Engine:
    """Something to measure: ``run`` does ``images`` images.

    forms: which part of its products each of FORMS computes, 0..1; nothing of engines that are not refengine's.
    stored: the same as files, by which its memory is measured.
    """

    name: str
    version: str
    images: int
    run: Callable[[], object]
    forms: Mapping[str, float] = field(default_factory=dict)
    stored: Stored | None = None


@dataclass(frozen=True)
class Timing:
    """An engine's seconds for one image, a number each round, each the average of ``repetitions`` runs."""

    name: str
    version: str
    images: int
    repetitions: int
    seconds: tuple[float, ...]
    forms: Mapping[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Seconds for one image in the middle round."""
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        """Seconds for one image in the fastest round."""
        return min(self.seconds)


@dataclass(frozen=True)
class Ratio:
    """Ratios of two engines' times within each round: their median and quartiles."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What was measured: the engines, ``refengine`` first.

    peak: MACs a second of each form that is in use, a number each round.  memory: of each engine, where asked for.
    """

    network: str
    input_shape: tuple[int, int, int]
    macs: int
    processor: str
    instruction_set: str
    batch: int
    threads: int
    timings: tuple[Timing, ...]
    peak: Mapping[str, tuple[float, ...]]
    memory: Mapping[str, Memory] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """How often every engine was measured."""
        return len(self.timings[0].seconds)

    def rate(self, timing: Timing) -> float:
        """MACs a second in the middle round."""
        return self.macs / timing.median

    def share(self, timing: Timing) -> float | None:
        """The time that the products take at the peak of their forms, as a share of the time, both in middle rounds."""
        if not timing.forms:
            return None
        limit = sum(part / statistics.median(self.peak[form]) for form, part in timing.forms.items())
        return self.macs * limit / timing.median

    def ratio(self, timing: Timing) -> Ratio:
        """The first engine's time over this one's: below 1 the first is faster."""
        return ratio(self.timings[0].seconds, timing.seconds)

    def as_json(self) -> dict[str, Any]:
        """Everything in types that JSON knows, each round's seconds included."""
        head = {name: getattr(self, name) for name in _HEAD}
        peak = {
            form: {"median": statistics.median(rates), "best": max(rates), "rounds": list(rates)}
            for form, rates in self.peak.items()
        }
        return {**head, "peak_macs_per_second": peak, "engines": [self._row(timing) for timing in self.timings]}

    def _row(self, timing: Timing) -> dict[str, Any]:
        figures = {"median": timing.median, "best": timing.best, "rounds": list(timing.seconds)}
        return {
            "name": timing.name,
            "version": timing.version,
            "images": timing.images,
            "repetitions": timing.repetitions,
            "seconds_per_image": figures,
            "macs_per_second": self.rate(timing),
            "share_of_peak": self.share(timing),
            "forms": dict(timing.forms),
            "first_over_this": vars(self.ratio(timing)),
            "memory_bytes": vars(self.memory[timing.name]) if timing.name in self.memory else None,
        }


FORMS = "dense", "clusters", "crossed"  # in the order of kernels/fast/peak.py
_HEAD = ("network", "input_shape", "macs", "processor", "instruction_set", "batch", "threads", "rounds")


def ratio(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """Median and quartiles of the quotients of numbers that were measured in the same rounds.

    >>> ratio([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    Ratio(median=1.0, low=0.75, high=1.25)
    """
    low, middle, high = np.quantile([a / b for a, b in zip(these, those, strict=True)], [0.25, 0.5, 0.75])
    return Ratio(float(middle), float(low), float(high))


# --------------------------------------------------------------------------------------------------------- the engines


def compare(
    network: FloatNetwork,
    images: Array,
    weights: Sequence[str] = ("ternary",),
    clusters: Sequence[int] = (4,),
    against: Sequence[str] = (),
    batch: int = 1,
    threads: int = 1,
    rounds: int = 40,
    progress: Show | None = None,
    calibrated: bool = True,
    memory: bool = False,
) -> Comparison:
    """Make engines of ``network``, calibrated on uint8 images (N, H, W, C), and measure them in turns.

    ``weights``: weight formats of refengine's engines, whose first and last layers have 8 bits, each with ``clusters``
    of all these sizes, if it has clusters; ``against``: names of ``peers.PEERS``.  The images that are run are the
    first ``batch``, repeated where there are fewer.  Where the weights are random nothing is worth to be ``calibrated``
    but the ranges of activations, on one image.  ``memory``: also measure what each engine takes.  RefengineError where
    an engine cannot be made, RangeError for counts below 1.
    """
    if not weights or not clusters or min(batch, threads, rounds) < 1:
        found = f"{len(weights)} weight formats, {len(clusters)} sizes of clusters, batch {batch}, {threads} threads"
        raise RangeError(f"a comparison needs at least 1 of each, found {found}, {rounds} rounds")
    show = progress or (lambda done, total, detail: None)
    schemes = _schemes(weights, clusters, calibrated)
    pixels = np.ascontiguousarray(images[np.arange(batch) % len(images)])
    others = []
    for done, name in enumerate(against):  # first, because a package may be missing
        show(done, len(against), name)
        others.append(_theirs(name, network, images, pixels, threads))
    calibration = images if calibrated else images[:1]
    models = {name: _quantized(network, calibration, scheme, threads, show) for name, scheme in schemes.items()}
    engines = [_ours(name, model, pixels, threads) for name, model in models.items()] + others
    first, model = next(iter(models.items()))
    with ThreadPoolExecutor(threads) as pool:
        if threads > 1:
            engines.append(_capacity(first, model, pixels, threads, pool))
        timings, peak = measure(engines, rounds, lambda: peak_rates(threads, pool), show)
    stored = {engine.name: engine.stored for engine in engines if memory and engine.stored is not None}
    taken = {name: memory_of(files, threads) for name, files in stored.items()}
    return Comparison(
        network.name,
        network.input_shape,
        model.macs,
        processor(),
        _instruction_set(),
        batch,
        threads,
        timings,
        peak,
        {name: found for name, found in taken.items() if found is not None},
    )


def _schemes(weights: Sequence[str], clusters: Sequence[int], calibrated: bool) -> dict[str, Scheme]:
    """What refengine's engines are called, and how they are quantized; weights of 8 bits have no clusters."""
    how = {} if calibrated else {"method": "optimal", "exponents": "max", "reestimate": False, "equalize": False}
    schemes = {}
    for name in weights:
        sizes = clusters[:1] if name == "int8" else clusters
        for size in sizes:
            called = name if len(sizes) == 1 else f"{name} N={size}"
            schemes[called] = Scheme(weights=name, cluster=size, **how)  # type: ignore[arg-type]
    return schemes


def _quantized(network: FloatNetwork, images: Array, scheme: Scheme, threads: int, show: Show) -> IntNetwork:
    def quantizing(layer: str, done: int, total: int) -> None:
        show(done, total, f"{scheme.weights}: {layer}")

    return quantized(network, images, scheme, quantizing, threads)


def _compiled(model: IntNetwork, batch: int, threads: int) -> Plan:
    """The engine that is measured: uint8 images (batch, H, W, C) -> int32 logits."""
    from ..engine.fast.plan import Plan  # here, because it loads the compiler

    return Plan(model, batch, threads=threads)


def _ours(name: str, model: IntNetwork, pixels: Array, threads: int) -> Engine:
    plan = _compiled(model, len(pixels), threads)
    stored = Stored(OURS, lambda folder: write_int_network(model, folder / MODEL), pixels)
    return Engine(f"refengine {name}", __version__, len(pixels), lambda: plan.run(pixels), _forms(plan), stored)


def _forms(plan: Plan) -> dict[str, float]:
    """Which part of a plan's products each form computes; depthwise ones are multiplied as words."""
    from ..kernels.fast import step  # here, because it loads the compiler

    found = plan.products
    kinds = {"clusters": (step.CLUSTERS,), "crossed": (step.CROSSED,), "dense": (step.CONV, step.DEPTHWISE)}
    counts = {form: sum(found.get(kind, 0) for kind in of) for form, of in kinds.items()}
    return {form: counts[form] / sum(counts.values()) for form in FORMS if counts[form]}


def _capacity(name: str, model: IntNetwork, pixels: Array, threads: int, pool: ThreadPoolExecutor) -> Engine:
    """As many plans of one thread as there are threads, each with a batch: what the cores can do at most."""
    plans = [_compiled(model, len(pixels), 1) for _ in range(threads)]

    def run() -> object:
        return list(pool.map(lambda plan: plan.run(pixels), plans))

    return Engine(f"refengine {name}, capacity", __version__, threads * len(pixels), run, _forms(plans[0]))


def _theirs(name: str, network: FloatNetwork, images: Array, pixels: Array, threads: int) -> Engine:
    made = peer(name, network, images, len(pixels), threads)
    batch = onnx_input(network, pixels)
    x = made.prepare(batch)
    stored = None if made.write is None else Stored(made.name, made.write, batch)
    return Engine(made.name, made.version, len(pixels), lambda: made.run(x), stored=stored)


def random_images(network: FloatNetwork, count: int, seed: int = 0) -> Array:
    """uint8 images (N, H, W, C) of the network's shape, every pixel drawn by itself."""
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input_shape)).astype(np.uint8)


# ----------------------------------------------------------------------------------------------------------- measuring


def measure(
    engines: Sequence[Engine], rounds: int, peak: Callable[[], Sequence[float]], show: Show
) -> tuple[tuple[Timing, ...], dict[str, tuple[float, ...]]]:
    """Run every engine in every round, in an order that rotates; the peaks of FORMS open each round."""
    repetitions = [_repetitions(engine) for engine in engines]
    seconds: list[list[float]] = [[] for _ in engines]
    peaks = []
    with _no_garbage_collection():
        for number in range(rounds):
            show(number, rounds, "")
            peaks.append(peak())
            for place in range(len(engines)):
                index = (number + place) % len(engines)
                seconds[index].append(_seconds(engines[index], repetitions[index]))
    timings = zip(engines, repetitions, seconds, strict=True)
    made = tuple(Timing(e.name, e.version, e.images, count, tuple(found), e.forms) for e, count, found in timings)
    used = {form for engine in engines for form in engine.forms}
    return made, {form: rates for form, rates in zip(FORMS, zip(*peaks, strict=True), strict=True) if form in used}


def _repetitions(engine: Engine) -> int:
    """How many runs last ENOUGH seconds, found after the engine has warmed up."""
    for _ in range(WARM_UPS):
        engine.run()
    return max(1, int(-(-ENOUGH // max(_seconds(engine, 1) * engine.images, 1e-9))))


def _seconds(engine: Engine, repetitions: int) -> float:
    """Seconds for one image, the average of some runs."""
    time.sleep(PAUSE)
    engine.run()
    start = time.perf_counter()
    for _ in range(repetitions):
        engine.run()
    return (time.perf_counter() - start) / (repetitions * engine.images)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# ------------------------------------------------------------------------------------------------------- the processor


def peak_rates(threads: int, pool: ThreadPoolExecutor) -> tuple[float, ...]:
    """MACs a second of each form in ``threads`` threads at once: the best of some short bursts, warmed up."""
    from ..kernels.fast import peak  # here, because it loads the compiler

    def burst(form: int) -> float:
        start = time.perf_counter()
        list(pool.map(peak.spin, [form] * threads, [PEAK_STEPS] * threads))
        return threads * peak.products(form, PEAK_STEPS) / (time.perf_counter() - start)

    start = time.perf_counter()
    while time.perf_counter() - start < PEAK_WARM_UP:
        burst(peak.DENSE)
    return tuple(max(burst(form) for _ in range(PEAK_BURSTS)) for form in peak.FORMS)


def _instruction_set() -> str:
    from ..kernels.instruction_sets import chosen_target  # here, because it loads the compiler

    return chosen_target().name


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor calls itself, as far as the system tells."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
