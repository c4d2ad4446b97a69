"""Does the comparison find what is wrong, and does the diagnosis name it?  The table that answers with figures.

Every fault of ``tests/mutation/faults.py`` is put into several layers of a real network, one at a time.  What the
faulty layer gives runs on through the rest of the network, as it would in hardware; the whole is compared with the
golden, network and diagnosis included; and what the comparison says is held against what is known, because it was done
on purpose: the layer, the first element that differs, and the cause.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mutation.datapath import Stages
from mutation.faults import FAULTS, Fault
from refengine.engine.run import Result, check_images, run_layer
from refengine.errors import RangeError
from refengine.golden.compare.compare import Comparison, Diagnose, compare
from refengine.golden.diagnose.hypotheses import kind
from refengine.golden.diagnose.machine import STAGES, Case
from refengine.golden.dumps.difference import Array
from refengine.golden.dumps.dump import Dump, Held, in_memory
from refengine.network.int_network import IntLayer, IntNetwork
from refengine.numbers.requantize import total
from refengine.ops.requantize import Draws

Progress = Callable[[int, int, str], None]

RIGHT, WRONG, NONE = "right", "wrong", "none"


@dataclass(frozen=True)
class Trial:
    """One fault in one layer, and what the comparison made of it.

    detected: it was not passed.  layer_right, element_right: the first difference is the one that is there.
    alone: this layer alone is faulty.  named: ``right`` if the cause, or one of several that nothing tells apart, is
    a true name of the fault; ``none`` if no cause was given; ``wrong`` otherwise.  certain: the diagnosis said so.
    """

    fault: str
    layer: str
    different: int
    detected: bool
    layer_right: bool
    element_right: bool
    alone: bool
    named: str
    certain: bool
    cause: str | None
    sentence: str

    @property
    def certain_but_wrong(self) -> bool:
        """The one thing that a diagnosis must never be."""
        return self.certain and self.named == WRONG


@dataclass(frozen=True)
class FaultTable:
    """All trials; ``unseen``: faults that change nothing in any of the layers, or can happen to none."""

    trials: tuple[Trial, ...]
    unseen: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Faults that were tried, each once."""
        return tuple(dict.fromkeys(trial.fault for trial in self.trials))

    def of(self, fault: str) -> tuple[Trial, ...]:
        """The trials of one fault."""
        return tuple(trial for trial in self.trials if trial.fault == fault)

    @property
    def nameable(self) -> tuple[Trial, ...]:
        """Trials of faults that a diagnosis knows a name for."""
        return tuple(trial for trial in self.trials if FAULTS[trial.fault].names)


def fault_table(
    network: IntNetwork,
    images: Array,
    diagnose: Diagnose,
    *,
    layers: Sequence[str] | None = None,
    faults: Iterable[Fault] | None = None,
    layers_a_fault: int = 2,
    first_image: int = 0,
    progress: Progress | None = None,
) -> FaultTable:
    """Try faults (None: all) in ``layers_a_fault`` layers each, out of ``layers`` (None: all).

    images uint8 (N, H, W, C).  Which layers a fault meets is drawn by a hash of both names, the same every time.
    RangeError where a layer rounds stochastically, or has an operator or a rounding that ``Datapath`` does not build.
    """
    network.require_static("faults")
    golden = golden_run(network, images, first_image)
    known = [layer.name for layer in network.layers] if layers is None else [*layers]
    chosen = [*FAULTS.values()] if faults is None else [*faults]
    trials: list[Trial] = []
    unseen: list[str] = []
    for number, fault in enumerate(chosen):
        if progress is not None:
            progress(number, len(chosen), fault.name)
        found = 0
        for layer in sorted(known, key=lambda name: _draw(fault.name, name)):
            if found == layers_a_fault:
                break
            stages = fault.stages(golden.cases[layer])
            if stages is None or not _differs(stages, golden.stages[layer]):
                continue
            found += 1
            trials.append(try_fault(golden, fault, layer, stages, diagnose))
        if not found:
            unseen.append(fault.name)
    return FaultTable(tuple(trials), tuple(unseen))


def _draw(fault: str, layer: str) -> str:
    return hashlib.sha256(f"{fault} in {layer}".encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class GoldenRun:
    """A run in memory: what every layer read, and what it gave."""

    network: IntNetwork
    images: Array
    first_image: int
    cases: Mapping[str, Case]
    stages: Mapping[str, Stages]

    @property
    def dump(self) -> Dump:
        """As a dump."""
        return _dump(self, self.stages)


def golden_run(network: IntNetwork, images: Array, first_image: int = 0) -> GoldenRun:
    """Run the network and keep everything; RangeError for no image, or images that the network cannot read."""
    check_images(network, images)
    cases: dict[str, Case] = {}
    made: dict[str, Stages] = {}
    for position, layer in enumerate(network.layers):
        operands, residual = _read(layer, made, images)
        cases[layer.name] = Case(network, layer, operands, residual, first_image)
        made[layer.name] = _stages(layer, operands, residual, Draws(position, first_image))
    return GoldenRun(network, images, first_image, cases, made)


def _read(layer: IntLayer, made: Mapping[str, Stages], images: Array) -> tuple[tuple[Array, ...], Array | None]:
    operands = tuple(made[name]["code"] for name in layer.inputs) or (images,)
    return operands, None if layer.residual is None else made[layer.residual]["code"]


def _stages(layer: IntLayer, operands: Sequence[Array], residual: Array | None, draws: Draws) -> Stages:
    result: Result = run_layer(layer, operands, residual, "kernels", draws)
    stages = {"code": result.result}
    if result.accumulator is not None:
        stages["accumulator"] = result.accumulator
        if layer.requantize is not None:
            stages["total"] = total(result.accumulator, layer.requantize, residual)
        else:
            del stages["code"]
    return {stage: stages[stage] for stage in STAGES if stage in stages}


def with_fault(golden: GoldenRun, layer: str, stages: Stages) -> dict[str, Stages]:
    """The run of a DUT in which one layer gives other integers: the layers behind it read them."""
    made: dict[str, Stages] = {}
    changed = {layer}
    for position, step in enumerate(golden.network.layers):
        if step.name == layer:
            made[layer] = stages
        elif changed.isdisjoint(_sources(step)):
            made[step.name] = golden.stages[step.name]
        else:
            changed.add(step.name)
            draws = Draws(position, golden.first_image)
            made[step.name] = _stages(step, *_read(step, made, golden.images), draws)
    return made


def _sources(layer: IntLayer) -> tuple[str, ...]:
    return layer.inputs if layer.residual is None else (*layer.inputs, layer.residual)


def _dump(golden: GoldenRun, made: Mapping[str, Stages]) -> Dump:
    known = {"first_image": golden.first_image, "model_hash": golden.network.hash, "images": Held(golden.images)}
    return in_memory(made, **known)


def try_fault(golden: GoldenRun, fault: Fault, layer: str, stages: Stages, diagnose: Diagnose) -> Trial:
    """Compare a DUT with that one faulty layer, and hold the outcome against what is known."""
    dut = _dump(golden, with_fault(golden, layer, stages))
    found = compare(golden.dump, dut, network=golden.network, diagnose=diagnose)
    stage, index, wanted, got = _truth(golden.stages[layer], stages)
    first = found.first
    element = None if first is None or first[1].entire is None else first[1].entire.first
    layer_right = first is not None and first[0].layer == layer
    element_right = (
        layer_right
        and first is not None
        and first[1].stage == stage
        and element is not None
        and (element.index, element.wanted, element.got) == (index, wanted, got)
    )
    different = sum(int(np.count_nonzero(stages[name] != golden.stages[layer][name])) for name in stages)
    return Trial(
        fault.name,
        layer,
        different,
        not found.equal,
        layer_right,
        element_right,
        [layer.layer for layer in found.faulty_layers] == [layer],
        *_named(found, layer, fault),
    )


def _named(found: Comparison, layer: str, fault: Fault) -> tuple[str, bool, str | None, str]:
    cause = next((faulty.cause for faulty in found.faulty_layers if faulty.layer == layer), None)
    if cause is None or cause.cause is None:
        return NONE, False, None, "" if cause is None else cause.sentence
    right = not {kind(name) for name in (*cause.names, cause.cause)}.isdisjoint(fault.names)
    return RIGHT if right else WRONG, cause.certain, cause.cause, cause.sentence


def _differs(one: Stages, other: Stages) -> bool:
    return any(not np.array_equal(one[stage], other[stage]) for stage in other)


def _truth(golden: Stages, stages: Stages) -> tuple[str, tuple[int, ...], int, int]:
    """The first stage and element that differ, found in the plainest way."""
    for stage, place in _places(golden, stages):
        return stage, place, int(golden[stage][place]), int(stages[stage][place])
    raise RangeError("a fault that changes nothing was to be found")


def _places(golden: Stages, stages: Stages) -> Iterator[tuple[str, tuple[int, ...]]]:
    for stage in STAGES:
        if stage in golden:
            for place in np.argwhere(golden[stage] != stages[stage]):
                yield stage, tuple(place.tolist())
