"""From accumulators to codes: int64 holds the exact total, residuals are aligned, kernels are the definition.

The functions are those of ``numbers/requantize.py``, ``kernels/requantize.py`` and ``kernels/fast/plan.py``, run on
symbols; shifts, addends, residual and clip are any that the stated ranges hold, the product of accumulator and
multiplier is any int64 (contract Q1-Q5).
"""

from types import SimpleNamespace

import pytest
from kernels_under_proof import plan
from kernels_under_proof import step as fields
from symbolic import Cells, Row, Word, chosen, counterexample, in_symbols, number, outcomes, proved, within, word, z3

from refengine.kernels import requantize as kernel
from refengine.numbers import requantize, rounding
from refengine.numbers.requantize import MAX_RESIDUAL_SHIFT, MAX_TOTAL
from refengine.numbers.rounding import MAX_SHIFT

pytestmark = pytest.mark.slow

WIDE = 128


class Factor(Word):
    """An accumulator of which only its product with the multiplier is known: any int64, so that no product is left."""

    def widened(self, width):
        return self

    def astype(self, dtype):
        return self

    def __mul__(self, other):
        assert other is MULTIPLIER
        return word("product")


SHIFT, RESIDUAL, RESIDUAL_SHIFT = (word(name) for name in ("s", "r", "R"))
MULTIPLIER, ACC = word("M"), Factor(word("acc").term)
LO, HI, ZERO = word("lo"), word("hi"), word("zero")
ADDENDS = Row(word(f"addend{n}") for n in range(4))
RANGES = [
    within(SHIFT, 0, MAX_SHIFT),
    within(RESIDUAL, -(2**15), 2**15 - 1),
    within(RESIDUAL_SHIFT, 0, MAX_RESIDUAL_SHIFT),
]
PARAMETERS = SimpleNamespace(multiplier=MULTIPLIER, shift=SHIFT, residual_shift=RESIDUAL_SHIFT, lo=LO, hi=HI)
PRODUCT = word("product", WIDE)


def exact_total(product):
    """Q1 in 128 bits, where nothing wraps; the product of accumulator and multiplier is any number of 62 bits."""
    return product + (RESIDUAL.widened(WIDE) << RESIDUAL_SHIFT.widened(WIDE))


def int64_total(product):
    """The product's total, with a number in the place of the accumulator times the multiplier."""
    one = SimpleNamespace(multiplier=1, residual_shift=RESIDUAL_SHIFT)
    ((_, total),) = outcomes(lambda: in_symbols(requantize).total(product.widened(64), one, RESIDUAL))
    return total


# -------------------------------------------------------------------------------------------------- int64 is enough


def test_a_product_has_at_most_62_bits():
    """The ends of int32 times the ends of the multiplier; the bound of a total leaves room for them."""
    acc, multiplier = z3.Ints("acc multiplier")
    claim = z3.And(acc * multiplier > -MAX_TOTAL, acc * multiplier < MAX_TOTAL)
    ranges = [acc >= -(2**31), acc < 2**31, multiplier >= 0]
    proved(claim, *ranges, multiplier < 2**31)
    assert counterexample(claim, *ranges, multiplier <= 2**31) is not None


def test_int64_holds_the_exact_total():
    """Also where the shifted residual alone would not fit: what counts is the total, and sums wrap back."""
    total = exact_total(PRODUCT)
    claim = int64_total(PRODUCT).widened(WIDE) == total
    product = within(PRODUCT, -MAX_TOTAL, MAX_TOTAL)
    proved(claim, *RANGES, product, within(total, -(2**63), 2**63 - 1))
    assert counterexample(claim, *RANGES, product, within(total, -(2**63), 2**63)) is not None
    assert counterexample(claim, *RANGES, product, within(total, -(2**63) - 1, 2**63 - 1)) is not None
    assert MAX_TOTAL < 2**63


def test_a_residual_is_aligned_by_its_shift():
    """Q5: with ``R = s + e_r - e_o`` a residual code is worth the same before and after, whatever the exponents are."""
    residual, s, of_residual, of_output = (word(name, WIDE) for name in ("r", "s", "e_r", "e_o"))
    shift = s + of_residual - of_output
    ranges = [within(residual, -(2**15), 2**15 - 1), within(s, 0, 62), within(of_residual, -20, 20)]
    ranges += [within(of_output, -20, 20)]
    # both in units of 2**-64 of the real value: the total's unit is 2**(e_o - s), the residual's 2**e_r
    of_total = (residual << shift) << (of_output - s + 82)
    of_code = residual << (of_residual + 82)
    proved(of_total == of_code, *ranges, shift >= 0)
    assert counterexample(of_total == of_code, *ranges, shift >= -1) is not None


# -------------------------------------------------------------------------------------------- kernels, any addends


def definition(total):
    """The formula of ``numbers``: the addend of the total's sign and quotient, one shift, one clip."""
    names = in_symbols(rounding, addends=lambda shift, mode: ADDENDS)
    ((_, rounded),) = outcomes(lambda: names.round_shift(total, SHIFT, "half_up"), *RANGES)
    return rounded


def clipped(value):
    """Q3."""
    return chosen(value < LO, LO, chosen(value > HI, HI, value))


def total_of(residual):
    """The product's total of the symbols; the residual may be missing."""
    ((_, total),) = outcomes(lambda: in_symbols(requantize).total(ACC, PARAMETERS, residual))
    return total


def by_the_kernel(residual):
    """(condition, code, clipped below, clipped above) of every way through ``kernels/requantize.rescale``."""

    def run():
        codes = Cells(number(0))
        events = in_symbols(kernel).rescale(
            Cells(ACC), Cells(residual), Row([MULTIPLIER]), Row([SHIFT]), Row([RESIDUAL_SHIFT]), ADDENDS, LO, HI, codes
        )
        return codes.value, *events

    return [(way, *result) for way, result in outcomes(run, *RANGES)]


def test_the_kernel_rescales_as_the_definition():
    """For any four addends, so for every rounding that has a table; with a residual and without; and it counts."""
    for residual in (None, RESIDUAL):
        rounded = definition(total_of(residual))
        ways = by_the_kernel(residual)
        assert len(ways) > 2
        for way, code, below, above in ways:
            proved(code == clipped(rounded), *RANGES, way, LO <= HI)
            proved(counts(rounded, below, above), *RANGES, way, LO <= HI)


def counts(rounded, below, above):
    """The counters of one way, which are plain numbers there, say where the rounded value lies."""
    return (rounded < LO if below else rounded >= LO) & (rounded > HI if above else rounded <= HI)


def test_the_kernel_needs_its_clip_in_order():
    """With the ends one the wrong way round, what the kernel clips to is another end than the definition's clip."""
    rounded = definition(total_of(None))
    both = chosen(chosen(rounded < LO, LO, rounded) > HI, HI, chosen(rounded < LO, LO, rounded))
    for limit, holds in ((LO <= HI, True), (LO <= HI + 1, False)):
        assumptions = [*RANGES, limit, within(HI, -300, 300)]
        found = [counterexample(code == both, *assumptions, way) for way, code, *_ in by_the_kernel(None)]
        assert all(f is None for f in found) == holds


def test_the_exact_epilogue_of_the_plan_is_the_definition():
    """``_exact_epilogue``: codes and residuals are stored with their zeros added, and come out the same."""
    table = Row([MULTIPLIER, SHIFT, RESIDUAL_SHIFT, *ADDENDS.values])
    stored_zero = 128
    row = dict.fromkeys(range(fields.FIELDS), 0) | {
        fields.RESIDUAL: 1, fields.RESIDUAL_ZERO: stored_zero, fields.CHANNELS: 1, fields.STORED: 1,
        fields.ZERO: ZERO, fields.LO: LO + ZERO, fields.HI: HI + ZERO,
    }  # fmt: skip

    def run():
        codes, arrays = Cells(number(0)), {}
        arrays = iter([FirstIndex(table), codes, Cells(RESIDUAL + stored_zero)])
        names = in_symbols(
            plan, carray=lambda *_: next(arrays), _pointer=lambda address: address,
            _code_and_residual=lambda *_: (1, 1), min=lambda *_: 1,
        )  # fmt: skip
        names._exact_epilogue(row, 0, 0, Sums(ACC), [0, 0, 0])
        return codes.value

    rounded = definition(total_of(RESIDUAL))
    small = [within(value, -(2**40), 2**40) for value in (LO, HI)] + [within(ZERO, 0, 128), LO <= HI]
    ways = list(outcomes(run, *RANGES, *small))
    assert len(ways) > 2
    room = within(rounded, -(2**63), 2**63 - 1 - 128)
    for way, code in ways:
        proved(code - ZERO == clipped(rounded), *RANGES, *small, way, room)
    loose = within(rounded, -(2**63), 2**63 - 128)
    assert any(counterexample(code - ZERO == clipped(rounded), *RANGES, *small, way, loose) for way, code in ways)


class Sums(Cells):
    """The sums of one pixel: a single lane."""

    def __init__(self, value):
        super().__init__(value)
        self.size = 1


class FirstIndex:
    """A table whose rows are picked by the first index, which may be a symbol."""

    def __init__(self, rows):
        self.rows = rows

    def __getitem__(self, index):
        return self.rows[index[0]]
