"""The register tile of a depthwise convolution: sums for a few pixels and one vector of channels.

    sum[i, c] = sum over taps t of activation[pixel i, t, c] * weight[t, c]                     int32

Each channel meets its own weights alone, so there is nothing to broadcast: a tap is one vector of bytes, widened, times
one vector of weights that all pixels share.  Average pools are depthwise convolutions whose weights are 1.
"""

from llvmlite import ir

from ..instruction_sets import Target
from ..lanes import I8, I16, I32, I64, Loop, load, number, vector
from . import step
from .step import field, first_channel, places

PIXELS = 6


class Depthwise:
    """Tiles of one panel, which is a single vector of channels; the step's weights are int16 (TAPS, STORED)."""

    def __init__(
        self, builder: ir.IRBuilder, target: Target, vectors: int, row: ir.Value, first: ir.Value, panel: ir.Value
    ) -> None:
        self._builder, self._lanes, self._row = builder, target.lanes, row
        self._channel = first_channel(builder, row, panel)
        self._images = builder.add(field(builder, row, step.IMAGES), self._channel)
        self._weights = builder.add(field(builder, row, step.PANELS), builder.mul(self._channel, number(2)))
        initial = builder.add(field(builder, row, step.INITIAL), builder.mul(self._channel, number(4)))
        self._begun = load(builder, initial, vector(I32, target.lanes), 4)
        self._starts, self._taps, self._offsets = (
            field(builder, row, name) for name in (step.STARTS, step.TAPS, step.OFFSETS)
        )
        self._row_bytes = builder.mul(field(builder, row, step.STORED), number(2))

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """One loop over taps, with the sums of the pixels as its running values."""
        builder, lanes = self._builder, self._lanes
        wide = vector(I32, lanes)
        begins = places(builder, self._images, self._starts, pixel, pixels)
        loop = Loop(builder, [number(0), self._weights, *[self._begun] * pixels])
        tap, place, *totals = loop.values
        loop.leave_unless(builder.icmp_signed("<", tap, self._taps))
        offset = builder.sext(load(builder, builder.add(self._offsets, builder.mul(tap, number(4))), I32, 4), I64)
        weight = builder.sext(load(builder, place, vector(I16, lanes), 2), wide)
        nexts = []
        for begin, total in zip(begins, totals, strict=True):
            codes = builder.zext(load(builder, builder.add(begin, offset), vector(I8, lanes)), wide)
            nexts.append(builder.add(total, builder.mul(codes, weight)))
        loop.close([builder.add(tap, number(1)), builder.add(place, self._row_bytes), *nexts])
        return [[total] for total in totals]
