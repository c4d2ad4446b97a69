"""A dump of a layer beside what the contract says, and samples of both on which hypotheses are tried.

``Evidence`` holds whole stages; ``sample_of`` picks wrong and right values of a few images, because an element or two
hundred can be recomputed under two hundred hypotheses in the time that one whole layer takes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...errors import RangeError
from .accumulators import accumulators
from .clues import Clues
from .hypotheses import Hypothesis, named
from .machine import STAGES, Case, Machine, machine_of, stages_of_case
from .recompute import Known, recompute, stages_at
from .structure import affected

_SCREENED_ELEMENTS = 1 << 20


@dataclass(frozen=True)
class Match:
    """How far a hypothesis goes: ``equal`` of ``total`` wrong values reproduced, ``spoiled`` right ones changed.

    Both are counted over the whole dump if ``whole``, else over the sample.  ``name``: of a hypothesis, of a structural
    fault, or of two hypotheses, joined by " + ".  ``place``: where alone it is at work, None for everywhere.
    ``sampled``: at how many values only it was tried, because more would take minutes; 0 for all.
    """

    name: str
    equal: int
    total: int
    spoiled: int = 0
    whole: bool = False
    place: str | None = None
    sampled: int = 0

    @property
    def exact(self) -> bool:
        """It reproduces every value of the dump."""
        return self.whole and self.equal == self.total and not self.spoiled


class Evidence:
    """A dump beside what the layer should have written.

    ``known``: the places (N, ...) at which no stage has unknown bits; nothing is asked of a hypothesis at the others.
    A stage without a known value is left out whole.  ``left_out``: how many values have unknown bits.
    """

    def __init__(
        self, case: Case, dumped: Mapping[str, np.ndarray], unknown: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.case = case
        self.got = dict(_checked(case, *item) for item in dumped.items())
        masks = dict(_checked(case, stage, mask.astype(np.uint8)) for stage, mask in (unknown or {}).items())
        self.left_out = sum(int(np.count_nonzero(mask)) for mask in masks.values())
        whole = {stage for stage, mask in masks.items() if mask.all()}
        if len(whole) < len(self.got):
            self.got = {stage: values for stage, values in self.got.items() if stage not in whole}
        self.known = np.ones((case.count, *case.shape), bool)
        for stage in masks.keys() & self.got.keys():
            self.known &= masks[stage] == 0
        self.stages = tuple(stage for stage in STAGES if stage in self.got)
        self.machine = machine_of(case)
        self.golden = everything(case, (), self.stages, ())
        self.wrong = {stage: (self.got[stage] != self.golden[stage]) & self.known for stage in self.stages}
        self.differing = tuple(stage for stage in self.stages if self.wrong[stage].any())
        self.anywhere = np.logical_or.reduce([*self.wrong.values()])
        self.total = sum(int(np.count_nonzero(wrong)) for wrong in self.wrong.values())
        self.size = len(self.got) * int(np.count_nonzero(self.known))

    @cached_property
    def follows(self) -> bool:
        """Whether all else in the dump is right for its accumulators, which differ: they alone are to be explained."""
        if "accumulator" not in self.differing:
            return False
        found = stages_at(self.machine, self.got["accumulator"], None)
        return all(self.same(stage, found[stage]).all() for stage in self.stages)

    def same(self, stage: str, values: np.ndarray) -> np.ndarray:
        """Where values are the dump's, or the dump does not know better: bool (N, ...)."""
        return (values == self.got[stage]) | ~self.known

    @cached_property
    def observations(self) -> int:
        """How many different pairs of what should be and what is there are among the wrong values, of the best stage.

        Of codes, those at an end of the clip count for nothing: many mistakes end there.
        """
        most = 0
        for stage in self.differing:
            golden, got = (values[stage][self.wrong[stage]] for values in (self.golden, self.got))
            if stage == "code" and self.machine.step is not None:
                inside = (got > self.machine.step.lo) & (got < self.machine.step.hi)
                golden, got = golden[inside], got[inside]
            most = max(most, len(np.unique(golden * 2**20 + got)))
        return most

    @cached_property
    def different_sums(self) -> int:
        """How many different sums, less their biases, the wrong values come from.

        Values of one sum are one observation: where all products are 0, a multiplier of 1 is a bias behind it.
        """
        sums = accumulators(self.machine, None)
        if "bias" in self.machine.constants:
            sums = sums - self.machine.constants["bias"]
        return len(np.unique(sums[self.anywhere]))

    def match(self, name: str, same: Mapping[str, np.ndarray], whole: bool = True, place: str | None = None) -> Match:
        """The score of values that are ``same`` as the dump's, everywhere."""
        equal = sum(int(np.count_nonzero(same[stage] & self.wrong[stage])) for stage in self.stages)
        spoiled = sum(int(np.count_nonzero(~same[stage] & ~self.wrong[stage])) for stage in self.stages)
        return Match(name, equal, self.total, spoiled, whole, place)


def _checked(case: Case, stage: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """A stage under its own name, as int64 of the layer's shape."""
    known = stages_of_case(case)
    name = known[-1] if stage == "logits" and case.layer.name == case.network.layers[-1].name else stage
    where = f"layer {case.layer.name!r}"
    if name not in known:
        raise RangeError(f"{where} has no stage {stage!r}, it has {', '.join(known)}")
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise RangeError(f"{where}, {stage}: a dump holds integers, found {values.dtype}")
    shape = (case.count, *case.shape)
    if values.size != int(np.prod(shape)) or values.shape[:1] != shape[:1]:
        raise RangeError(f"{where}, {stage}: the dump has shape {values.shape}, needed {shape}")
    return name, values.reshape(shape).astype(np.int64)


def everything(
    case: Case, names: Sequence[str], stages: Sequence[str], written: Sequence[str]
) -> dict[str, np.ndarray]:
    """What the layer with these faults writes, a few images at a time."""
    size = int(np.prod(case.shape)) * len(stages)
    block = max(1, (_SCREENED_ELEMENTS << 2) // max(size, 1))
    faulty = with_faults(machine_of(case), names)
    if faulty is not None and faulty.remembers:
        block = case.count
    parts = []
    for first in range(0, case.count, block):
        machine = with_faults(machine_of(case.images(first, min(first + block, case.count))), names)
        if machine is None:
            raise RangeError(f"layer {case.layer.name!r}: {' + '.join(names)} cannot happen to it")
        parts.append(recompute(machine, stages, None, written))
    return {stage: np.concatenate([part[stage] for part in parts]) for stage in stages}


def with_faults(machine: Machine | None, names: Sequence[str]) -> Machine | None:
    for name in names:
        machine = None if machine is None else named(name)(machine)
    return machine


# ------------------------------------------------------------------------------------------------------------ screening


@dataclass(frozen=True, eq=False)
class Sample(Clues):
    """Wrong values and right ones of a few images; ``closer`` counts where a hypothesis comes nearer."""

    def values(self, machine: Machine) -> Mapping[str, np.ndarray]:
        known = self.remembered("known", lambda: Known(self.machine, self.where))
        return recompute(machine, [*self.got], self.where, self.differing, known)

    def score(self, name: str, machine: Machine) -> "Score":
        found = self.values(machine)
        equal = total = spoiled = closer = 0
        for stage, before in self._distances.items():
            after = np.abs(found[stage] - self.got[stage])
            wrong = int(np.count_nonzero(before))
            still = int(np.count_nonzero(after))
            here = int(np.count_nonzero(after[before != 0] == 0))
            equal, total, spoiled = equal + here, total + wrong, spoiled + still - (wrong - here)
            closer += int(np.count_nonzero(after < before)) - int(np.count_nonzero(after > before))
        return Score(Match(name, equal, total, spoiled), closer)

    @property
    def _distances(self) -> Mapping[str, np.ndarray]:
        """How far each value is from what it should be; 0 where it is right."""
        return self.remembered(
            "distances", lambda: {stage: np.abs(self.golden[stage] - got) for stage, got in self.got.items()}
        )

    def few(self, count: int) -> "Sample":
        """Every n-th value, so that about ``count`` are left."""
        part = slice(None, None, max(1, len(self.where) // count))
        got = {stage: values[part] for stage, values in self.got.items()}
        golden = {stage: values[part] for stage, values in self.golden.items()}
        return replace(self, where=self.where[part], got=got, golden=golden, memory={"differing": self.differing})


@dataclass(frozen=True)
class Score:
    match: Match
    closer: int

    @property
    def explains(self) -> bool:
        return self.match.equal == self.match.total

    @property
    def perfect(self) -> bool:
        return self.explains and not self.match.spoiled

    @property
    def rank(self) -> tuple[int, int, int]:
        return (self.match.equal - self.match.spoiled, self.match.equal, self.closer)


def sample_of(evidence: Evidence, most: int) -> Sample:
    """At most ``most`` wrong and ``most`` right values, from the first images that have wrong ones and the one before.

    The image before may have left something in the hardware, which only a hypothesis that sees it can name.
    """
    case = evidence.case
    first = max(0, int(affected(evidence.anywhere, 0)[0]) - 1)
    size = max(int(np.prod(case.shape)), *(codes[0].size for codes in case.operands))
    stop = min(case.count, first + max(2, _SCREENED_ELEMENTS // max(size, 1)))
    anywhere = evidence.anywhere[first:stop].reshape(-1)
    chosen = np.random.default_rng(0)
    where = np.concatenate([
        places if len(places) <= most else chosen.choice(places, most, replace=False)
        for places in (np.flatnonzero(anywhere), np.flatnonzero(~anywhere & evidence.known[first:stop].reshape(-1)))
    ])  # fmt: skip
    chosen.shuffle(where)
    return Sample(
        machine_of(case.images(first, stop)),
        where,
        {stage: values[first:stop].reshape(-1)[where] for stage, values in evidence.got.items()},
        {stage: evidence.golden[stage][first:stop].reshape(-1)[where] for stage in evidence.got},
        memory={"differing": evidence.differing},
    )


def screened(sample: Sample, hypotheses: Sequence[Hypothesis], before: Sequence[str] = ()) -> Iterator[Score]:
    """The score of every hypothesis that can happen, after the faults ``before`` it."""
    base = with_faults(sample.machine, before)
    for hypothesis in hypotheses:
        machine = None if base is None or hypothesis.name in before else hypothesis(base)
        if machine is not None:
            yield sample.score(" + ".join([*before, hypothesis.name]), machine)
