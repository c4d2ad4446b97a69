"""Jobs of a folder in which several programs may work at once: each is claimed, done by somebody, and stored.

Where and by whom the jobs are done is ``share``'s business: it takes jobs and gives each back with its answer, in any
order.  A job that another program has claimed is awaited.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ..claims import Claims

PAUSE = 0.5  # seconds between looks at what other programs do


class Keyed(Protocol):
    """A job: the key, hexadecimal, says all that its answer depends on."""

    @property
    def key(self) -> str: ...


One = TypeVar("One", bound=Keyed)


@dataclass(frozen=True)
class Hands(Generic[One]):
    """What to do about a job: whether it is ``done``, look whether another program has ``found`` it, ``store`` it.

    ``show`` is called after each job, and while others are awaited.
    """

    done: Callable[[One], bool]
    found: Callable[[One], bool]
    store: Callable[[One, Any], None]
    show: Callable[[], None]


def settle(
    folder: Path, jobs: Sequence[One], share: Callable[[Iterable[One]], Iterator[tuple[One, Any]]], hands: Hands[One]
) -> None:
    """Have every job done that is not; FileError where the folder's file of locks cannot be written."""
    with Claims(folder) as claims:
        while missing := [job for job in jobs if not hands.done(job)]:
            tried = False
            for job, answer in share(_claimed(missing, claims, hands)):
                tried = True
                hands.store(job, answer)
                claims.give_back(job.key)
                hands.show()
            if not tried:  # what is left is in other hands
                time.sleep(PAUSE)
                hands.show()


def _claimed(jobs: Iterable[One], claims: Claims, hands: Hands[One]) -> Iterator[One]:
    """The jobs that are this process's to do, each claimed when it is asked for."""
    for job in jobs:
        if not claims.take(job.key):
            continue
        if hands.found(job):
            claims.give_back(job.key)
        else:
            yield job
