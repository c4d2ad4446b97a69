"""Would this comparison have caught it?  Known faults, seeded into copies of the DUT's own dump, one at a time.

Every seed goes into every stage of every layer that the DUT dumped, into a copy in memory of a few of its images, and
the copy is compared under the same rules.  A fault that the comparison passes goes unnoticed: its layer was excluded or
its stage was not chosen.  A fault that this dump cannot have is not applicable: one image cannot be
exchanged with another, and zeros look the same in any order.  That a DUT hands in a copy of the golden is what no
comparison of values can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import FileError
from ...network.int_network import IntNetwork
from ..dumps.difference import Array, same_bytes
from ..dumps.dump import Damaged, Dump, Held, Values
from .compare import compare_layer
from .pairs import Plan, Rules
from .seeds import SEEDS, Seed

WINDOWS = 8
COPIED = "copied_from_golden"
CANNOT_TELL = "a DUT that hands in a copy of the golden is equal to it: no comparison of values can tell"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Missed:
    """A seeded fault that the comparison would have passed, or that could not be seeded, and why."""

    seed: str
    layer: str
    stage: str
    why: str


@dataclass(frozen=True)
class SelfTest:
    """caught: seed -> how often; missed: where it was not; not_applicable: where it cannot be.

    untested: layers without integers, and why.  cannot_tell: how many stages were replaced by the golden's own, which
    no comparison sees.
    """

    caught: Mapping[str, int]
    missed: tuple[Missed, ...]
    not_applicable: tuple[Missed, ...]
    untested: Mapping[str, str]
    cannot_tell: int

    @property
    def passed(self) -> bool:
        """True where every fault that could be seeded was caught, and one at least."""
        return not self.missed and any(self.caught.values())


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
    not_applicable: list[Missed] = []
    untested: dict[str, str] = {}
    cannot_tell = 0
    for number, pair in enumerate(plan.pairs):
        if progress is not None:
            progress(number, len(plan.pairs), pair.layer)
        stages = plan.dut_stages.get(pair.layer, {}) if plan.asked(pair.layer) else {}
        if not stages:
            untested[pair.layer] = pair.why or "not dumped"
        for stage, values in stages.items():
            cannot_tell += stage in pair.stages
            try:
                windows = [*_windows(values)]
            except FileError as error:
                untested[f"{pair.layer} {stage}"] = str(error)
                continue
            for seed in SEEDS.values():
                window, why = _seeded(seed, windows)
                if window is None:
                    not_applicable.append(Missed(seed.name, pair.layer, stage, why))
                    continue
                passed = _passed(plan, pair.layer, stage, *window)
                if passed is None:
                    caught[seed.name] += 1
                elif stage not in plan.golden_stages.get(pair.layer, {}):
                    not_applicable.append(Missed(seed.name, pair.layer, stage, "not in the golden"))
                else:
                    missed.append(Missed(seed.name, pair.layer, stage, passed))
    return SelfTest(caught, tuple(missed), tuple(not_applicable), untested, cannot_tell)


def _seeded(seed: Seed, windows: Sequence[tuple[int, Array]]) -> tuple[tuple[int, int, Array] | None, str]:
    """First image, count and faulty block of the first window that the fault changes; or why there is none."""
    if len(windows[0][1]) < seed.images:
        return None, f"needs {seed.images} images"
    why = "nothing there to exchange"
    for start, block in windows:
        changed = seed.change(block)
        if changed is None:
            continue
        if changed.shape != block.shape or not same_bytes(changed, block):
            return (start, len(block), changed), ""
        why = "changes nothing in these images"
    return None, why


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
    if isinstance(values, Damaged):
        return values
    stop = min(start + count, values.shape[0])
    return Held(values.read(min(start, stop), stop))
