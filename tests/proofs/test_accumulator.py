"""A narrow accumulator in the kernel is the definition's, for every sum, width and policy (contract A3-A5)."""

import pytest
from kernels_under_proof import plan
from kernels_under_proof import step as fields
from symbolic import Cells, Flag, Word, counterexample, in_symbols, number, outcomes, proved, within, word, z3

from refengine.numbers import accumulator
from refengine.numbers.accumulator import WIDTHS

pytestmark = pytest.mark.slow

SUM = word("sum")
INT32 = within(SUM, -(2**31), 2**31 - 1)
NARROW = [bits for bits in WIDTHS if bits < 32]
CASES = pytest.mark.parametrize("policy", ["wrap", "saturate"])


class Lane(Cells):
    """The one sum of a pixel."""

    size = 1

    def __init__(self, value):
        super().__init__(value)
        self.size = 1


def by_the_kernel(bits, policy):
    """(condition, sum, overflows) of every way through ``plan._confine``."""

    def run():
        sums, events = Lane(SUM), [0, 0, 0]
        row = {fields.ACCUMULATOR_BITS: bits, fields.SATURATES: policy == "saturate", fields.CHANNELS: 1}
        in_symbols(plan)._confine(row, 0, sums, events)
        return as_word(sums.value), events[plan.OVERFLOWED]

    return [(way, *result) for way, result in outcomes(run, INT32)]


def as_word(value):
    """int64 of a symbol or of a number."""
    return value.widened(64) if isinstance(value, Word) else number(int(value))


def by_the_definition(bits, policy):
    """(condition, sum, overflows) of every way through ``confine``."""
    run = in_symbols(accumulator).confine
    return [
        (way, value.widened(64), events) for way, (value, events) in outcomes(lambda: run(SUM, bits, policy), INT32)
    ]


@CASES
@pytest.mark.parametrize("bits", NARROW)
def test_the_kernel_holds_what_the_definition_holds(bits, policy):
    for kernel_way, held, overflows in by_the_kernel(bits, policy):
        for way, wanted, events in by_the_definition(bits, policy):
            proved((held == wanted) & (as_word(events) == overflows), INT32, kernel_way, way)


@CASES
@pytest.mark.parametrize("bits", NARROW)
def test_what_is_held_is_the_sum_in_fewer_bits(bits, policy):
    """Congruent modulo ``2**bits`` and in range, or the nearest end; one sum beyond the range is another number."""
    top = 1 << (bits - 1)
    for way, held, _events in by_the_definition(bits, policy):
        proved(within(held, -top, top - 1), INT32, way)
        fits = within(SUM, -top, top - 1)
        proved(held == SUM, INT32, way, fits)
        if policy == "wrap":
            proved(((held - SUM) & (2 * top - 1)) == 0, INT32, way)
        else:
            proved(held == top - 1, INT32, way, top <= SUM)
            proved(held == -top, INT32, way, -top > SUM)
    found = [
        counterexample(held == SUM, INT32, way, within(SUM, -top, top))
        for way, held, _ in by_the_definition(bits, policy)
    ]
    assert [f for f in found if f] == [{"sum": top}]


def test_wrapping_after_each_addition_is_wrapping_once():
    """A3: addition and the cut commute, symbolic in every width; clipping after each addition is another machine."""
    a, b, bits = word("a"), word("b"), word("bits")
    ranges = [within(a, -(2**31), 2**31 - 1), within(b, -(2**31), 2**31 - 1), within(bits, 16, 31)]

    def wrapped(value):
        unit = number(1) << bits
        return ((value + (unit >> 1)) & (unit - 1)) - (unit >> 1)

    proved(wrapped(wrapped(a) + b) == wrapped(a + b), *ranges)

    def saturated(value):
        top = number(1) << (bits - 1)
        return Word(z3.If(truth(value >= top), (top - 1).term, z3.If(truth(value < -top), (-top).term, value.term)))

    assert counterexample(saturated(saturated(a) + b) == saturated(a + b), *ranges) is not None


def truth(flag: Flag):
    """The solver's term."""
    return flag.term
