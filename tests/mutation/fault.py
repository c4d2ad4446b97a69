"""What a planted mistake is: a name, a sentence, how it is planted, and the causes that name it truly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mutation.datapath import Datapath, Stages
from refengine.golden.diagnose.machine import Case

Break = Callable[[Datapath], bool]


@dataclass(frozen=True)
class Fault:
    """name, what is wrong in words, how it is done, the causes that name it truly, and who reported it.

    ``report``: the public report it was written down from, as OWNER/REPOSITORY#NUMBER; empty where there is none.
    """

    name: str
    sentence: str
    break_it: Break
    names: tuple[str, ...] = ()
    report: str = ""

    def stages(self, case: Case) -> Stages | None:
        """What the faulty layer gives; None where the fault cannot happen to it."""
        datapath = Datapath(case)
        return datapath.stages() if self.break_it(datapath) else None
