"""Compare two dumps integer by integer, and tell the faulty layer from propagated errors.

``entire``: what the DUT (the device under test) dumped, against what the golden dumped.  ``single``, where the network
is known: each layer recomputed alone from the DUT's *own* dumped inputs, against the DUT's outputs.  A layer whose
``entire`` differs and whose ``single`` agrees only passes on what it was given; a layer whose ``single`` differs is
faulty.  Where the DUT dumped no codes of an input, that layer is recomputed from its own inputs in turn.  A layer that
equals the golden and yet does not follow from the DUT's inputs is a contradiction: those were not what it read.

Nothing is broadcast, cut or left out in silence: what cannot be compared is a failure, unless it was excluded by name.
Both dumps are read layer by layer and in blocks of images, so memory does not grow with the number of images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...network.int_network import IntNetwork
from ..diagnose.machine import STAGES
from ..diagnose.observe import Observation, observe
from ..dumps.difference import Array, Difference, Tally
from ..dumps.dump import Dump, Values, by_order, contradiction
from .isolated import Alone
from .one_array import lies
from .pairs import BROKEN, CONTRADICTORY, DAMAGED, MISSING, UNKNOWN, Pair, Plan, Problem, Rules, bytes_of, marks_in
from .whole_dump import Explanation, explained

CAUSE_IMAGES = 16
CAUSE_BYTES = 1 << 26
DIAGNOSED = 8  # faulty layers; where more go wrong by themselves, it is not one mistake in each

ALL_EQUAL, SOME_DIFFERENT, INCOMPLETE = "EQUAL", "DIFFERENT", "INCOMPLETE"  # of a whole comparison
NOTHING_TESTED = "0 layers compared: nothing was tested"
EQUAL, DIFFERENT, FAULTY, PROPAGATED, CONTRADICTION = "equal", "different", "faulty", "propagated", "contradiction"
FAILING = (DIFFERENT, FAULTY, PROPAGATED, CONTRADICTION, MISSING, UNKNOWN, DAMAGED, BROKEN, CONTRADICTORY)

Progress = Callable[[int, int, str], None]
Diagnose = Callable[..., Any]  # (Case, None, {stage: integers}[, {stage: which of them have unknown bits}])


@dataclass(frozen=True)
class StageReport:
    """One stage of one layer.  problem: why nothing could be compared.  single: None where it could not be computed."""

    stage: str
    problem: Problem | None = None
    entire: Difference | None = None
    single: Difference | None = None

    @property
    def fails(self) -> bool:
        """Whether anything is wrong here."""
        return self.problem is not None or self.differs

    @property
    def differs(self) -> bool:
        """Whether any value is wrong here."""
        return any(d is not None and d.different for d in (self.entire, self.single))


@dataclass(frozen=True)
class Cause:
    """What ``golden.diagnose.cause`` says of a faulty layer; ``names``: all causes that explain every value, or the
    best one."""

    stage: str
    cause: str | None
    certain: bool
    sentence: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of one stage of both sides, for a page: golden and DUT, int64 (H, W, C) or (K)."""

    stage: str
    image: int
    golden: Array
    got: Array


@dataclass(frozen=True)
class LayerReport:
    """One layer: its verdict, why it was not compared, its stages in hardware's order, and of a faulty layer the cause.

    through: inputs that the DUT did not dump and that ``single`` therefore recomputed too.  hint: what may be meant
    where the layer is unknown.  blamed: of a contradiction, the inputs that differ from the golden.  where: where the
    differences lie and what they are, in some images.  picture: the first image that differs, if it was asked for.
    """

    layer: str
    verdict: str
    dut_name: str | None = None
    why: str | None = None
    stages: tuple[StageReport, ...] = ()
    through: tuple[str, ...] = ()
    cause: Cause | None = None
    hint: str | None = None
    blamed: tuple[str, ...] = ()
    where: tuple[Observation, ...] = ()
    picture: Picture | None = None

    @property
    def fails(self) -> bool:
        """Whether anything is wrong with this layer."""
        return self.verdict in FAILING

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not there to be compared: the layer, or some of its stages."""
        if not self.stages:
            return (self.layer,) if self.verdict == MISSING else ()
        gone = (stage for stage in self.stages if stage.problem is not None and stage.problem.verdict == MISSING)
        return tuple(f"{self.layer}.{stage.stage}" for stage in gone)

    @property
    def wrong(self) -> bool:
        """Whether it fails by more than by what is missing."""
        if not self.stages:
            return self.fails and self.verdict not in (MISSING, UNKNOWN)
        return any(
            stage.fails and (stage.problem is None or stage.problem.verdict != MISSING or stage.differs)
            for stage in self.stages
        )

    def first(self, column: str = "entire") -> StageReport | None:
        """The first stage whose ``entire`` or ``single`` differs."""
        for stage in self.stages:
            difference = getattr(stage, column)
            if difference is not None and difference.different:
                return stage
        return None


@dataclass(frozen=True)
class Comparison:
    """All that was found; layers in order of execution as far as it is known.

    problems: of the dumps as wholes, each a failure.  notes: what a reader should know all the same.  unjudged: stages
    that a side dumped of no layer.  passed_over: what the DUT holds and nothing judged, by name, and why.
    explanation: how the dump lies, where that explains most of it.  network: whether layers could be recomputed.
    other_model: whether a network was given that is not that of both dumps.
    """

    golden: str
    dut: str
    model_hash: str | None
    images: int
    first_image: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    layers: tuple[LayerReport, ...]
    unjudged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    explanation: Explanation | None = None
    network: bool = False
    other_model: bool = False
    passed_over: Mapping[str, str] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """True where nothing is wrong at all, and everything that the DUT holds was judged."""
        return not self.problems and not self.passed_over and not any(layer.fails for layer in self.layers)

    @property
    def verdict(self) -> str:
        """EQUAL; DIFFERENT; or INCOMPLETE: what was compared agrees, and something is missing or was not judged."""
        if self.equal:
            return ALL_EQUAL
        wrong = any(problem != NOTHING_TESTED for problem in self.problems) or any(layer.wrong for layer in self.layers)
        return SOME_DIFFERENT if wrong else INCOMPLETE

    @property
    def missing(self) -> tuple[str, ...]:
        """Layers, and stages as LAYER.STAGE, that were asked for and are not there."""
        return tuple(name for layer in self.layers for name in layer.missing)

    @property
    def left(self) -> tuple[str, ...]:
        """What the DUT holds and nothing judged: what was passed over, and layers of names that the golden has not."""
        return (*self.passed_over, *(layer.layer for layer in self.layers if layer.verdict == UNKNOWN))

    @property
    def compared(self) -> tuple[LayerReport, ...]:
        """Layers of which at least one stage was compared."""
        return tuple(layer for layer in self.layers if any(stage.entire for stage in layer.stages))

    @property
    def first(self) -> tuple[LayerReport, StageReport] | None:
        """The first layer that differs as dumped, and its first stage that does."""
        found = ((layer, layer.first("entire")) for layer in self.layers)
        return next(((layer, stage) for layer, stage in found if stage is not None), None)

    @property
    def faulty_layers(self) -> tuple[LayerReport, ...]:
        """Layers that go wrong by themselves."""
        return tuple(layer for layer in self.layers if layer.verdict == FAULTY)


def compare(
    golden: Dump,
    dut: Dump,
    rules: Rules | None = None,
    network: IntNetwork | None = None,
    diagnose: Diagnose | None = None,
    progress: Progress | None = None,
    pictures: bool = False,
) -> Comparison:
    """Everything that two dumps have, against each other; the DUT's layers alone too, where ``network`` is given.

    ``diagnose`` is ``golden.diagnose.cause.diagnose``, asked of the first ``DIAGNOSED`` faulty layers unless the whole
    dump has a different memory layout; None: no causes.  ``progress(done, total, layer)`` counts megabytes.
    ``pictures``: keep an image of each layer that is looked at.  RangeError for rules that mean nothing.
    """
    plan = Plan(golden, dut, rules or Rules(), network)
    problems = list(plan.problems)
    alone = None
    notes = plan.notes
    if network is not None and any(network.dynamic.values()):
        notes += ("exponents are dynamic, chosen for each image: layers are not recomputed alone, no cause is named",)
    elif network is not None and not plan.other_model:
        known = (plan.dut_stages, plan.images, plan.first_image, plan.golden_stages)
        alone = Alone(network, *known, plan.takes_inputs_of_golden, golden.given)
    reports: list[LayerReport] = []
    done, whole = 0, sum(pair.megabytes for pair in plan.pairs)
    for pair in plan.pairs:
        if progress is not None:
            progress(done, max(1, whole), pair.layer)
        reports.append(compare_layer(pair, alone))
        done += pair.megabytes
    explanation = explained(plan) if any(report.fails for report in reports) else None
    explanation = explanation or _of_one_array(plan, reports)
    if alone is not None:
        reports = [_with_blame(report, alone, reports) for report in reports]
    if diagnose is not None and alone is not None and explanation is None:
        first = {report.layer for report in [report for report in reports if report.verdict == FAULTY][:DIAGNOSED]}
        reports = [
            _with_cause(report, plan, alone, diagnose) if report.layer in first else report for report in reports
        ]
    if explanation is None:
        looked_at = [report.layer for report in reports if report.first() is not None and report.verdict != PROPAGATED]
        looked_at = looked_at[:DIAGNOSED]
        reports = [_with_where(report, plan, pictures) if report.layer in looked_at else report for report in reports]
    if not any(stage.entire for report in reports for stage in report.stages):
        problems.append(NOTHING_TESTED)
    return Comparison(
        golden.file,
        dut.file,
        next((h for h in (golden.model_hash, dut.model_hash, network and network.hash) if h), None),
        golden.count,
        plan.first_image,
        tuple(problems),
        notes,
        tuple(reports),
        plan.unjudged,
        explanation,
        alone is not None,
        plan.other_model,
        plan.passed_over,
    )


def _of_one_array(plan: Plan, reports: Sequence[LayerReport]) -> Explanation | None:
    """How the first array lies that is not the golden's, where no other layer is wrong."""
    wrong = [report for report in reports if report.wrong]
    if len(wrong) != 1:
        return None
    layer = wrong[0].layer
    for stage in wrong[0].stages:
        golden, dut = (side.get(layer, {}).get(stage.stage) for side in (plan.golden_stages, plan.dut_stages))
        if not stage.fails or golden is None or dut is None:
            continue
        found = lies(golden, dut)
        return None if found is None else Explanation(f"{layer} {stage.stage}: {found.sentence}", 1, 1)
    return None


# ----------------------------------------------------------------------------------------------------------- one layer


@dataclass
class _Judged:
    """One stage while it is read: both sides, what was counted, why it cannot be read on, and unknown bits."""

    golden: Values
    dut: Values
    entire: Tally
    single: Tally
    problem: Problem | None = None
    unread: bool = False
    marks: tuple[Array | None, Array | None] = (None, None)

    def block(self, start: int, stop: int) -> Array | None:
        """The DUT's images, once they are counted; None where the stage cannot be read."""
        if self.unread:
            return None
        read = _read(self.golden, self.dut, start, stop)
        if isinstance(read, Problem):
            self.problem, self.unread = read, True
            return None
        self.marks = _marks(self.dut, start, stop)
        self.entire.add(start, *read, *self.marks)
        self.problem = self.problem or _contradicted(self.dut, start, stop, read[1])
        return read[1]

    def report(self, stage: str, recomputed: bool) -> StageReport:
        if self.unread:
            return StageReport(stage, self.problem)
        return StageReport(stage, self.problem, self.entire.end(), _known(self.single) if recomputed else None)


def compare_layer(pair: Pair, alone: Alone | None = None, images: range | None = None) -> LayerReport:
    """All chosen stages of one layer, block by block; ``images``: only those."""
    if pair.verdict is not None:
        return LayerReport(pair.layer, pair.verdict, pair.dut_name, pair.why, hint=pair.hint)
    judged = {
        stage: _Judged(*values, Tally(*pair.ends[stage]), Tally(*pair.ends[stage]), pair.problems.get(stage))
        for stage, values in pair.stages.items()
    }
    single = alone if alone is not None and alone.knows(pair.layer) and judged else None
    through: set[str] = set()
    count = max((golden.shape[0] for golden, _ in pair.stages.values()), default=0)
    rows = pair.rows(None if single is None else single.rows)
    for start, stop in _blocks(range(count) if images is None else images, rows):
        blocks = {stage: one.block(start, stop) for stage, one in judged.items()}
        got = {stage: block for stage, block in blocks.items() if block is not None}
        if single is not None and not _count_alone(single, pair.layer, start, stop, got, judged, through):
            single = None
    reports = tuple(
        judged[stage].report(stage, single is not None) if stage in judged else StageReport(stage, pair.problems[stage])
        for stage in by_order({**pair.problems, **pair.stages})
    )
    problems = ((report.stage, report.problem) for report in reports)
    why = "; ".join(f"{stage}: {problem.why}" for stage, problem in problems if problem is not None) or None
    return LayerReport(pair.layer, _verdict(reports), pair.dut_name, why, reports, tuple(sorted(through)))


def _blocks(images: range, rows: int) -> Iterator[tuple[int, int]]:
    for start in range(images.start, images.stop, rows):
        yield start, min(start + rows, images.stop)


def _count_alone(
    alone: Alone,
    layer: str,
    start: int,
    stop: int,
    got: Mapping[str, Array],
    judged: Mapping[str, _Judged],
    through: set[str],
) -> bool:
    """The same images recomputed from the DUT's own inputs and counted; False where these are not known."""
    expected = alone.recompute(layer, start, stop, tuple(got), through)
    for stage, array in (expected or {}).items():
        should, found = _alike(array, got[stage])
        if should.shape == found.shape:
            judged[stage].single.add(start, should, found, *judged[stage].marks)
    return expected is not None


def _read(golden: Values, dut: Values, start: int, stop: int) -> tuple[Array, Array] | Problem:
    """The same images of both sides, or why one of them cannot be read or compared."""
    try:
        return _alike(golden.read(start, stop), dut.read(start, stop))
    except FileError as error:
        return Problem(DAMAGED, str(error))
    except RangeError as error:
        return Problem(BROKEN, str(error))


def _marks(dut: Values, start: int, stop: int) -> tuple[Array | None, Array | None]:
    """Unknown bits and missing values of some images."""
    found = marks_in(dut, start, stop)
    return (None, None) if found is None else (found.unknown, found.missing)


def _contradicted(dut: Values, start: int, stop: int, block: Array) -> Problem | None:
    """What is wrong with the other forms in which the DUT holds some images."""
    try:
        found = contradiction(dut, start, stop, block)
    except FileError as error:
        return Problem(DAMAGED, str(error))
    return None if found is None else Problem(CONTRADICTORY, found)


def _known(tally: Tally) -> Difference | None:
    """What was seen; None where there was nothing of this shape to compare with."""
    difference = tally.end()
    return difference if difference.values else None


def _verdict(stages: Sequence[StageReport]) -> str:
    different = any(stage.entire is not None and stage.entire.different for stage in stages)
    if any(stage.single is not None and stage.single.different for stage in stages):
        return FAULTY if different else CONTRADICTION
    if different:
        known = all(stage.single is not None for stage in stages if stage.entire is not None)
        return PROPAGATED if known else DIFFERENT
    return next((stage.problem.verdict for stage in stages if stage.problem is not None), EQUAL)


def _alike(one: Array, other: Array) -> tuple[Array, Array]:
    """Both as int64 where their types differ; RangeError where a value is beyond it."""
    if one.dtype == other.dtype:
        return one, other
    for array in (one, other):
        if array.dtype == np.uint64 and array.size and int(array.max()) >= 2**63:
            raise RangeError(f"holds {int(array.max())}, no stage of any layer goes beyond 2**63 - 1")
    return one.astype(np.int64), other.astype(np.int64)


# ---------------------------------------------------------------------------------------------------------- the cause


def _with_blame(report: LayerReport, alone: Alone, reports: Sequence[LayerReport]) -> LayerReport:
    """A contradiction's report with the inputs that are not the golden's."""
    if report.verdict != CONTRADICTION:
        return report
    wrong = {other.layer for other in reports if other.first("entire") is not None}
    return replace(report, blamed=tuple(name for name in alone.sources(report.layer, report.through) if name in wrong))


def _with_cause(report: LayerReport, plan: Plan, alone: Alone, diagnose: Diagnose) -> LayerReport:
    """A faulty layer's report with what ``diagnose`` makes of some of its images, all stages that differ or not."""
    stage = report.first("single")
    if report.verdict != FAULTY or stage is None or stage.single is None or stage.single.first is None:
        return report
    read = {stage.stage for stage in report.stages if stage.entire is not None} & {*STAGES}
    known = {name: pair[1] for name, pair in plan.pair(report.layer).stages.items() if name in read}
    if not known:
        return report
    images = _images_of_a_cause([*known.values()], stage.single.first.index[0])
    unknown = {name: mask for name, values in known.items() if (mask := _left_out(values, images)) is not None}
    got = {name: values.read(images.start, images.stop) for name, values in known.items()}
    case = alone.case(report.layer, images)
    if case is None:
        return report
    found = diagnose(case, None, got, unknown) if unknown else diagnose(case, None, got)
    names = tuple(match.name for match in found.ranked if match.exact) or ((found.cause,) if found.cause else ())
    cause = Cause(stage.stage, found.cause, found.certain, found.sentence, names)
    return replace(report, cause=cause, where=() if unknown else getattr(found, "where", ()))


def _left_out(values: Values, images: range) -> Array | None:
    """Values of some images of which no hypothesis is asked: those with unknown bits, and those that are missing."""
    masks = [mask for mask in _marks(values, images.start, images.stop) if mask is not None]
    return np.logical_or.reduce([mask != 0 for mask in masks]) if masks else None


def _with_where(report: LayerReport, plan: Plan, pictures: bool) -> LayerReport:
    """A report with what is to be seen in the differences of its first stage that differs from the golden."""
    stage = report.first()
    if stage is None or stage.entire is None or stage.entire.first is None:
        return report
    pair = plan.pair(report.layer)
    golden, dut = pair.stages[stage.stage]
    first = stage.entire.first.index[0]
    images = _images_of_a_cause([golden, dut], first)
    read = _read(golden, dut, images.start, images.stop)
    if isinstance(read, Problem) or read[0].ndim not in (2, 4):
        return report
    should, found = (array.astype(np.int64) for array in read)
    unknown, missing = _marks(dut, images.start, images.stop)
    found = found if missing is None else np.where(missing, should, found)
    picture = Picture(stage.stage, first, should[first - images.start], found[first - images.start])
    ends = pair.ends[stage.stage][:2] if stage.stage == "code" else None
    skipped = images.start * should[0].size
    seen = report.where or observe(should, found, ends, skipped, None if unknown is None else unknown != 0)
    return replace(report, where=seen, picture=picture if pictures else None)


def _images_of_a_cause(stages: Sequence[Values], first: int) -> range:
    """Some images with the first that differs among them, and the one before it, which may have left something."""
    count = stages[0].shape[0]
    row = max(1, sum(bytes_of(values) for values in stages) // count)
    most = max(2, min(CAUSE_IMAGES, CAUSE_BYTES // row))
    start = max(0, min(first - 1, count - most))
    return range(start, min(count, start + most))
