"""The ladder of instruction sets: how four products are added to each lane.

    dot(sums, activations, weights):  sums[lane] += sum_{j<4} u8 activations[lane, j] * s8 weights[lane, j]

Rungs, best first; each gives the same integers:

    avx512vnni   vpdpbusd on 16 lanes, 32 registers: tiles of 6 pixels x 64 channels
    avxvnni      vpdpbusd on 8 lanes, 16 registers: tiles of 6 pixels x 16 channels
    generic      widening products in plain LLVM IR, for every other processor
"""

import os
from dataclasses import dataclass

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features

from . import RUNG_OPTION
from .lanes import I8, I16, I32, call, vector


def vnni(name):
    """The dot product of an x86 instruction: never saturates, wraps in 32 bits.

    Its operands are declared as 32-bit lanes, as LLVM had them first; versions that want bytes read that as well.
    """

    def dot(builder, sums, activations, weights, lanes):
        return call(builder, name, vector(I32, lanes), sums, activations, weights)

    return dot


def generic(builder, sums, activations, weights, lanes):
    """Products of 16-bit integers, added in pairs: what compilers know how to widen on every processor."""
    bytes_of, words = vector(I8, 4 * lanes), vector(I16, 4 * lanes)
    wide = vector(I32, 4 * lanes)
    a = builder.sext(builder.zext(builder.bitcast(activations, bytes_of), words), wide)
    w = builder.sext(builder.sext(builder.bitcast(weights, bytes_of), words), wide)
    products = builder.mul(a, w)
    for half in (2 * lanes, lanes):
        even, odd = (_every_other(builder, products, half, first) for first in (0, 1))
        products = builder.add(even, odd)
    return builder.add(sums, products)


def _every_other(builder, values, count, first):
    undefined = ir.Constant(values.type, ir.Undefined)
    picks = ir.Constant(vector(I32, count), [ir.Constant(I32, 2 * n + first) for n in range(count)])
    return builder.shuffle_vector(values, undefined, picks)


@dataclass(frozen=True)
class Rung:
    """An instruction set: what it needs, its dot product, the lanes of a vector, and the tiles that fit its registers.

    tiles: (pixels, vectors), widest first; beside each, the walker uses tiles of one pixel less and of a single pixel.
    """

    name: str
    needs: tuple[str, ...]
    dot: object
    lanes: int
    tiles: tuple[tuple[int, int], ...]

    @property
    def widths(self):
        """Channels of a panel, widest first."""
        return tuple(sorted({vectors * self.lanes for _, vectors in self.tiles}, reverse=True))


RUNGS = (
    Rung(
        "avx512vnni",
        ("avx512vnni", "avx512f"),
        vnni("llvm.x86.avx512.vpdpbusd.512"),
        16,
        ((6, 4), (8, 2), (8, 1)),
    ),
    Rung("avxvnni", ("avxvnni",), vnni("llvm.x86.avx512.vpdpbusd.256"), 8, ((6, 2),)),
    Rung("generic", (), generic, 8, ((6, 2),)),
)


def runnable() -> tuple[Rung, ...]:
    """The rungs that this processor can run, best first."""
    features = get_host_cpu_features()
    return tuple(rung for rung in RUNGS if all(features.get(need, False) for need in rung.needs))


def chosen_rung() -> Rung:
    """The best runnable rung, or the one that the environment variable REFENGINE_RUNG names.

    Every rung gives the same bits; the choice is one of speed.  A rung that this processor cannot run is not obeyed.
    """
    wanted = os.environ.get(RUNG_OPTION)
    return next((rung for rung in runnable() if rung.name == wanted), runnable()[0])
