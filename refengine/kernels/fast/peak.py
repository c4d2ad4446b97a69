"""The peak of the dot-product instruction: as many products a second as the registers alone allow.

A loop of independent sums, as many as there are registers to hide the instruction's latency, and no memory:

    sum[i] = dot(sum[i], activations, sum[i + 1])             i = 0 .. SUMS-1, the last one's neighbour being sum[0]

Each sum takes its weights from its neighbour, so no two are alike and nothing stays the same from step to step: there
is nothing that a compiler could compute once, share or leave out.  Sums wrap in 32 bits and mean nothing; they are
stored in the end, and tests compare them.  Without an instruction for ``dot``, bytes are added in pairs and pairs of
pairs, by two instructions and an addition; what avoids the second of them can be faster than this peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import jit
from ..instruction_sets import Dot, Target, byte_pairs, chosen_target, word_pairs
from ..lanes import I16, I32, Loop, load, number, repeated, store, vector

if TYPE_CHECKING:
    from .. import Array

SUMS = {16: 24, 8: 12}  # by the lanes of a vector, which tell how many registers there are: 32 and 16
UNROLL = 4

TARGET = chosen_target()


def pairs_of_pairs(
    builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int
) -> ir.Value:
    """Four products added to each lane where no one instruction does that; saturates at 16 bits on the way."""
    words = byte_pairs(builder, activations, weights, lanes)
    return word_pairs(builder, sums, words, repeated(1, I16, 2 * lanes), lanes)


def make_peak(target: Target) -> Any:
    """The loop for one instruction set.

    peak(sums, activations, steps): addresses of int32 (SUMS, lanes), read and written, and of int32 (lanes,), and how
    often to go round; each time is UNROLL dot products for each sum.
    """
    lanes, count = target.lanes, SUMS[target.lanes]
    dot = pairs_of_pairs if target.pairs else target.dot

    @intrinsic
    def peak(context: Any, sums: ir.Value, activations: ir.Value, steps: ir.Value) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
            _emit(builder, dot, lanes, count, *arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), generate

    return peak


def _emit(
    builder: ir.IRBuilder, dot: Dot, lanes: int, count: int, place: ir.Value, activations: ir.Value, steps: ir.Value
) -> None:
    kind = vector(I32, lanes)
    places = [builder.add(place, number(4 * lanes * index)) for index in range(count)]
    four = load(builder, activations, kind, 4)
    loop = Loop(builder, [number(0), *(load(builder, place, kind, 4) for place in places)])
    done, *totals = loop.values
    loop.leave_unless(builder.icmp_signed("<", done, steps))
    sums = list(totals)
    for _ in range(UNROLL):
        for index in range(count):
            sums[index] = dot(builder, sums[index], four, sums[(index + 1) % count], lanes)
    loop.close([builder.add(done, number(1)), *sums])
    for total, place in zip(totals, places, strict=True):
        store(builder, total, place, 4)


_peak = make_peak(TARGET)


@jit
def _spin(sums: int, activations: int, steps: int) -> None:
    _peak(sums, activations, steps)


def products(steps: int) -> int:
    """Multiply-accumulates of ``steps`` rounds of the loop."""
    return steps * UNROLL * SUMS[TARGET.lanes] * TARGET.lanes * 4


def spin(steps: int) -> Array:
    """Go round ``steps`` times in this thread; the time is the caller's.  Returns the sums, int32."""
    sums = np.arange(SUMS[TARGET.lanes] * TARGET.lanes, dtype=np.int32)
    activations = np.arange(TARGET.lanes, dtype=np.int32)
    _spin(sums.ctypes.data, activations.ctypes.data, steps)
    return sums
