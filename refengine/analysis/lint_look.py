"""What a lint rule is given, and what rules ask of a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..network.int_network import IntLayer, IntNetwork
from ..ops import OPS
from ..ops.conv import integer_weights
from .intervals import Interval, Reach

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Found:
    """Where a rule strikes in a layer: channels, none for the layer as a whole, and the figures in words.

    ``of``: how many channels there are, where they are not those of the layer's result.  ``advice``: where it is not
    the rule's.
    """

    detail: str
    channels: tuple[int, ...] = ()
    of: int | None = None
    advice: str | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """One layer with what can come in and out: what the functions of the rules are given."""

    network: IntNetwork
    layer: IntLayer
    reach: Reach
    inputs: tuple[Interval, ...]
    residual: Interval | None

    @property
    def last(self) -> bool:
        """Whether the layer gives the logits."""
        return self.layer is self.network.layers[-1]


Rule = Callable[[Look], Iterator[Found]]


@dataclass(frozen=True)
class LintRule:
    """A line of the table."""

    name: str
    severity: str
    meaning: str
    advice: str
    find: Rule


def where(mask: np.ndarray) -> tuple[int, ...]:
    """The channels that a mask bool (C) names."""
    return tuple(int(channel) for channel in np.flatnonzero(mask))


def spread(look: Look, values: Any) -> np.ndarray:
    """One entry a channel, whether there is one or one for all."""
    return np.broadcast_to(values, look.network.shapes[look.layer.name][-1])


def weights_of(layer: IntLayer) -> np.ndarray | None:
    """Integer weights (O, I, taps) of a conv or fc, signs (C, 1, 1) of a batch norm; None elsewhere."""
    if layer.op == "batchnorm":
        return layer.constants["sign"][:, None, None]
    if "weight" not in layer.constants:
        return None
    whole = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    return whole.reshape(*whole.shape[:2], -1)


def has_no_weights(look: Look) -> np.ndarray:
    """Channels whose every weight is 0: bool (C)."""
    weights = weights_of(look.layer)
    if weights is None:
        return spread(look, False)
    return np.asarray(~weights.any(axis=(1, 2)))


def has_no_multiplier(look: Look) -> np.ndarray:
    """Channels whose multiplier is 0: bool (C)."""
    step = look.layer.requantize
    return spread(look, False if step is None else step.multiplier == 0)


def only_saturates(look: Look) -> np.ndarray:
    """Channels whose rounded value lies beyond an end of the format for every image (contract Q4)."""
    step, rounded = look.layer.requantize, look.reach.rounded
    if step is None or rounded is None:
        return spread(look, False)
    above = (rounded.lo > step.hi) & (step.activation != "clip")
    below = (rounded.hi < step.lo) & (step.activation == "none")
    return spread(look, above | below)


def is_constant(look: Look) -> np.ndarray:
    """Channels whose code is the same for every image: bool (C)."""
    return spread(look, look.reach.result.constant)


def is_dead(look: Look) -> np.ndarray:
    """Channels of which some other rule says that they carry nothing."""
    return has_no_weights(look) | has_no_multiplier(look) | only_saturates(look) | is_constant(look)


def per_channel(look: Look) -> bool:
    """Whether one channel of the result is made of the same channel of the operands."""
    return OPS[look.layer.op].CHANNELWISE


def percent_of(part: int, whole: int) -> str:
    """A share in percent, cut.

    >>> percent_of(1, 8), percent_of(1, 480)
    ('12 %', 'less than 1 %')
    """
    percent = 100 * part // whole
    return f"{percent} %" if percent else "less than 1 %"


def listed(values: Sequence[int], most: int = 4) -> str:
    """The first values, and whether there are more."""
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def ends(values: Sequence[int]) -> str:
    """The smallest and the largest of some values."""
    return str(values[0]) if min(values) == max(values) else f"{min(values)}..{max(values)}"
