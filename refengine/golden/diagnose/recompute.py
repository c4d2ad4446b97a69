"""What a machine writes: its accumulators, totals and codes, everywhere or at single elements.

Of two machines that share what a step reads, the second takes over what is ``Known`` of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...errors import RangeError
from ...numbers.requantize import Requantize
from ...numbers.rounding import STOCHASTIC
from ...numbers.stochastic import random_bits
from ...ops import OPS
from .accumulators import ELEMENTS_AT_ONCE, accumulators, windows
from .machine import Machine, Parts, taps


@dataclass(frozen=True, eq=False)
class Known:
    """What a machine computes at the flat positions ``where`` (S,): another that is alike need not compute it again."""

    machine: Machine
    where: np.ndarray

    @cached_property
    def acc(self) -> np.ndarray:
        """The accumulators."""
        found = accumulators(self.machine, self.where)
        found.setflags(write=False)
        return found

    @cached_property
    def windows(self) -> np.ndarray:
        """What a convolution reads for each."""
        found = windows(self.machine, self.where)
        found.setflags(write=False)
        return found

    def windows_for(self, machine: Machine) -> np.ndarray | None:
        """The same for another machine; None where it reads other ones, or they are too many to be kept."""
        if machine.op != "conv" or len(self.where) * taps(machine) > ELEMENTS_AT_ONCE:
            return None
        same = self.machine.constants["weight"].shape == machine.constants["weight"].shape
        return self.windows if same and _alike(machine, self.machine, _OF_WINDOWS) else None

    @cached_property
    def parts(self) -> Parts | None:
        """What the requantization starts from."""
        return None if self.machine.step is None else _parts(self.machine, self.machine.step, self.acc, self.where)


_OF_SUMS = (
    "case", "op", "operands", "constants", "attributes", "narrow", "origin", "fill", "add", "products", "lines",
    "packed", "kept", "pool",
)  # fmt: skip
_OF_WINDOWS = ("case", "op", "operands", "attributes", "origin", "fill", "lines")
_OF_PARTS = ("case", "step", "residual", "first_image", "position")


def _alike(one: Machine, other: Machine, names: Sequence[str]) -> bool:
    """Whether two machines share these, the same objects, not only equal ones."""
    return all(getattr(one, name) is getattr(other, name) for name in names)


def recompute(
    machine: Machine,
    stages: Sequence[str],
    where: np.ndarray | None = None,
    written: Sequence[str] = (),
    known: Known | None = None,
) -> dict[str, np.ndarray]:
    """What a machine writes: {stage: int64}, at the flat positions ``where`` (S,), or everything (N, ...) if None.

    ``order`` and ``shown`` belong to the writing and touch only the stages ``written``.  ``known``: of the same places.
    """
    plain = [stage for stage in stages if stage not in written]
    moved = [stage for stage in stages if stage in written]
    if not (machine.order or machine.shown) or not moved:
        return _computed(machine, stages, where, known)
    found = _computed(machine, plain, where, known) if plain else {}
    if machine.order:
        found |= _computed(machine, moved, None if where is None else _moved(machine, where))
    else:
        found |= _computed(machine, moved, where, known)
    for stage in moved:
        values = found[stage]
        if where is None:
            for order in machine.order:
                values = order(values)
        for shown in machine.shown:
            values = shown(values)
        found[stage] = values
    return found


def _moved(machine: Machine, where: np.ndarray) -> np.ndarray:
    """Where the elements that end up at ``where`` come from."""
    size = int(np.prod(machine.case.shape))
    sources = np.arange(size).reshape(1, *machine.case.shape)
    for order in machine.order:
        sources = order(sources)
    return where // size * size + sources.reshape(-1)[where % size]


def _computed(
    machine: Machine, stages: Sequence[str], where: np.ndarray | None, known: Known | None = None
) -> dict[str, np.ndarray]:
    if known is not None and _alike(machine, known.machine, _OF_SUMS):
        acc = known.acc
    else:
        acc = accumulators(machine, where, None if known is None else known.windows_for(machine))
    if not OPS[machine.case.layer.op].ACCUMULATES:
        return dict.fromkeys(stages, acc)
    if {"total", "code"}.isdisjoint(stages):
        return {"accumulator": acc}
    found = stages_at(machine, acc, where, known)
    return {stage: found[stage] for stage in stages}


def stages_at(
    machine: Machine, acc: np.ndarray, where: np.ndarray | None, known: Known | None = None
) -> dict[str, np.ndarray]:
    """All stages of given accumulators, at the flat positions ``where`` or everywhere: {stage: int64}."""
    if machine.step is None:
        return {"accumulator": acc}
    if known is not None and known.parts is not None and _alike(machine, known.machine, _OF_PARTS):
        parts = replace(known.parts, acc=acc)
    else:
        parts = _parts(machine, machine.step, acc, where)
    total = machine.total(parts)
    return {"accumulator": acc, "total": total, "code": np.asarray(machine.codes(parts, total), np.int64)}


def requantized(machine: Machine, acc: np.ndarray) -> np.ndarray:
    """The codes of other accumulators, all of them: int64 (N, ...).  RangeError where there is no requantization."""
    if machine.step is None:
        raise RangeError(f"layer {machine.case.layer.name!r} gives accumulators and requantizes nothing")
    return stages_at(machine, acc, None)["code"]


def _parts(machine: Machine, step: Requantize, acc: np.ndarray, where: np.ndarray | None) -> Parts:
    """What the requantization starts from; at single elements the constants are picked, one for each."""
    residual, bits = machine.residual, None
    bias = machine.case.layer.constants.get("bias", np.zeros(1)).astype(np.int64)
    if step.rounding == STOCHASTIC:
        bits = random_bits(step.seed, machine.position, machine.first_image, (machine.case.count, *machine.case.shape))
    if where is not None:
        channel = where % machine.case.shape[-1]
        bias = bias[channel] if len(bias) > 1 else bias
        step = replace(step, **{
            name: values[channel]
            for name in ("multiplier", "shift", "residual_shift")
            if (values := getattr(step, name)) is not None and len(values) > 1
        })  # fmt: skip
        residual = None if residual is None else residual.reshape(-1)[where]
        bits = None if bits is None else bits.reshape(-1)[where]
    return Parts(acc, step, None if residual is None else residual.astype(np.int64), bits, bias)
