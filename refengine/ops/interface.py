"""What a module of this room declares of its operator; other rooms ask for these facts and not for names.

ACCUMULATES    True: the result is int32 accumulators; False: codes pass through unchanged in format
MOVES          True: every code of the result is a code of an operand or 0, whatever the codes are (``sources``)
PADS           True: codes 0 may stand among those that pass through
CHANNELWISE    True: channel c of the result depends on channel c of each operand alone
INPUTS         how many layers are read; None: any number, at least one
CONSTANTS      name -> ``Constant``: arrays that come with a layer
ATTRIBUTES     name -> ``Attribute``: integers that come with a layer
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from ..numbers.formats import CodeFormat

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]

MAX_ATTRIBUTE = 65536


@dataclass(frozen=True)
class Attribute:
    """An integer in ``least..most``, or a tuple of ``count`` of them; ``FLAG`` is true or false instead."""

    least: int
    most: int = MAX_ATTRIBUTE
    count: int | None = None

    def allows(self, value: Any) -> bool:
        """Whether a layer may have this value.

        >>> Attribute(1).allows(0), Attribute(0, count=2).allows((0, 3)), FLAG.allows(1), FLAG.allows(True)
        (False, True, False, True)
        """
        if self is FLAG:
            return isinstance(value, bool)
        if self.count is None:
            return type(value) is int and self.least <= value <= self.most
        return (
            isinstance(value, tuple)
            and len(value) == self.count
            and all(type(item) is int and self.least <= item <= self.most for item in value)
        )

    def __str__(self) -> str:
        if self is FLAG:
            return "true or false"
        return f"{'an integer' if self.count is None else f'{self.count} integers'} in {self.least}..{self.most}"


FLAG = Attribute(0, 1)


@dataclass(frozen=True)
class Constant:
    """An array of codes of ``format``, None for that of the layer's weights, with so many dimensions."""

    format: CodeFormat | None
    dimensions: int


class Operator(Protocol):
    """A module of this room; one that accumulates has ``bound`` besides."""

    @property
    def __name__(self) -> str: ...
    @property
    def ACCUMULATES(self) -> bool: ...
    @property
    def MOVES(self) -> bool: ...
    @property
    def PADS(self) -> bool: ...
    @property
    def CHANNELWISE(self) -> bool: ...
    @property
    def INPUTS(self) -> int | None: ...
    @property
    def CONSTANTS(self) -> Mapping[str, Constant]: ...
    @property
    def ATTRIBUTES(self) -> Mapping[str, Attribute]: ...
    @property
    def output_shape(self) -> Callable[..., Shape]: ...
    @property
    def reference(self) -> Callable[..., Array]: ...
    @property
    def kernels(self) -> Callable[..., Array]: ...


def bound_of(operator: Operator) -> Callable[..., tuple[Array, Array]]:
    """``bound`` of an operator that accumulates."""
    found: Callable[..., tuple[Array, Array]] = vars(operator)["bound"]
    return found


def sources(operator: Operator, shapes: Sequence[Shape], arguments: Mapping[str, Any]) -> Array:
    """Which element of the operands each element of the result is, for an operator that moves codes: int64.

    Elements of one image are counted through all operands, one operand after the other; -1 stands for code 0.
    """
    numbered, first = [], 1
    for shape in shapes:
        numbered.append(np.arange(first, first + prod(shape)).reshape(1, *shape))
        first += prod(shape)
    found: Array = operator.reference(*numbered, **arguments)[0]
    return found - 1
