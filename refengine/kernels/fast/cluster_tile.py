"""The second register tile: clusters stay apart, and each is multiplied by its scale once.

    sum[i, o] = sum over chains c of  scale[c, o] * P[c]
    P[c]      = sum over places p of c, bytes k of  activation[pixel i, p, k] * code[p, k, o]           int32

A chain is a run of places that share a scale: 4 bytes each, anywhere in a pixel's window, found by a table of offsets.
A cluster is one chain or several.  Where ``tile`` takes weights that are scale times code, this one takes the codes.
It is for codes whose products with the scale do not fit a byte, which ``tile`` has to multiply in two limbs, and for
processors that add products of small codes faster than products of any bytes.

A chain's products are added

    straight   by ``dot`` to 32 bits, the factors of its low and high 16 bits being (scale, 0); or, where pairs
               are added, by ``byte_pairs`` to two words of 16 bits, the factors being (scale, scale)
    crossed    for two clusters of a single place, A and B, 8 neighbouring bytes a0 a1 a2 a3 b0 b1 b2 b3: byte_pairs of
               (a2 a3 b0 b1) and of (a0 a1 b2 b3) put all of A into the low word and all of B into the high one, so that
               with factors (scale of A, scale of B) one multiplication serves both.  The first quadruple is read where
               it stands; the second is the words of two reads, blended.

and ``word_pairs`` multiplies by both factors and adds the two.

Exact, because chains are made short enough: their positive codes in each word sum up to at most TOP and so do their
negative ones, and 255 * TOP < 2**15.  So neither a pair nor a word can leave 16 bits, and a straight chain's 32 bits
hold a 16-bit number, whose low half it is.  A word times a scale fits 32 bits; the totals wrap, and the bounds of the
network (contract A2) keep the true sum inside.

A panel holds for each chain, one behind the other: the factors int16 (width, 2), and for each 4 bytes the codes int8
(width, 4).
"""

from llvmlite import ir

from ..instruction_sets import Target, byte_pairs, word_pairs
from ..lanes import I16, I32, I64, Loop, broadcast, load, number, repeated, vector
from . import step
from .step import field, first_channel, places

Advanced = tuple[ir.Value, ir.Value, list[ir.Value]]  # offsets, codes, sums

TOP = (2**15 - 1) // 255
CROSSED = 2, 3, 4, 5, 0, 1, 6, 7


class ClusterTile:
    """Tiles of one panel.

    The step has CHAINS chains of PLACES places, crossed a single place of 8 bytes; OFFSETS int32 (chains, places) count
    from a pixel's start.  Panels begin at multiples of 64 bytes.
    """

    def __init__(
        self,
        builder: ir.IRBuilder,
        target: Target,
        vectors: int,
        row: ir.Value,
        first: ir.Value,
        panel: ir.Value,
        crossed: bool = False,
    ) -> None:
        self._builder, self._target, self._vectors, self._crossed = builder, target, vectors, crossed
        self._images, self._starts, self._chains, self._length, self._offsets = (
            field(builder, row, name) for name in (step.IMAGES, step.STARTS, step.CHAINS, step.PLACES, step.OFFSETS)
        )
        panel_bytes = builder.mul(panel, field(builder, row, step.PANEL_BYTES))
        self._weights = builder.add(field(builder, row, step.PANELS), panel_bytes)
        channel_bytes = builder.mul(first_channel(builder, row, panel), number(4))
        initial = builder.add(field(builder, row, step.INITIAL), channel_bytes)
        self._initial = _rows(builder, target.lanes, vectors, initial, 4)

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """Add all chains to the initial values."""
        builder, target, vectors = self._builder, self._target, self._vectors
        begins = places(builder, self._images, self._starts, pixel, pixels)
        loop = Loop(builder, [number(0), self._offsets, self._weights, *self._initial * pixels])
        chain, offsets, factors, *totals = loop.values
        loop.leave_unless(builder.icmp_signed("<", chain, self._chains))
        codes = builder.add(factors, number(4 * target.lanes * vectors))
        if self._crossed:
            offsets, codes, partials = _crossed(builder, target.lanes, vectors, begins, offsets, codes)
        else:
            offsets, codes, partials = _straight(builder, target, vectors, begins, self._length, offsets, codes)
        scales = _rows(builder, target.lanes, vectors, factors) * pixels
        nexts = [
            word_pairs(builder, total, partial, factor, target.lanes)
            for total, partial, factor in zip(totals, partials, scales, strict=True)
        ]
        loop.close([builder.add(chain, number(1)), offsets, codes, *nexts])
        return [totals[n * vectors : (n + 1) * vectors] for n in range(pixels)]


class CrossedTile(ClusterTile):
    """Tiles of one panel whose chains are two clusters each."""

    def __init__(
        self, builder: ir.IRBuilder, target: Target, vectors: int, row: ir.Value, first: ir.Value, panel: ir.Value
    ) -> None:
        super().__init__(builder, target, vectors, row, first, panel, crossed=True)


def _straight(
    builder: ir.IRBuilder,
    target: Target,
    vectors: int,
    begins: list[ir.Value],
    length: ir.Value,
    offsets: ir.Value,
    codes: ir.Value,
) -> Advanced:
    """A loop over the places of a chain, with its sums as running values."""
    lanes = target.lanes
    zero = repeated(0, I16, 2 * lanes) if target.pairs else repeated(0, I32, lanes)
    over_places = Loop(builder, [number(0), offsets, codes, *[zero] * (len(begins) * vectors)])
    place, offsets, codes, *partials = over_places.values
    over_places.leave_unless(builder.icmp_signed("<", place, length))
    rows = _rows(builder, lanes, vectors, codes)
    nexts = list(partials)
    for i, address in enumerate(_addresses(builder, begins, offsets)):
        spread = _spread(builder, lanes, address, 0)
        for v, row in enumerate(rows):
            index = i * vectors + v
            if target.pairs:
                nexts[index] = builder.add(partials[index], byte_pairs(builder, spread, row, lanes))
            else:
                nexts[index] = target.dot(builder, partials[index], spread, row, lanes)
    further = builder.add(codes, number(4 * lanes * vectors))
    over_places.close([builder.add(place, number(1)), builder.add(offsets, number(4)), further, *nexts])
    return offsets, codes, partials


def _crossed(
    builder: ir.IRBuilder, lanes: int, vectors: int, begins: list[ir.Value], offsets: ir.Value, codes: ir.Value
) -> Advanced:
    """Two clusters of 4 bytes each, in the low and in the high words."""
    addresses = _addresses(builder, begins, offsets)
    inner = _rows(builder, lanes, vectors, codes)
    sums = []
    for address in addresses:
        spread = _spread(builder, lanes, address, 2)
        sums += [byte_pairs(builder, spread, row, lanes) for row in inner]
    outer = _rows(builder, lanes, vectors, builder.add(codes, number(4 * lanes * vectors)))
    for i, address in enumerate(addresses):
        spread = _blended(builder, lanes, _spread(builder, lanes, address, 0), _spread(builder, lanes, address, 4))
        for v, row in enumerate(outer):
            index = i * vectors + v
            sums[index] = builder.add(sums[index], byte_pairs(builder, spread, row, lanes))
    return builder.add(offsets, number(4)), builder.add(codes, number(8 * lanes * vectors)), sums


def _addresses(builder: ir.IRBuilder, begins: list[ir.Value], offsets: ir.Value) -> list[ir.Value]:
    """Where the place of an offset lies for each pixel."""
    offset = builder.sext(load(builder, offsets, I32, 4), I64)
    return [builder.add(begin, offset) for begin in begins]


def _rows(
    builder: ir.IRBuilder, lanes: int, vectors: int, address: ir.Value, align: int | None = None
) -> list[ir.Value]:
    """One vector after the other from a panel, or from where else ``align`` is promised."""
    size = 4 * lanes
    places = [builder.add(address, number(size * v)) for v in range(vectors)]
    return [load(builder, place, vector(I32, lanes), align or size) for place in places]


def _spread(builder: ir.IRBuilder, lanes: int, address: ir.Value, byte: int) -> ir.Value:
    """4 bytes of a pixel in every lane."""
    return broadcast(builder, load(builder, builder.add(address, number(byte)), I32), lanes)


def _blended(builder: ir.IRBuilder, lanes: int, low: ir.Value, high: ir.Value) -> ir.Value:
    """The low words of one vector and the high words of another."""
    words = 2 * lanes
    picks = [ir.Constant(I32, n + (words if n % 2 else 0)) for n in range(words)]
    operands = (builder.bitcast(operand, vector(I16, words)) for operand in (low, high))
    return builder.shuffle_vector(*operands, ir.Constant(vector(I32, words), picks))
