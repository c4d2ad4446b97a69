"""All cases of a level, group by group, in an order that stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from . import layer_cases, numbers_cases, shared_cases
from .answers import LAYER, Answer, answer
from .case import Case
from .network_cases import GROUP, network_answer, network_cases

LEVELS = (1, 2)
_MORE = {1: 1, 2: 8}  # how often what is drawn is drawn

_FUNCTIONS: tuple[Callable[[int], Iterator[Case]], ...] = (
    numbers_cases.round_shift,
    numbers_cases.random_bits_cases,
    numbers_cases.requantize,
    numbers_cases.confine,
    numbers_cases.window,
    numbers_cases.values,
    numbers_cases.top,
    numbers_cases.nearest,
    numbers_cases.nearest_codes,
    numbers_cases.rescale,
    numbers_cases.exponent,
    numbers_cases.width,
    numbers_cases.arith,
)
_LAYERS: tuple[Callable[[int], Iterator[Case]], ...] = (
    shared_cases.bound,
    layer_cases.input,
    layer_cases.conv,
    layer_cases.fc,
    layer_cases.batchnorm,
    layer_cases.add,
    layer_cases.maxpool,
    layer_cases.avgpool,
    layer_cases.global_avgpool,
    layer_cases.requantize,
    layer_cases.concat,
    layer_cases.pad_channels,
    layer_cases.flatten,
    layer_cases.gather_channels,
    layer_cases.lookup,
    layer_cases.mul,
    shared_cases.residuals,
    shared_cases.dynamics,
    shared_cases.accumulators_as_logits,
)


def cases(level: int = 1) -> dict[str, list[Case]]:
    """Group -> its cases; a case's place in its group is its number."""
    more = _MORE[level]
    found: dict[str, list[Case]] = {}
    for make in _FUNCTIONS:
        _sort(found, make(more))
    for make in _LAYERS:
        for turn in range(2 * more if make is layer_cases.conv else more):
            _sort(found, make(turn))
    _sort(found, network_cases(more))
    return found


def _sort(found: dict[str, list[Case]], made: Iterator[Case]) -> None:
    for case in made:
        found.setdefault(case.group, []).append(case)


def answer_of(case: Case, backend: str = "reference") -> Answer:
    """What the contract answers, by the definitions or by the kernels."""
    return network_answer(case, backend) if case.group == GROUP else answer(case, backend)


def named(found: dict[str, list[Case]]) -> Iterator[tuple[str, Case]]:
    """Each case with its name: GROUP-NUMBER."""
    for group, members in found.items():
        for number, case in zip(count(), members, strict=False):
            yield f"{group}-{number:04d}", case


def is_layer(group: str) -> bool:
    """Whether the cases of a group are layers, which a network can be put around."""
    return group.startswith(f"{LAYER}_")
