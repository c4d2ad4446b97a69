"""Products of words are exact: any byte times any weight of 16 bits, two of them added, wherever a lane's sum stands.

The code under proof is the builder's code of ``kernels/fast/``'s ``word_tile``, ``pair_tile`` and ``depthwise``: one
round of their loops for any sums that the rounds before can have left.
"""

import pytest
from kernels_under_proof import depthwise, instruction_sets, pair_tile, word_tile
from symbolic import counterexample, proved, z3
from symbolic_ir import Builder, Lanes, one_after_the_other, same_in_every_lane

pytestmark = pytest.mark.slow

TARGETS = instruction_sets.TARGETS
FIRST, SECOND, WEIGHTS = 1000, 2000, 64 * 100
BYTES, WORDS = (0, 255), (-(2**15), 2**15 - 1)


def within(ends, *terms):
    return z3.And(*[z3.And(term >= ends[0], term <= ends[1]) for term in terms])


def interleaved(*columns):
    return tuple(symbol for lane in zip(*columns, strict=True) for symbol in lane)


def tile_of(module, name, builder, target):
    """A tile of one vector that is asked for a single round."""
    kind = getattr(module, name)
    made = object.__new__(kind)
    made._builder, made._target, made._vectors = builder, target, 1
    return made


@pytest.mark.parametrize("target", [target for target in TARGETS if target.pairs], ids=lambda target: target.name)
def test_a_round_adds_four_products(target):
    lanes = target.lanes
    a, total = one_after_the_other("a", 4), one_after_the_other("total", lanes)
    w = [one_after_the_other(f"w{n}_", lanes) for n in range(4)]
    exact = total[0] + sum(a[n] * w[n][0] for n in range(4))
    memory = {FIRST + 2 * n: a[n] for n in range(4)} | {FIRST + 2 * n + 1: 0 for n in range(4)}
    memory |= {WEIGHTS + 4 * lanes * n: Lanes(16, interleaved(w[2 * n], w[2 * n + 1])) for n in range(2)}
    for beyond in (0, 1):
        ranges = z3.And(within(BYTES, *a), within((WORDS[0], WORDS[1] + beyond), *[column[0] for column in w]))
        builder = Builder(ranges, memory=memory, symbols=[*w, total])
        tile = tile_of(word_tile, "WordTile", builder, target)
        (found,) = tile._round(0, [FIRST], WEIGHTS, [Lanes(32, tuple(total))])
        if beyond:
            assert counterexample(found.values[0] == exact, ranges) is not None
        else:
            proved(found.values[0] == exact, ranges)
            assert same_in_every_lane(found.values, [*w, total])


@pytest.mark.parametrize("target", [target for target in TARGETS if target.pairs], ids=lambda target: target.name)
def test_a_round_of_paired_products_adds_four_and_what_is_known_of_either_side(target):
    """Weights may be a code times a scale; from 2**15 - 255 on, a sum is no word."""
    lanes = target.lanes
    a, total = one_after_the_other("a", 4), one_after_the_other("total", lanes)
    w = [one_after_the_other(f"w{n}_", lanes) for n in range(4)]
    own = a[0] * a[1] + a[2] * a[3] + w[0][0] * w[1][0] + w[2][0] * w[3][0]
    exact = total[0] + sum(a[n] * w[n][0] for n in range(4)) + own
    memory = {FIRST: a[0], FIRST + 1: 0, FIRST + 2: a[2], FIRST + 3: 0}
    memory |= {pair_tile.CHUNK + place: a[n] for place, n in ((FIRST, 1), (FIRST + 2, 3))}
    memory |= {pair_tile.CHUNK + place: 0 for place in (FIRST + 1, FIRST + 3)}
    memory |= {WEIGHTS + 4 * lanes * n: Lanes(16, interleaved(w[1 - n], w[3 - n])) for n in range(2)}
    for most in (pair_tile.MOST, 2**15 - 255):
        ranges = z3.And(within(BYTES, *a), within((-most, most), *[column[0] for column in w]))
        builder = Builder(ranges, memory=memory, symbols=[*w, total])
        tile = tile_of(pair_tile, "PairTile", builder, target)
        (found,) = tile._round(0, [FIRST], WEIGHTS, [Lanes(32, tuple(total))])
        if most > pair_tile.MOST:
            assert counterexample(found.values[0] == exact, ranges) is not None
        else:
            proved(found.values[0] == exact, ranges)
            assert same_in_every_lane(found.values, [*w, total])


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_two_taps_of_every_channel(target):
    """Each channel meets its own two bytes and its own two weights."""
    lanes, width = target.lanes, depthwise.WIDTH
    taps = [one_after_the_other(f"a{n}_", width) for n in range(2)]
    w, total = [one_after_the_other(f"w{n}_", width) for n in range(2)], one_after_the_other("total", width)
    ranges = z3.And(within(BYTES, *[tap[0] for tap in taps]), within(WORDS, *[column[0] for column in w]))
    every = [*taps, *w, total]
    memory = {place: Lanes(8, tuple(tap)) for place, tap in zip((FIRST, SECOND), taps, strict=True)}
    builder = Builder(ranges, memory=memory, symbols=every)
    tile = tile_of(depthwise, "Depthwise", builder, target)
    found = []
    for v, words in enumerate(tile._words(FIRST, SECOND)):
        here = slice(v * lanes, (v + 1) * lanes)
        factors = Lanes(16, interleaved(*(column[here] for column in w)))
        found += tile._products(Lanes(32, tuple(total[here])), words, factors).values
    proved(found[0] == total[0] + sum(taps[n][0] * w[n][0] for n in range(2)), ranges)
    assert len(found) == width
    assert same_in_every_lane(found, every)


def test_two_products_stay_far_from_32_bits():
    a, b, v, w = z3.Ints("a b v w")
    claim = z3.And(a * v + b * w < 2**24, a * v + b * w >= -(2**24))
    proved(claim, within(BYTES, a, b), within(WORDS, v, w))
