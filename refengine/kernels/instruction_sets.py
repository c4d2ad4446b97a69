"""The instruction sets: how four products are added to each lane.

    dot(sums, activations, weights):        sums[lane] += sum_{j<4} u8 activations[lane, j] * s8 weights[lane, j]
    byte_pairs(activations, weights):       words[n] = sum_{j<2} u8 activations[n, j] * s8 weights[n, j]
    word_pairs(sums, words, factors):       sums[lane] += sum_{j<2} s16 words[lane, j] * s16 factors[lane, j]

Instruction sets, best first; each gives the same integers:

    avx512vnni   vpdpbusd on 16 lanes, 32 registers: tiles of 6 pixels x 64 channels
    avxvnni      vpdpbusd on 8 lanes, 16 registers: tiles of 6 pixels x 16 channels
    avx512       vpmaddubsw on 16 lanes where codes are small (``cluster_tile``), else vpmaddwd (``word_tile``)
    avx2         the same on 8 lanes, 16 registers
    generic      widening products in plain LLVM IR, for every other processor

``byte_pairs`` saturates at 16 bits, which ``dot`` may not: it is for codes whose pairs of products stay inside.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features

from ..errors import RangeError
from . import INSTRUCTION_SET_OPTION
from .lanes import I8, I16, I32, call, every_other, vector

Dot = Callable[[ir.IRBuilder, ir.Value, ir.Value, ir.Value, int], ir.Value]

_BYTE_PAIRS = {16: "llvm.x86.avx512.pmaddubs.w.512", 8: "llvm.x86.avx2.pmadd.ub.sw"}
_WORD_PAIRS = {16: "llvm.x86.avx512.pmaddw.d.512", 8: "llvm.x86.avx2.pmadd.wd"}
_PACK_WORDS = {16: "llvm.x86.avx512.packssdw.512", 8: "llvm.x86.avx2.packssdw"}
_PACK_BYTES = {16: "llvm.x86.avx512.packuswb.512", 8: "llvm.x86.avx2.packuswb"}


def vnni(name: str) -> Dot:
    """The dot product of an x86 instruction: never saturates, wraps in 32 bits.

    Its operands are declared as 32-bit lanes, as LLVM had them first; versions that want bytes read that as well.
    """

    def dot(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
        return call(builder, name, vector(I32, lanes), sums, activations, weights)

    return dot


def generic(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    """Products of 16-bit integers, added in pairs: what compilers know how to widen on every processor."""
    bytes_of, words = vector(I8, 4 * lanes), vector(I16, 4 * lanes)
    wide = vector(I32, 4 * lanes)
    a = builder.sext(builder.zext(builder.bitcast(activations, bytes_of), words), wide)
    w = builder.sext(builder.sext(builder.bitcast(weights, bytes_of), words), wide)
    products = builder.mul(a, w)
    for half in (2 * lanes, lanes):
        even, odd = (every_other(builder, products, half, first) for first in (0, 1))
        products = builder.add(even, odd)
    return builder.add(sums, products)


def byte_pairs(builder: ir.IRBuilder, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    """Products of bytes, added in pairs to int16 (2 * lanes): exact while no pair leaves 16 bits."""
    bytes_of = vector(I8, 4 * lanes)
    operands = (builder.bitcast(operand, bytes_of) for operand in (activations, weights))
    return call(builder, _BYTE_PAIRS[lanes], vector(I16, 2 * lanes), *operands)


def word_pairs(builder: ir.IRBuilder, sums: ir.Value, words: ir.Value, factors: ir.Value, lanes: int) -> ir.Value:
    """Products of 16-bit integers, added in pairs to each lane; LLVM fuses product and sum where that is possible."""
    words_of = vector(I16, 2 * lanes)
    operands = (builder.bitcast(operand, words_of) for operand in (words, factors))
    return builder.add(sums, call(builder, _WORD_PAIRS[lanes], vector(I32, lanes), *operands))


def packed(builder: ir.IRBuilder, vectors: Sequence[ir.Value], lanes: int) -> ir.Value:
    """Codes as bytes: int32 vectors, up to four of them side by side, each number clipped to 0..255.

    The instructions pack within 128 bits; a shuffle of 4 bytes at a time puts the channels in order.
    """
    count = len(vectors)
    first, second, third, fourth = (vectors[n % count] for n in range(4))
    words = [
        call(builder, _PACK_WORDS[lanes], vector(I16, 2 * lanes), *pair) for pair in ((first, second), (third, fourth))
    ]
    fours = builder.bitcast(call(builder, _PACK_BYTES[lanes], vector(I8, 4 * lanes), *words), vector(I32, lanes))
    order = [4 * part + n for n in range(count) for part in range(lanes >> 2)]
    picks = ir.Constant(vector(I32, len(order)), [ir.Constant(I32, place) for place in order])
    return builder.bitcast(builder.shuffle_vector(fours, fours, picks), vector(I8, count * lanes))


DENSE = DOT, WORDS, PAIRED = "dot", "words", "paired"  # ``tile``, ``word_tile``, ``pair_tile``


@dataclass(frozen=True)
class Target:
    """An instruction set: what it needs, its dot product, the lanes of a vector, and the tiles that fit its registers.

    tiles: (pixels, vectors), widest first; beside each, the walker uses tiles of one pixel less and of a single pixel.
    cluster_tiles, crossed_tiles: the same of the tiles that keep clusters apart (``cluster_tile``), of the same widths;
    none where those do not pay.
    pairs: whether there is no instruction for ``dot``: then those add the products of a cluster by ``byte_pairs``.
    dense: how the dense tile multiplies, and so how its weights lie in a panel.
    """

    name: str
    needs: tuple[str, ...]
    dot: Dot
    lanes: int
    tiles: tuple[tuple[int, int], ...]
    cluster_tiles: tuple[tuple[int, int], ...] = ()
    crossed_tiles: tuple[tuple[int, int], ...] = ()
    pairs: bool = False
    dense: str = DOT

    @property
    def has_words(self) -> bool:
        """Whether ``word_pairs`` and ``packed`` are single instructions here, on x86 with AVX2 or more."""
        return bool(self.needs)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of a panel, widest first."""
        return _widths(self.tiles, self.lanes)

    @property
    def cluster_widths(self) -> tuple[int, ...]:
        """Channels of a panel of the tiles that keep clusters apart, widest first."""
        return _widths(self.cluster_tiles, self.lanes)


def _widths(tiles: tuple[tuple[int, int], ...], lanes: int) -> tuple[int, ...]:
    return tuple(sorted({vectors * lanes for _, vectors in tiles}, reverse=True))


TARGETS = (
    Target(
        "avx512vnni",
        ("avx512vnni", "avx512bw", "avx512f"),
        vnni("llvm.x86.avx512.vpdpbusd.512"),
        16,
        ((6, 4), (8, 2), (8, 1)),
        ((6, 2), (8, 1)),
        ((6, 2), (8, 1)),
    ),
    Target("avxvnni", ("avxvnni", "avx2"), vnni("llvm.x86.avx512.vpdpbusd.256"), 8, ((6, 2),), ((4, 2),), ((4, 2),)),
    Target(
        "avx512",
        ("avx512bw", "avx512f"),
        generic,
        16,
        ((6, 4), (6, 2), (6, 1)),
        ((6, 2), (8, 1)),
        ((6, 2), (8, 1)),
        pairs=True,
        dense=WORDS,
    ),
    Target("avx2", ("avx2",), generic, 8, ((4, 2),), ((6, 2),), ((3, 2),), pairs=True, dense=PAIRED),
    Target("generic", (), generic, 8, ((6, 2),)),
)


def runnable() -> tuple[Target, ...]:
    """The instruction sets that this processor can run, best first."""
    features = get_host_cpu_features()
    return tuple(target for target in TARGETS if all(features.get(need, False) for need in target.needs))


def chosen_target() -> Target:
    """The best runnable instruction set, or the one that the environment variable REFENGINE_INSTRUCTION_SET names.

    Each gives the same bits; the choice is one of speed.  RangeError for one that this processor cannot run.
    """
    targets = {target.name: target for target in runnable()}
    wanted = os.environ.get(INSTRUCTION_SET_OPTION) or next(iter(targets))
    if wanted not in targets:
        runs = ", ".join(targets)
        raise RangeError(f"{INSTRUCTION_SET_OPTION} is {wanted[:80]!r}, this processor has: {runs}")
    return targets[wanted]
