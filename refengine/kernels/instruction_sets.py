"""The instruction sets: how four products are added to each lane.

    dot(sums, activations, weights):        sums[lane] += sum_{j<4} u8 activations[lane, j] * s8 weights[lane, j]
    byte_pairs(activations, weights):       words[n] = sum_{j<2} u8 activations[n, j] * s8 weights[n, j]
    word_pairs(sums, words, factors):       sums[lane] += sum_{j<2} s16 words[lane, j] * s16 factors[lane, j]

Instruction sets, best first; each gives the same integers:

    avx512vnni   vpdpbusd on 16 lanes, 32 registers: tiles of 6 pixels x 64 channels
    avxvnni      vpdpbusd on 8 lanes, 16 registers: tiles of 6 pixels x 16 channels
    avx512       vpmaddubsw on 16 lanes where codes are small (``cluster_tile``), else vpmaddwd (``word_tile``)
    avx2         the same on 8 lanes, 16 registers
    neonusdot    64-bit ARM with i8mm: usdot on 4 lanes, 32 registers: tiles of 5 pixels x 16 channels
    neondot      64-bit ARM with a dot product of signed bytes: sdot, activations less 128
    neon         every other 64-bit ARM: smull, addp and sadalp, activations less 128
    generic      widening products in plain LLVM IR, for every other processor

Where a target is ``signed``, what ``dot`` multiplies are signed bytes: tiles take 128 from each activation by flipping
its top bit, and sums begin with 128 times the sum of a channel's weights,

    sum_k a[k] * w[k] = sum_k (a[k] - 128) * w[k] + 128 * sum_k w[k]                          modulo 2**32

``byte_pairs`` saturates at 16 bits, which ``dot`` may not: it is for codes whose pairs of products stay inside.
"""

import os
import platform
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


def _neon_dot(name: str) -> Dot:
    """The dot product of an ARM instruction: sdot for signed activations, usdot for unsigned ones; wraps in 32 bits."""

    def dot(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
        a, w = (builder.bitcast(operand, vector(I8, 4 * lanes)) for operand in (activations, weights))
        operands = (a, w) if "usdot" in name else (w, a)  # whose lane is picked stands where LLVM looks for it
        return call(builder, name, vector(I32, lanes), sums, *operands)

    return dot


def neon(builder: ir.IRBuilder, sums: ir.Value, activations: ir.Value, weights: ir.Value, lanes: int) -> ir.Value:
    """Products of signed bytes as words, added in pairs as words, and these in pairs to each lane.

    Exact for weights from -127 on: two products are at most 2 * 128 * 127 < 2**15.
    """
    halves = (half_products(builder, activations, weights, part, lanes) for part in range(2))
    words = call(builder, "llvm.aarch64.neon.addp.v8i16", vector(I16, 2 * lanes), *halves)
    return builder.add(sums, added_pairs(builder, words, lanes))


def half_products(builder: ir.IRBuilder, activations: ir.Value, weights: ir.Value, part: int, lanes: int) -> ir.Value:
    """Products of signed bytes of half a vector (``part`` 0 or 1), each an int16 (2 * lanes): ARM's smull, smull2."""
    size = 2 * lanes
    picks = ir.Constant(vector(I32, size), [ir.Constant(I32, part * size + n) for n in range(size)])
    operands = (builder.bitcast(operand, vector(I8, 2 * size)) for operand in (activations, weights))
    halves = (builder.shuffle_vector(operand, operand, picks) for operand in operands)
    return call(builder, "llvm.aarch64.neon.smull.v8i16", vector(I16, size), *halves)


def added_pairs(builder: ir.IRBuilder, words: ir.Value, lanes: int) -> ir.Value:
    """Neighbouring int16 (2 * lanes) added to int32 (lanes): ARM's saddlp, with an addition sadalp."""
    return call(builder, "llvm.aarch64.neon.saddlp.v4i32.v8i16", vector(I32, lanes), words)


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


DOT, WORDS, PAIRED, LANES, HALVES = "dot", "words", "paired", "lanes", "halves"  # ``tile``, ``word_tile``, ...


@dataclass(frozen=True)
class Target:
    """An instruction set: what it needs, its dot product, the lanes of a vector, and the tiles that fit its registers.

    tiles: (pixels, vectors), widest first; beside each, the walker uses tiles of one pixel less and of a single pixel.
    cluster_tiles, crossed_tiles: the same of the tiles that keep clusters apart (``cluster_tile``), of the same widths;
    none where those do not pay.
    pairs: whether there is no instruction for ``dot``: then those add the products of a cluster by ``byte_pairs``.
    dense: how the dense tile multiplies, and so how its weights lie in a panel.
    signed: whether ``dot`` takes activations less 128.
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
    signed: bool = False

    @property
    def has_words(self) -> bool:
        """Whether ``word_pairs`` and ``packed`` are single instructions here, on x86 with AVX2 or more."""
        return any(need.startswith("avx") for need in self.needs)

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


_ARM = "aarch64"  # has NEON, always

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
    Target(
        "neonusdot",
        (_ARM, "dotprod", "i8mm"),
        _neon_dot("llvm.aarch64.neon.usdot.v4i32.v16i8"),
        4,
        ((5, 4),),
        dense=LANES,
    ),
    Target(
        "neondot",
        (_ARM, "dotprod"),
        _neon_dot("llvm.aarch64.neon.sdot.v4i32.v16i8"),
        4,
        ((5, 4),),
        dense=LANES,
        signed=True,
    ),
    Target("neon", (_ARM,), neon, 4, ((2, 4),), dense=HALVES, signed=True),
    Target("generic", (), generic, 8, ((6, 2),)),
)


def runnable() -> tuple[Target, ...]:
    """The instruction sets that this processor can run, best first."""
    features = _features()
    return tuple(target for target in TARGETS if all(features.get(need, False) for need in target.needs))


def _features() -> dict[str, bool]:
    """What LLVM knows of this processor, or is told by NUMBA_CPU_FEATURES as +NAME and -NAME: code is made for that."""
    found = dict(get_host_cpu_features())
    told = [word.strip() for word in os.environ.get("NUMBA_CPU_FEATURES", "").split(",")]
    found |= {word[1:]: word[0] == "+" for word in told if word[:1] in ("+", "-")}
    return found | {_ARM: platform.machine() in ("aarch64", "arm64")}


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
