"""The peak of each instruction sequence in use: as many products a second as the registers alone allow.

A loop of independent sums, as many as there are registers to hide the instructions' latency, and no memory:

    sum[i] = add(sum[i], activations, sum[i + 1])             i = 0 .. SUMS-1, the last one's neighbour being sum[0]

    DENSE     the dense tile: ``dot``, or ``word_pairs`` where words are multiplied, or sums of words
    CLUSTERS  the inside of a long cluster: ``dot``, or ``byte_pairs`` and an addition of words
    CROSSED   two clusters of 4: two ``byte_pairs``, an addition of words, and ``word_pairs`` for their scales

Each sum takes its weights from its neighbour, so no two are alike and nothing stays the same from step to step: there
is nothing that a compiler could compute once, share or leave out.  Sums wrap, pairs saturate, and mean nothing; they
are stored in the end, and tests compare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import jit
from ..instruction_sets import (
    HALVES,
    PAIRED,
    WORDS,
    Dot,
    Target,
    added_pairs,
    byte_pairs,
    chosen_target,
    half_products,
    word_pairs,
)
from ..lanes import I16, I32, Loop, load, number, store, vector

if TYPE_CHECKING:
    from .. import Array

SUMS = {16: 24, 8: 12, 4: 24}  # by the lanes of a vector, which tell how many registers there are: 32, 16 and 32
UNROLL = 4

TARGET = chosen_target()


def _words(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    return word_pairs(builder, sums, activations, weights, lanes)


def _paired(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    kind = vector(I16, 2 * lanes)
    first, second = (builder.bitcast(words, kind) for words in (activations, weights))
    return word_pairs(builder, sums, builder.add(first, second), builder.sub(first, second), lanes)


def _halves(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    products = [half_products(builder, activations, weights, part, lanes) for part in range(2)]
    return builder.add(sums, added_pairs(builder, builder.add(*products), lanes))


def _bytes(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    words = vector(I16, 2 * lanes)
    added = builder.add(builder.bitcast(sums, words), byte_pairs(builder, activations, weights, lanes))
    return builder.bitcast(added, vector(I32, lanes))


def _crossed(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    first, second = (byte_pairs(builder, a, weights, lanes) for a in (activations, sums))
    return word_pairs(builder, sums, builder.add(first, second), activations, lanes)


FORMS = DENSE, CLUSTERS, CROSSED = range(3)


def forms(target: Target) -> tuple[tuple[Dot, int], ...]:
    """What adds to a sum in each form that an instruction set has, and how many products to each lane."""
    dense = {WORDS: (_words, 2), PAIRED: (_paired, 4), HALVES: (_halves, 4)}.get(target.dense, (target.dot, 4))
    if not target.cluster_tiles:
        return (dense,)
    return dense, (_bytes, 4) if target.pairs else dense, (_crossed, 8)


def make_peak(target: Target, form: int) -> Any:
    """The loop for one form of an instruction set, DENSE where it has no other.

    peak(sums, activations, steps): addresses of int32 (SUMS, lanes), read and written, and of int32 (lanes,), and how
    often to go round; each time adds UNROLL times to each sum.
    """
    lanes, count = target.lanes, SUMS[target.lanes]
    dot, _ = _form(target, form)

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


def _form(target: Target, form: int) -> tuple[Dot, int]:
    found = forms(target)
    return found[form] if form < len(found) else found[DENSE]


_peak_dense, _peak_clusters, _peak_crossed = (make_peak(TARGET, form) for form in FORMS)


@jit
def _spin(form: int, sums: int, activations: int, steps: int) -> None:
    if form == DENSE:
        _peak_dense(sums, activations, steps)
    elif form == CLUSTERS:
        _peak_clusters(sums, activations, steps)
    else:
        _peak_crossed(sums, activations, steps)


def products(form: int, steps: int) -> int:
    """Multiply-accumulates of ``steps`` rounds of the loop."""
    return steps * UNROLL * SUMS[TARGET.lanes] * TARGET.lanes * _form(TARGET, form)[1]


def spin(form: int, steps: int) -> Array:
    """Go round ``steps`` times in this thread; the time is the caller's.  Returns the sums, int32."""
    sums = np.arange(SUMS[TARGET.lanes] * TARGET.lanes, dtype=np.int32)
    activations = np.arange(TARGET.lanes, dtype=np.int32)
    _spin(form, sums.ctypes.data, activations.ctypes.data, steps)
    return sums
