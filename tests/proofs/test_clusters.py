"""Products of bytes are exact: 16-bit sums of small codes cannot saturate, nor do crossed clusters touch each other.

The code under proof is the builder's code of ``kernels/fast/cluster_tile.py`` and ``kernels/instruction_sets.py``, one
turn of its loop for any state that the turns before can have left, so that chains of every length are covered; and
``packing._split``.
"""

from types import SimpleNamespace

import pytest
from kernels_under_proof import cluster_tile, instruction_sets, packing, tile
from llvmlite import ir
from symbolic import SymbolicNumpy, counterexample, in_symbols, proved, within, word, z3
from symbolic_ir import Builder, Lanes, Loaded, one_after_the_other, same_in_every_lane

pytestmark = pytest.mark.slow

CROSSED, TOP, LIMB_BITS, TARGETS = cluster_tile.CROSSED, cluster_tile.TOP, tile.LIMB_BITS, instruction_sets.TARGETS
PIXEL, OFFSETS, CODES = 1000, 2000, 64 * 100
WITH_TILES = [target for target in TARGETS if target.cluster_tiles]
TILES = pytest.mark.parametrize("target", WITH_TILES, ids=lambda target: target.name)
EVERY_TARGET = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def up(code):
    """The share of a code in the sum of positive ones."""
    return z3.If(code > 0, code, 0)


def down(code):
    """The share of a code in the sum of negative ones, as a magnitude."""
    return z3.If(code < 0, -code, 0)


def any_of(activations, codes):
    """Bytes, unsigned and signed; and what that says about each product (``test_a_product_lies_between_its_ends``)."""
    return z3.And(
        *[z3.And(a >= 0, a <= 255) for a in activations],
        *[z3.And(w >= -128, w <= 127) for w in codes],
        *[z3.And(a * w <= 255 * up(w), -(a * w) <= 255 * down(w)) for a, w in zip(activations, codes, strict=True)],
    )


def test_a_product_lies_between_its_ends():
    """255 times the code, or 0: what the other proofs say to the solver about products."""
    a, w = z3.Ints("a w")
    claim = z3.And(a * w <= 255 * up(w), -(a * w) <= 255 * down(w))
    proved(claim, a >= 0, a <= 255)
    assert counterexample(claim, a >= 0, a <= 256) is not None
    assert counterexample(claim, a >= -1, a <= 255) is not None


def signed_bytes(activations, codes):
    """Activations less 128 and codes; of each product what ``test_signed_products_fit_a_word_two_by_two`` says."""
    return z3.And(
        *[z3.And(a >= -128, a <= 127) for a in activations],
        *[z3.And(w >= -127, w <= 127) for w in codes],
        *[z3.And(a * w <= 128 * 127, a * w >= -128 * 127) for a, w in zip(activations, codes, strict=True)],
    )


def test_signed_products_fit_a_word_two_by_two():
    """2 * 128 * 127 < 2**15; with -128 among the codes, two products would not."""
    a, w = z3.Ints("a w")
    claim = z3.And(2 * a * w < 2**15, a * w <= 128 * 127, a * w >= -128 * 127)
    proved(claim, a >= -128, a <= 127, w >= -127, w <= 127)
    assert counterexample(claim, a >= -128, a <= 127, w >= -128, w <= 127) is not None


def of_lanes(name, lanes, count):
    """``count`` symbols in each lane: a list of lanes each."""
    return [one_after_the_other(f"{name}{n}_", lanes) for n in range(count)]


def interleaved(columns):
    """Lane by lane, the symbols of each."""
    return tuple(symbol for lane in zip(*columns, strict=True) for symbol in lane)


class Turn:
    """The loop, in the middle: its running values are given, and what the turn makes of them is kept."""

    given, nexts = None, None

    def __init__(self, builder, starts):
        fresh = iter(self.given)
        self.values = [next(fresh) if is_vector(start) else start for start in starts]

    def leave_unless(self, condition):
        """The turn is one that is taken."""

    def close(self, nexts):
        """What the next turn begins with."""
        type(self).nexts = nexts


def is_vector(start):
    """Whether a running value is one of lanes, not an address or a count."""
    return isinstance(getattr(start, "type", None), ir.VectorType)


def one_turn(target, partial, memory, assumptions, symbols):
    """What ``_straight`` makes of a chain's sums in one turn: a Lanes."""

    class ThisTurn(Turn):
        given = (partial,)

    builder = Builder(assumptions, memory=memory, symbols=symbols)
    in_symbols(cluster_tile, Loop=ThisTurn)._straight(builder, target, 1, [PIXEL], 5, OFFSETS, CODES)
    return ThisTurn.nexts[3]


def offsets_of_zero():
    """A table of offsets whose first entry is 0."""
    return {OFFSETS + n: 0 for n in range(4)}


# --------------------------------------------------------------------------------------------------- sums of 16 bits


class Pairs:
    """Two bytes and two codes of each word, and a word's sum with the positive and negative codes that are in it."""

    def __init__(self, target, top):
        words = 2 * target.lanes
        self.a = z3.Ints("a0 a1 a2 a3")
        self.w = of_lanes("w", target.lanes, 4)
        self.sums, self.above, self.below = of_lanes("sum", words, 1), z3.Int("above"), z3.Int("below")
        sums = self.sums[0]
        self.first = self.a[0] * self.w[0][0] + self.a[1] * self.w[1][0]
        codes = [self.w[n][0] for n in range(4)]
        self.then_above = self.above + up(codes[0]) + up(codes[1])
        self.then_below = self.below + down(codes[0]) + down(codes[1])
        self.assumptions = z3.And(
            any_of(self.a, codes), self.above >= 0, self.below >= 0,
            sums[0] <= 255 * self.above, -sums[0] <= 255 * self.below,
            self.then_above <= top, self.then_below <= top,
        )  # fmt: skip
        memory = offsets_of_zero() | {PIXEL + n: a for n, a in enumerate(self.a)}
        memory[CODES] = Lanes(8, interleaved(self.w))
        self.next = one_turn(target, Lanes(16, tuple(sums)), memory, self.assumptions, self.w)

    @property
    def claim(self):
        """Nothing was saturated, nothing wraps, and the sum is again as large as its codes allow at most."""
        found, wanted = self.next.values[0], self.sums[0][0] + self.first
        return z3.And(
            found == wanted, wanted >= -(2**15), wanted < 2**15,
            wanted <= 255 * self.then_above, -wanted <= 255 * self.then_below,
        )  # fmt: skip


PAIRING = pytest.mark.parametrize(
    "target", [target for target in TARGETS if target.pairs], ids=lambda target: target.name
)


@PAIRING
def test_sums_of_pairs_stay_in_16_bits(target):
    """One more place of a chain whose codes of either sign sum up to TOP at most, whatever the places before were."""
    turn = Pairs(target, TOP)
    assert 255 * TOP < 2**15 <= 255 * (TOP + 1)
    proved(turn.claim, turn.assumptions)


@PAIRING
def test_sums_of_pairs_leave_16_bits_with_one_more(target):
    turn = Pairs(target, TOP + 1)
    assert counterexample(turn.claim, turn.assumptions) is not None


@PAIRING
def test_every_word_of_a_turn_is_computed_alike(target):
    """Lane by lane; and a lane's second word does with its own two bytes what the first does."""
    turn = Pairs(target, TOP)
    low, high = turn.next.values[::2], turn.next.values[1::2]
    sums = turn.sums[0]
    assert same_in_every_lane(low, [*turn.w, sums[::2]])
    assert same_in_every_lane(high, [*turn.w, sums[1::2]])
    swapped = [(turn.a[0], turn.a[2]), (turn.a[1], turn.a[3])]
    swapped += [(turn.w[0][0], turn.w[2][0]), (turn.w[1][0], turn.w[3][0]), (sums[0], sums[1])]
    assert z3.substitute(low[0], *swapped).eq(high[0])


# ------------------------------------------------------------------------------------------------- sums of 32 bits


@EVERY_TARGET
def test_a_dot_product_adds_four_products(target):
    """Any bytes, any codes of int8: exact modulo 2**32, by the instruction or by widening.

    Where the target is signed, bytes are activations less 128, and codes begin with -127.
    """
    a, w, sums = of_lanes("a", target.lanes, 4), of_lanes("w", target.lanes, 4), of_lanes("sum", target.lanes, 1)
    first = [column[0] for column in a], [column[0] for column in w]
    ranges = signed_bytes(*first) if target.signed else any_of(*first)
    builder = Builder(ranges, symbols=[*a, *w, *sums])
    found = target.dot(
        builder, Lanes(32, tuple(sums[0])), Lanes(8, interleaved(a)), Lanes(8, interleaved(w)), target.lanes
    )
    exact = sums[0][0] + sum(a[n][0] * w[n][0] for n in range(4))
    proved(found.values[0] == exact, ranges)
    assert same_in_every_lane(found.values, [*a, *w, *sums])
    beyond = z3.And(a[0][0] >= 0, a[0][0] <= 256, *[a[n][0] == 0 for n in (1, 2, 3)])
    wide = target.dot(
        Builder(beyond, symbols=[*a, *w, *sums]), Lanes(32, tuple(sums[0])), Lanes(8, interleaved(a)),
        Lanes(8, interleaved(w)), target.lanes,
    )  # fmt: skip
    assert counterexample(wide.values[0] == exact, beyond, w[0][0] == 1, *[w[n][0] == 0 for n in (1, 2, 3)])


@TILES
def test_a_chain_times_its_scale(target):
    """The low half of a chain's 32 bits is its sum while that fits 16; or both words, where it has two."""
    low, high, scale, total = (one_after_the_other(name, target.lanes) for name in ("low", "high", "scale", "total"))
    every = [low, high, scale, total]
    words = Lanes(16, interleaved([low, high])) if target.pairs else Lanes(32, tuple(low))
    factors = Lanes(16, tuple(f for s in scale for f in (s, s if target.pairs else 0)))
    exact = total[0] + scale[0] * (low[0] + (high[0] if target.pairs else 0))
    for top, holds in ((2**15 - 1, True), (2**15, False)):
        ranges = z3.And(
            scale[0] >= 0, scale[0] <= 127, low[0] >= -(2**15), low[0] <= top, high[0] >= -(2**15), high[0] < 2**15
        )
        builder = Builder(ranges, symbols=every)
        found = instruction_sets.word_pairs(builder, Lanes(32, tuple(total)), words, factors, target.lanes)
        assert (counterexample(found.values[0] == exact, ranges) is None) == holds
        assert same_in_every_lane(found.values, every)


# ------------------------------------------------------------------------------------------------- crossed clusters


class TwoClusters:
    """Eight bytes, two clusters of four codes in each lane, their scales, and the total that the tile makes of them."""

    def __init__(self, target, tops):
        lanes = target.lanes
        self.a, self.w = one_after_the_other("a", 8), of_lanes("w", lanes, 8)
        self.scales, self.total = of_lanes("scale", lanes, 2), one_after_the_other("total", lanes)
        codes = [column[0] for column in self.w]
        limits = [
            sum(map(share, cluster)) <= top
            for cluster, top in zip((codes[:4], codes[4:]), tops, strict=True)
            for share in (up, down)
        ]
        scales = [z3.And(scale[0] >= -(2**15), scale[0] < 2**15) for scale in self.scales]
        self.assumptions = z3.And(any_of(self.a, codes), *limits, *scales)
        self.symbols = [*self.w, *self.scales, self.total]
        builder = Builder(self.assumptions, memory=self._memory(lanes), symbols=self.symbols)
        _, _, (sums,) = cluster_tile._crossed(builder, lanes, 1, [PIXEL], OFFSETS, CODES)
        factors = Lanes(16, interleaved(self.scales))
        self.found = instruction_sets.word_pairs(builder, Lanes(32, tuple(self.total)), sums, factors, lanes)
        sums_of = [sum(a * w for a, w in zip(self.a[n : n + 4], codes[n : n + 4], strict=True)) for n in (0, 4)]
        self.exact = self.total[0] + self.scales[0][0] * sums_of[0] + self.scales[1][0] * sums_of[1]

    def _memory(self, lanes):
        """The pixel's bytes, and the codes in the order of ``CROSSED``: four, and four behind them."""
        in_order = [self.w[n] for n in CROSSED]
        rows = {CODES: in_order[:4], CODES + 4 * lanes: in_order[4:]}
        return (
            offsets_of_zero()
            | {PIXEL + n: a for n, a in enumerate(self.a)}
            | {address: Lanes(8, interleaved(columns)) for address, columns in rows.items()}
        )


@TILES
def test_two_crossed_clusters_are_two_sums(target):
    """Each times its own scale, for any bytes, any codes within TOP of either sign, any 16-bit factors."""
    case = TwoClusters(target, (TOP, TOP))
    proved(case.found.values[0] == case.exact, case.assumptions)
    assert same_in_every_lane(case.found.values, case.symbols)


@pytest.mark.parametrize("tops", [(TOP + 1, TOP), (TOP, TOP + 1)], ids=["first", "second"])
def test_two_crossed_clusters_are_not_with_one_more(tops):
    case = TwoClusters(WITH_TILES[-1], tops)
    claim = case.found.values[0] == case.exact
    ones = [scale[0] == 1 for scale in case.scales]
    assert counterexample(claim, case.assumptions, *ones, case.total[0] == 0) is not None


# ------------------------------------------------------------------------------------------------------------- limbs


class LimbsOf(SymbolicNumpy):
    """``stack`` gives the two limbs, whose cast to int8 the claim looks at."""

    @staticmethod
    def stack(values, axis):
        return SimpleNamespace(astype=lambda dtype: values)


def test_two_limbs_are_the_weight():
    """``128 * high + low``, both of int8, for every weight between the ends that two limbs have, and for no other."""
    weight, unit = word("weight"), 1 << LIMB_BITS
    high, low = in_symbols(packing, np=LimbsOf())._split(weight, 2)
    claim = within(high, -128, 127) & within(low, -128, 127) & (high * unit + low == weight)
    lo, hi = -128 * unit - unit // 2, 127 * unit + unit // 2 - 1
    assert lo <= -127 * 127
    assert hi >= 127 * 127
    proved(claim, within(weight, lo, hi))
    assert counterexample(claim, within(weight, lo - 1, hi)) == {"weight": lo - 1}
    assert counterexample(claim, within(weight, lo, hi + 1)) == {"weight": hi + 1}


def test_numbers_in_memory_are_read_from_the_lowest_byte_on():
    """The builder's own reading of memory, which the proofs rely on."""
    builder = Builder(memory={n: n + 1 for n in range(4)})
    loaded = builder.load(builder.inttoptr(0, cluster_tile.I32.as_pointer()))
    assert isinstance(loaded, Loaded)
    assert loaded.value == int.from_bytes(bytes([1, 2, 3, 4]), "little")
