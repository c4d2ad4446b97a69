"""Would this comparison have caught it?  Known faults, seeded into copies of the DUT's own dump, one at a time.

Every seed goes into every stage of every layer that the DUT dumped, into a copy in memory of a few of its images, and
the copy is compared under the same rules.  A fault that the comparison passes goes unnoticed: its layer was excluded,
its stage was not among the chosen ones, or these images hold nothing that shows it (one image cannot be exchanged with
another).  That a DUT hands in a copy of the golden is what no comparison of values can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..network.int_network import IntNetwork
from .compare import compare_layer
from .difference import Array, same_bytes
from .dump import Dump, Held, Values
from .pairs import BROKEN, Plan, Rules
from .seeds import SEEDS

WINDOWS = 8
COPIED = "copied_from_golden"
CANNOT_TELL = "a DUT that hands in a copy of the golden is equal to it: no comparison of values can tell"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Missed:
    """A seeded fault that the comparison would have passed, and why."""

    seed: str
    layer: str
    stage: str
    why: str


@dataclass(frozen=True)
class SelfTest:
    """caught: seed -> how often; missed: where it was not; untested: layers without integers, and why.

    cannot_tell: how many stages were replaced by the golden's own, which no comparison sees.
    """

    caught: Mapping[str, int]
    missed: tuple[Missed, ...]
    untested: Mapping[str, str]
    cannot_tell: int

    @property
    def passed(self) -> bool:
        """True where every seeded fault was caught, and no layer is beyond the comparison."""
        return not self.missed and not self.untested


def self_test(
    golden: Dump,
    dut: Dump,
    rules: Rules | None = None,
    network: IntNetwork | None = None,
    progress: Progress | None = None,
) -> SelfTest:
    """Seed every fault of ``SEEDS`` into every stage that the DUT dumped and compare each copy with the golden."""
    plan = Plan(golden, dut, rules or Rules(), network)
    caught = dict.fromkeys(SEEDS, 0)
    missed: list[Missed] = []
    untested: dict[str, str] = {}
    cannot_tell = 0
    for number, pair in enumerate(plan.pairs):
        if progress is not None:
            progress(number, len(plan.pairs), pair.layer)
        stages = plan.dut_stages.get(pair.layer, {})
        if not stages and pair.verdict != BROKEN:
            untested[pair.layer] = pair.why or "not dumped"
        for stage in stages:
            cannot_tell += stage in pair.stages
            for name, why in _tried(plan, pair.layer, stage):
                if why is None:
                    caught[name] += 1
                else:
                    missed.append(Missed(name, pair.layer, stage, why))
    return SelfTest(caught, tuple(missed), untested, cannot_tell)


def _tried(plan: Plan, layer: str, stage: str) -> Iterator[tuple[str, str | None]]:
    """For every seed that can be put there: its name, and why it was missed or None."""
    windows = [*_windows(plan.dut_stages[layer][stage])]
    for seed in SEEDS.values():
        possible = False
        why: str | None = f"needs {seed.images} images" if len(windows[0][1]) < seed.images else None
        for start, block in windows:
            changed = seed.change(block) if len(block) >= seed.images else None
            if changed is None:
                continue
            possible = True
            if changed.shape == block.shape and same_bytes(changed, block):
                why = "changes nothing in these images"
                continue
            why = _passed(plan, layer, stage, start, len(block), changed)
            break
        if possible or why is not None:
            yield seed.name, why


def _windows(values: Values) -> Iterator[tuple[int, Array]]:
    """A few places of two images each, the last one first."""
    count = values.shape[0]
    size = min(2, count)
    last = count - size
    starts = dict.fromkeys(last - last * step // WINDOWS for step in range(WINDOWS))
    for start in starts:
        yield start, values.read(start, start + size)


def _passed(plan: Plan, layer: str, stage: str, start: int, count: int, changed: Array) -> str | None:
    """Why the comparison does not see the fault, None where it does."""
    golden = {name: _held(values, start, count) for name, values in plan.golden_stages.get(layer, {}).items()}
    dut: dict[str, Values] = {
        name: Held(changed) if name == stage else _held(values, start, count)
        for name, values in plan.dut_stages[layer].items()
    }
    pair = plan.meet(layer, golden or None, dut)
    report = compare_layer(pair)
    if report.fails:
        return None
    return report.why or f"stage {stage} is not compared"


def _held(values: Values, start: int, count: int) -> Values:
    stop = min(start + count, values.shape[0])
    return Held(values.read(min(start, stop), stop))
