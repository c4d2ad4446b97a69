"""The peak of the dot-product instruction: as many products a second as the registers alone allow.

A loop of independent sums, as many as there are registers to hide the instruction's latency, and no memory:

    sum[i] = dot(sum[i], activations, sum[i + 1])             i = 0 .. SUMS-1, the last one's neighbour being sum[0]

Each sum takes its weights from its neighbour, so no two are alike and nothing stays the same from step to step: there
is nothing that a compiler could compute once, share or leave out.  Sums wrap in 32 bits and mean nothing; they are
stored in the end, and tests compare them.  A rung without an instruction for ``dot`` adds bytes in pairs and pairs of
pairs, by two instructions and an addition; what avoids the second of them can be faster than this peak.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .. import jit
from ..instruction_sets import byte_pairs, chosen_rung, word_pairs
from ..lanes import I16, I32, Loop, load, number, repeated, store, vector

SUMS = {16: 24, 8: 12}  # by the lanes of a vector, which tell how many registers there are: 32 and 16
UNROLL = 4

RUNG = chosen_rung()


def pairs_of_pairs(builder, sums, activations, weights, lanes):
    """Four products added to each lane where no one instruction does that; saturates at 16 bits on the way."""
    words = byte_pairs(builder, activations, weights, lanes)
    return word_pairs(builder, sums, words, repeated(1, I16, 2 * lanes), lanes)


def make_peak(rung):
    """The loop for one instruction set.

    peak(sums, activations, steps): addresses of int32 (SUMS, lanes), read and written, and of int32 (lanes,), and how
    often to go round; each time is UNROLL dot products for each sum.
    """
    lanes, count = rung.lanes, SUMS[rung.lanes]
    dot = pairs_of_pairs if rung.pairs else rung.dot

    @intrinsic
    def peak(context, sums, activations, steps):
        def generate(context, builder, signature, arguments):
            _emit(builder, dot, lanes, count, *arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 3), generate

    return peak


def _emit(builder, dot, lanes, count, place, activations, steps):
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


_peak = make_peak(RUNG)


@jit
def _spin(sums, activations, steps):
    _peak(sums, activations, steps)


def products(steps):
    """Multiply-accumulates of ``steps`` rounds of the loop."""
    return steps * UNROLL * SUMS[RUNG.lanes] * RUNG.lanes * 4


def spin(steps):
    """Go round ``steps`` times in this thread; the time is the caller's.  Returns the sums, int32."""
    sums = np.arange(SUMS[RUNG.lanes] * RUNG.lanes, dtype=np.int32)
    activations = np.arange(RUNG.lanes, dtype=np.int32)
    _spin(sums.ctypes.data, activations.ctypes.data, steps)
    return sums
