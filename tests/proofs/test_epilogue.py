"""The epilogue in 32-bit lanes is the exact requantization, for all sums, multipliers and residuals that reach it.

    code = clip(((t << lift) * M + ((r - residual zero) << R) + 2**(s-1)) >> s) + zero       in whole numbers

The code under proof is the builder's code of ``kernels/epilogue.py``, for every instruction set, and the table of
``engine/fast/packing.py``, which says when it is used.  The chain of theorems, each with its own range:

    1  the values before the clip are exact while the sum before the last shift fits 32 bits
    2  the table's own check lets no other sum pass
    3  the table holds the layer's numbers times a common power of two
    4  such a power changes no code; and where the table drops the product, it could not have changed any either
    5  packing to bytes and clipping is the clip
"""

from types import SimpleNamespace

import pytest
from kernels_under_proof import epilogue, instruction_sets, packing
from symbolic import (
    Flag,
    SymbolicNumpy,
    Word,
    any_product,
    chosen,
    counterexample,
    in_symbols,
    number,
    outcomes,
    proved,
    within,
    word,
    z3,
)
from symbolic_ir import Builder, Lanes, Power, one_after_the_other, same_in_every_lane

from refengine.numbers.formats import INT8, UINT8

pytestmark = pytest.mark.slow

MULTIPLIER, HALF, SHIFT, RESIDUAL_SHIFT, LIFT = epilogue.ROWS
EVERY_TARGET = pytest.mark.parametrize("target", instruction_sets.TARGETS, ids=lambda target: target.name)
SHIFTS = range(17, 48)
LAST_SHIFTS = range(SHIFTS[0] - 16, SHIFTS[-1] - 16 + 1)
TABLE, RESIDUALS, WIDTH = 10**6, 2 * 10**6, 1000
TOP = 2**31


# ------------------------------------------------------------------------------- 1: the registers hold what they should


class Epilogue:
    """Symbols for every lane of a vector, and the values before the clip that the product computes of them.

    A total has a high and a low half.  Lift, residual shift and last shift stand for their powers of two, which may be
    any numbers from 1 on.  ``lo`` and ``hi`` are the ends of what the sum before the last shift is assumed to be.
    """

    NAMES = "high", "low", "total", "multiplier", "half", "residual", "lift", "left", "unit"

    def __init__(self, target, has_residual, lo=-TOP, hi=TOP - 1):
        lanes = target.lanes
        self.symbols = {name: one_after_the_other(name, lanes) for name in self.NAMES}
        self.has_residual = has_residual
        total, lift = self.symbols["total"], self.symbols["lift"]
        self.assumptions = z3.And(self._ranges(**self.lane(0)), self.sum(0) >= lo, self.sum(0) <= hi)
        powers = {name: [Power(unit) for unit in self.symbols[name]] for name in ("lift", "left", "unit")}
        rows = {
            MULTIPLIER: self.symbols["multiplier"],
            HALF: self.symbols["half"],
            SHIFT: powers["unit"],
            RESIDUAL_SHIFT: powers["left"],
            LIFT: powers["lift"],
        }
        memory = {TABLE + 4 * WIDTH * row: Lanes(32, tuple(values)) for row, values in rows.items()}
        memory[RESIDUALS] = Lanes(8, tuple(self.symbols["residual"]))
        lifted = [(total[n] * lift[n], self.raised(n)) for n in range(lanes)]
        builder = Builder(self.assumptions, memory=memory, equal=lifted, symbols=self.symbols.values())
        residuals = [RESIDUALS] if has_residual else None
        (found,) = epilogue.rescaled(builder, target, [Lanes(32, tuple(total))], TABLE, WIDTH, residuals, lifted=True)
        self.values = found.values

    def lane(self, n):
        """The symbols of a lane."""
        return {name: symbols[n] for name, symbols in self.symbols.items()}

    def raised(self, n):
        """The lifted total of a lane."""
        return 65536 * self.symbols["high"][n] + self.symbols["low"][n]

    def _ranges(self, high, low, total, multiplier, half, residual, lift, left, unit):
        return z3.And(
            total * lift == 65536 * high + low, high >= -(2**15), high < 2**15, low >= 0, low < 2**16,
            multiplier >= 0, multiplier < 2**15, half >= -TOP, half < TOP,
            residual >= 0, residual <= 255, left >= 1, lift >= 1, unit >= 1,
        )  # fmt: skip

    def sum(self, n):
        """The sum before the last shift: a floored product, and what is added to it."""
        symbols = self.lane(n)
        added = symbols["residual"] * symbols["left"] if self.has_residual else 0
        return self.raised(n) * symbols["multiplier"] / 65536 + symbols["half"] + added


@EVERY_TARGET
@pytest.mark.parametrize("has_residual", [False, True])
def test_the_sum_before_the_last_shift_is_exact(target, has_residual):
    """Whatever wraps on the way: a floored product plus what is added to it, which is then shifted."""
    epilogue = Epilogue(target, has_residual)
    before, unit = epilogue.values[0].children()
    assert unit.eq(epilogue.symbols["unit"][0])
    assert epilogue.values[0].eq(before / unit)
    proved(before == epilogue.sum(0), epilogue.assumptions)
    assert same_in_every_lane(epilogue.values, epilogue.symbols.values())


@EVERY_TARGET
@pytest.mark.parametrize(("lo", "hi"), [(-TOP - 1, TOP - 1), (-TOP, TOP)])
def test_a_sum_one_beyond_32_bits_is_not(target, lo, hi):
    epilogue = Epilogue(target, True, lo, hi)
    before = epilogue.values[0].children()[0]
    assert counterexample(before == epilogue.sum(0), epilogue.assumptions) is not None


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_last_shift_may_follow_the_first(shift):
    """A floor of a floor: what is added after the first shift is whole in its unit."""
    product, added = z3.Ints("product added")
    proved((product / 2**16 + added) / 2 ** (shift - 16) == (product + added * 2**16) / 2**shift)
    half = z3.Int("half")
    assert counterexample((product / 2**16 + half / 2**16) / 2 ** (shift - 16) == (product + half) / 2**shift)


# ----------------------------------------------------------------------------------- 2: nothing else passes the check


class Whole:
    """A whole number, and the array that holds it alone, for ``packing._fits``."""

    def __init__(self, term):
        self.term = term

    def __lshift__(self, power):
        return Whole(self.term * power.unit)

    def __rlshift__(self, number):
        return Whole(number * self.term.unit)

    def __rshift__(self, number):
        return Whole(self.term / (1 << number))

    def __mul__(self, other):
        return Whole(self.term * other.term)

    def __add__(self, other):
        return Whole(self.term + (other.term if isinstance(other, Whole) else other))

    def __lt__(self, number):
        return Flag(self.term < number)

    def __abs__(self):
        return Whole(z3.If(self.term < 0, -self.term, self.term))

    def max(self):
        return self


def fits(multiplier, half, left, lift, peak):
    """When the product's check says yes."""
    rows = {MULTIPLIER: Whole(multiplier), HALF: Whole(half), RESIDUAL_SHIFT: Whole(Power(left)), LIFT: Power(lift)}
    check = in_symbols(packing, np=SimpleNamespace(abs=abs))._fits
    return z3.Or(*[z3.And(way.term, result) for way, result in outcomes(lambda: check(rows, Whole(peak)))])


class Sum:
    """A sum whose numbers are those of a table: the total within its bound, the residual a byte."""

    def __init__(self):
        names = "total lift multiplier half residual left peak"
        self.total, self.lift, self.multiplier, self.half, self.residual, self.left, self.peak = z3.Ints(names)
        self.ranges = z3.And(
            self.total <= self.peak, -self.total <= self.peak, self.lift >= 1, self.left >= 1,
            self.multiplier >= 0, self.multiplier < 2**15, self.residual >= 0, self.residual <= 255,
        )  # fmt: skip
        self.raised = self.total * self.lift
        self.lifted = self.peak * self.lift
        bound = self.lifted * self.multiplier / 65536 + 1
        self.most = bound + z3.If(self.half < 0, -self.half, self.half) + 255 * self.left
        self.sum = self.raised * self.multiplier / 65536 + self.half + self.residual * self.left

    @property
    def monotonic(self):
        """A product is as large as its larger factor allows: said to the solver, and proved by it, separately."""
        times = self.multiplier
        return z3.And(
            self.raised <= self.lifted, -self.raised <= self.lifted,
            self.raised * times <= self.lifted * times, -(self.raised * times) <= self.lifted * times,
            self.residual * self.left <= 255 * self.left, self.residual * self.left >= 0,
        )  # fmt: skip


def test_products_grow_with_their_factors():
    """What the next proofs need of multiplication follows from the ranges; with a factor of -1 it does not."""
    s = Sum()
    proved(s.monotonic, s.ranges)
    a, b, c = z3.Ints("a b c")
    assert counterexample(a * c <= b * c, a <= b, c >= -1) is not None


def test_what_passes_the_check_of_the_table_fits_32_bits():
    """The lifted total, and the sum before the last shift, for every total of the bound."""
    s = Sum()
    passes = fits(s.multiplier, s.half, s.left, s.lift, s.peak)
    proved(z3.And(s.raised >= -TOP, s.raised < TOP), s.ranges, s.monotonic, passes)
    proved(z3.And(s.sum >= -TOP, s.sum < TOP), s.ranges, s.monotonic, passes)


def test_the_sum_fits_up_to_a_bound_of_2_to_the_31_and_no_further():
    """The check asks for less than that: it is one stricter than it has to be."""
    s = Sum()
    claim = z3.And(s.sum >= -TOP, s.sum < TOP)
    proved(claim, s.ranges, s.monotonic, s.most <= TOP)
    assert counterexample(claim, s.ranges, s.monotonic, s.most <= TOP + 1, s.multiplier == 2**14) is not None
    passes = fits(s.multiplier, s.half, s.left, s.lift, s.peak)
    proved(s.most < TOP, s.ranges, passes)


# ----------------------------------------------------------------------------- 3: the table holds the layer's numbers

M, S, R, LOW, HIGH = (word(name) for name in ("M", "s", "R", "lo", "hi"))
LAYER = [within(M, 0, TOP - 1), within(S, 0, 62), within(R, 0, 53), within(LOW, -TOP, 0), within(HIGH, 0, TOP - 1)]
PEAK = chosen(-LOW > HIGH, -LOW, HIGH)
FORMS = pytest.mark.parametrize(
    ("zero", "residual"),
    [(zero, residual) for zero in (0, 128) for residual in (None, UINT8, INT8)],
    ids=lambda value: getattr(value, "name", str(value)),
)


class Rows:
    """The table that ``packing.table`` fills: a word a row."""

    def __init__(self):
        self.words = [number(0) for _ in epilogue.ROWS]

    def _place(self, index):
        return index[0] if isinstance(index, tuple) else index

    def __getitem__(self, index):
        return self if isinstance(self._place(index), slice) else self.words[self._place(index)]

    def __setitem__(self, index, value):
        self.words[self._place(index)] = value if isinstance(value, Word) else number(value)

    def astype(self, dtype):
        """The claim says that nothing is cut off."""
        return self


class NumpyWithRows(SymbolicNumpy):
    """``zeros`` makes the table."""

    @staticmethod
    def zeros(shape, dtype):
        return Rows()


def tables(zero, residual, *assumptions, **instead):
    """Every way through the package's function that ends in a table: its condition, and the table."""
    build = in_symbols(packing, np=NumpyWithRows(), **instead).table
    shift = None if residual is None else R
    step = SimpleNamespace(multiplier=M, shift=S, residual_shift=shift, rounding="half_up")
    names = {"layer": None, "residual": residual}
    network = SimpleNamespace(shapes={"layer": (1,)}, bounds={"layer": (LOW, HIGH)}, formats=names)
    of_layer = SimpleNamespace(name="layer", residual=None if residual is None else "residual", accumulator_bits=32)
    ways = outcomes(lambda: build(network, of_layer, step, zero), *LAYER, *assumptions)
    return [(way, rows.words) for way, rows in ways if rows is not None]


def as_the_layer(rows, zero, residual):
    """The claim: M, s and R times a common power of two, of which the totals bear the lift; or no product at all."""
    multiplier, half, shift, left, lift = (rows[name] for name in (MULTIPLIER, HALF, SHIFT, RESIDUAL_SHIFT, LIFT))
    more = shift + 16 - S
    room = more - lift
    ranges = within(multiplier, 0, 2**15 - 1) & within(shift, 1, 31) & within(left, 0, 14) & within(lift, 0, 31)
    ranges = ranges & within(half, -TOP, TOP - 1)
    wanted = (number(1) << (shift - 1)) + (number(zero) << shift)
    scaled = (room >= 0) & (multiplier == M << room)
    vanished = (multiplier == 0) & (S > 0) & (number(1) << (S - 1) > PEAK * M)
    if residual is not None:
        wanted = wanted - (number(128 if residual is INT8 else 0) << left)
        scaled = scaled & (left + 16 == R + more)
        vanished = vanished & (left + 16 - shift - 16 == R - S) & (R >= S)
    return ranges & (half == wanted) & (scaled | vanished)


@FORMS
def test_the_table_holds_the_numbers_of_the_layer(zero, residual):
    """Any multiplier, shift, residual shift and bounds: either there is no table, or it is the layer's.

    Products of a bound and a multiplier have 62 bits at most, and nothing else is asked of them.
    """
    with any_product(62):
        found = tables(zero, residual)
        assert found
        for way, rows in found:
            proved(as_the_layer(rows, zero, residual), *LAYER, way)


LOOSENED = {
    "shifts": ({"_SHIFTS": range(16, 48)}, 0, [M == 2**14, LOW == -1000, HIGH == 1000]),
    "bits": ({"_MULTIPLIER_BITS": 16}, 0, [M == 200, LOW == -1000, HIGH == 1000]),
    "check": ({"_fits": lambda rows, peak: True}, 128, [M == 1, LOW == 0, HIGH == 2**30]),
}


@pytest.mark.parametrize(("loose", "zero", "layer"), LOOSENED.values(), ids=LOOSENED)
def test_a_range_one_wider_makes_a_wrong_table(loose, zero, layer):
    """So does a table without its check.  The end of ``_SHIFTS`` is not needed: a half of 2**31 fails the check."""
    found = tables(zero, None, *layer, **loose)
    claims = [(as_the_layer(rows, zero, None), way) for way, rows in found]
    assert any(counterexample(claim, *LAYER, *layer, way) is not None for claim, way in claims)
    as_it_is = tables(zero, None, *layer)
    assert as_it_is
    for way, rows in as_it_is:
        proved(as_the_layer(rows, zero, None), *LAYER, *layer, way)


def test_products_of_the_table_have_62_bits():
    """Of a bound and a multiplier; a lifted bound fits 32 bits (its headroom is counted), and its multiplier has 15."""
    peak, multiplier = z3.Ints("peak multiplier")
    ranges = [peak >= 0, peak <= TOP, multiplier >= 0, multiplier < TOP]
    proved(z3.And(peak * multiplier >= 0, peak * multiplier < 2**62), *ranges)


# ------------------------------------------------------------------------------- 4: and codes do not depend on the rest


def half_up(total, shift):
    """The contract's rounding, in the width of the total."""
    return (total + ((number(1, total.width) << shift) >> 1)) >> shift


def test_a_common_power_of_two_changes_no_code():
    """Raised alike, total with half and unit have the same floored quotient: for any unit, and any power from 1 on.

    ``total + half = quotient * unit + remainder`` says which quotient that is.  Where the shift is 0 there is no half;
    what is added before the last shift is then less than the power, and changes nothing either.
    """
    quotient, remainder, unit, power = z3.Ints("quotient remainder unit power")
    raised, over = (quotient * unit + remainder) * power, unit * power
    claim = z3.And(quotient * over <= raised, raised < quotient * over + over)
    ranges = [remainder >= 0, unit >= 1, power >= 1]
    proved(claim, *ranges, remainder < unit)
    assert counterexample(claim, *ranges, remainder <= unit, unit <= 4, power <= 4, quotient == 1) is not None
    claim = z3.And(
        quotient * power <= quotient * power + remainder, quotient * power + remainder < (quotient + 1) * power
    )
    proved(claim, *ranges, remainder < power)
    assert counterexample(claim, *ranges, remainder <= power, power <= 4, quotient == 1) is not None


def test_a_product_below_a_half_changes_no_code():
    """Beside a residual that is a whole number of codes; one more, and the product is a tie, which goes up."""
    product, added, shift, left = (word(name, 128) for name in ("product", "added", "shift", "left"))
    half = number(1, 128) << (shift - 1)
    ranges = [within(added, -(2**15), 2**15 - 1), within(shift, 1, 62), within(left, shift, 62)]
    claim = half_up(product + (added << left), shift) == added << (left - shift)
    proved(claim, *ranges, within(product, 1 - half, half - 1))
    assert counterexample(claim, *ranges, within(product, 1 - half, half)) is not None
    assert counterexample(claim, *ranges[:2], within(left, shift - 1, 62), within(product, 1 - half, half - 1))


# ------------------------------------------------------------------------------------------------- 5: codes, as bytes


@EVERY_TARGET
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_packing_and_clipping_to_bytes_is_the_clip(target, count):
    """Any value of 32 bits, between any two ends that a byte has: the saturations of the packing are never seen."""
    lo, hi = z3.Ints("lo hi")
    values = one_after_the_other("value", count * target.lanes)
    ranges = z3.And(lo >= 0, lo <= hi, hi <= 255, values[0] >= -TOP, values[0] < TOP)
    builder = Builder(ranges, symbols=[values])
    vectors = [Lanes(32, tuple(values[n : n + target.lanes])) for n in range(0, len(values), target.lanes)]
    found = epilogue.clipped(builder, target, vectors, lo, hi).values
    proved(found[0] == z3.If(values[0] < lo, lo, z3.If(values[0] > hi, hi, values[0])), ranges)
    assert same_in_every_lane(found, [values])
    beyond = z3.And(lo >= 0, lo <= hi, hi <= 256, values[0] >= -TOP, values[0] < TOP)
    wider = epilogue.clipped(Builder(beyond, symbols=[values]), target, vectors, lo, hi).values
    assert counterexample(wider[0] == z3.If(values[0] < lo, lo, z3.If(values[0] > hi, hi, values[0])), beyond)
