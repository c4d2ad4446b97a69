"""Single values of a dump, and families of fault hypotheses whose numbers are read from them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from .machine import STAGES, Machine
from .recompute import Known, recompute, stages_at

Fault = Callable[[Machine], Machine | None]
Numbers = tuple[int, ...]
T = TypeVar("T")

_TRIED = 48
_SUMS = ("clusters", "bias", "weights", "input", "window", "accumulator")  # groups whose faults show in the sums


@dataclass(frozen=True, eq=False)
class Clues:
    """Single values of a dump: the layer of their images, flat places (S,), and at each what is and what should be.

    ``tried``: a few places of wrong values, on which the numbers of a family are tried first; ``got_tried``: the dump
    there.  ``remembered`` keeps what several families compute from them.
    """

    machine: Machine
    where: np.ndarray
    got: Mapping[str, np.ndarray]
    golden: Mapping[str, np.ndarray]
    memory: dict[str, Any] = field(default_factory=dict, kw_only=True)

    @property
    def differing(self) -> tuple[str, ...]:
        """The stages that differ, in hardware's order."""
        return self.remembered(
            "differing",
            lambda: tuple(s for s in STAGES if s in self.got and (self.got[s] != self.golden[s]).any()),
        )

    @property
    def follows(self) -> bool:
        """Whether all else in the dump is right, at a few places, for the accumulators that are dumped."""

        def right() -> bool:
            found = stages_at(self.machine, self.got_tried["accumulator"], self.tried, self.known_tried)
            return all(np.array_equal(found[stage], got) for stage, got in self.got_tried.items())

        return "accumulator" in self.got and self.remembered("follows", right)

    @property
    def wrong(self) -> np.ndarray:
        """Where any stage differs: bool (S,)."""
        return np.logical_or.reduce([self.got[stage] != self.golden[stage] for stage in self.got])

    @property
    def tried(self) -> np.ndarray:
        """Flat places of a few wrong values."""
        return self.where[self._chosen]

    @property
    def got_tried(self) -> Mapping[str, np.ndarray]:
        """What the dump holds at ``tried``."""
        return self.remembered("got", lambda: {stage: got[self._chosen] for stage, got in self.got.items()})

    @property
    def known_tried(self) -> Known:
        """What the layer computes at ``tried``."""
        return self.remembered("known tried", lambda: Known(self.machine, self.tried))

    @property
    def _chosen(self) -> np.ndarray:
        return self.remembered("chosen", lambda: np.flatnonzero(self.wrong)[:_TRIED])

    def remembered(self, name: str, made: Callable[[], T]) -> T:
        """``made()``, computed once."""
        if name not in self.memory:
            self.memory[name] = made()
        found: T = self.memory[name]
        return found


@dataclass(frozen=True)
class Family:
    """Hypotheses of one kind: which numbers are worth a try, what a member says, and its fault."""

    name: str
    sentence: str
    group: str
    numbers: Callable[[Clues], Iterator[Numbers]]
    words: str | Callable[..., str]
    fault: Callable[..., Fault]

    def sentence_of(self, numbers: Numbers) -> str:
        """What the member of these numbers says."""
        return self.words.format(*numbers) if isinstance(self.words, str) else self.words(*numbers)


def gives(clues: Clues, machine: Machine) -> bool:
    """Whether a machine writes what the dump holds at a few wrong values: at eight of them first, then at all."""
    differing = clues.differing
    first = clues.remembered("known first", lambda: Known(clues.machine, clues.tried[:8]))
    for known, stages in ((first, differing[:1]), (clues.known_tried, tuple(clues.got))):
        found = recompute(machine, stages, known.where, differing, known)
        if any(not np.array_equal(found[stage], clues.got_tried[stage][: len(known.where)]) for stage in stages):
            return False
    return True


def possible(clues: Clues, group: str) -> bool:
    """Whether the stages that differ allow a fault of this group: of the sums, behind them, or of their writing."""
    if not len(clues.tried):
        return False
    if "accumulator" not in clues.got or group == "layout":
        return True
    sums = "accumulator" in clues.differing
    return sums if group in _SUMS else not (sums and clues.follows)


def trying(
    member: Callable[..., Fault], tried: Callable[[Machine], Iterator[Numbers]], group: str
) -> Callable[[Clues], Iterator[Numbers]]:
    """Numbers that give the few wrong values."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        for one in tried(clues.machine) if possible(clues, group) else ():
            machine = member(*one)(clues.machine)
            if machine is not None and gives(clues, machine):
                yield one

    return numbers
