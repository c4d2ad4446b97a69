"""What happens to a layer's values on the way: clipped to their format, or too large for a narrow accumulator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Events:
    """How many of one layer's values were clipped at an end of the format, or left the accumulator.

    values: how many numbers the layer computed.  An activation's own clip is no saturation (contract Q4).
    """

    values: int = 0
    saturated_low: int = 0
    saturated_high: int = 0
    overflowed: int = 0

    def __add__(self, other: Events) -> Events:
        return Events(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))
