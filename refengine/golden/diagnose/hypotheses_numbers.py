"""Hypotheses with numbers of their own, which the dump gives away: a padding, a tap, a row, a width.

A ``Family`` is a hypothesis with open numbers.  ``numbers`` reads from the ``Clues`` of a dump which numbers are worth
a try, so that a constant is solved for and a row is looked for only where the differences lie; a member is then a
hypothesis like any other, called ``family=number,number``, and must reproduce every value.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .clues import Clues, Family, Fault, Numbers
from .hypotheses_sums import filled, weight
from .machine import STAGES, Machine, accumulators, kernel, stages_at

_BYTES = (-128, 255)  # all that a byte can be, signed or not
_MOST_CONSTANTS = 8
_MOST_ROWS = 32
_SUM_WIDTHS = range(4, 25)
_FIXED_PADDINGS = (127, 128, -128, 255)


def families() -> Iterator[Family]:
    """All of them; ``words`` is filled in with a member's numbers."""
    yield Family(
        "sum_zero_extended", "negative cluster sums read without their sign, in a width that is found", "accumulator",
        sum_widths, "negative cluster sums read as unsigned numbers of {} bits", zero_extended_sums,
    )  # fmt: skip
    rows: tuple[tuple[str, str, Callable[[np.ndarray, int], np.ndarray]], ...] = (
        ("input_row_repeated", "the row above", lambda x, row: x[:, row - 1]),
        ("input_row_of_image_before", "that of the image before", lambda x, row: x[_before(len(x)), row]),
        ("input_row_of_first_image", "that of the first image", lambda x, row: np.repeat(x[:1, row], len(x), axis=0)),
    )
    for name, what, source in rows:
        sentence = f"a row of the input, which is found, is still {what}"
        repeated = name == "input_row_repeated"
        yield Family(name, sentence, "input", stale_rows(repeated), f"row {{}} of the input is still {what}",
                     stale_row(source, not repeated))  # fmt: skip
    yield Family(
        "padding_constant", "pads with another constant, which is solved for", "window", padding_constants,
        "pads with {} instead of 0", filled,
    )  # fmt: skip
    yield Family(
        "tap_dropped", "one tap of the kernel, which is found, is left out", "weights", kernel_taps,
        "the kernel's tap in row {}, column {} is left out", without_tap,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- weights


def kernel_taps(clues: Clues) -> Iterator[Numbers]:
    """Every tap of a kernel that has several."""
    if clues.machine.op == "conv":
        places = np.ndindex(*clues.machine.constants["weight"].shape[2:])
        taps = [(int(row), int(column)) for row, column in places]
        yield from taps if len(taps) > 1 else ()


def without_tap(row: int, column: int) -> Fault:
    """One tap of the kernel counts as 0."""

    def change(codes: np.ndarray, machine: Machine) -> np.ndarray:
        changed = codes.copy()
        changed[:, :, row, column] = 0
        return changed

    return weight(change)


# ---------------------------------------------------------------------------------------------------------------- sums


def sum_widths(clues: Clues) -> Iterator[Numbers]:
    """Widths whose carry divides every difference of the accumulators, where these are dumped."""
    if clues.machine.op != "conv":
        return
    wrong = clues.got.get("accumulator", np.zeros(0, np.int64)) - clues.golden.get("accumulator", 0)
    common = int(np.bitwise_or.reduce(wrong, initial=0))
    yield from ((bits,) for bits in _SUM_WIDTHS if common % (1 << bits) == 0)


def zero_extended_sums(bits: int) -> Fault:
    """The sum of each cluster, of so many bits, meets its scale without its sign."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv":
            return None
        return replace(machine, add=lambda acc, sums, by: acc + (sums & ((1 << bits) - 1)) * by)

    return fault


# --------------------------------------------------------------------------------------------------------- stale memory


def stale_rows(above: bool) -> Callable[[Clues], Iterator[Numbers]]:
    """Rows of the input that every wrong value reads; ``above``: not row 0, which has none above it."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        machine = clues.machine
        x = machine.operands[0]
        if x.ndim != 4 or x.shape[1] == 1 or machine.op == "flatten" or (not above and len(x) == 1):
            return
        first, last = 0, x.shape[1] - 1
        rows = np.unique(_row(machine, clues.where[clues.wrong]))
        if not len(rows):
            return
        if machine.op == "conv" or "kernel_shape" in machine.attributes:
            begin = rows * machine.attributes["strides"][0] - machine.attributes["pads"][0]
            first, last = max(first, int(begin[-1])), min(last, int(begin[0]) + kernel(machine)[0] - 1)
        else:
            first, last = max(first, int(rows[-1])), min(last, int(rows[0]))
        found = range(max(first, int(above)), last + 1)
        yield from ((row,) for row in found[:_MOST_ROWS])

    return numbers


def _row(machine: Machine, where: np.ndarray) -> np.ndarray:
    """Row of the result in which each place lies; 0 where it has none."""
    shape = machine.case.shape
    return where // int(np.prod(shape[1:])) % shape[0] if len(shape) == 3 else 0 * where


def stale_row(source: Callable[[np.ndarray, int], np.ndarray], remembers: bool) -> Callable[[int], Fault]:
    """One row of the input holds what ``source`` says; ``remembers``: something of another image."""

    def member(row: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            x = machine.operands[0]
            if x.ndim != 4 or not 0 <= row < x.shape[1]:
                return None
            changed = x.copy()
            changed[:, row] = source(x, row)
            return replace(machine, operands=(changed, *machine.operands[1:]), remembers=remembers)

        return fault

    return member


def _before(images: int) -> np.ndarray:
    """The number of the image before each; the first has none and keeps its own."""
    return np.maximum(np.arange(images) - 1, 0)


# -------------------------------------------------------------------------------------------------------------- padding


def padding_constants(clues: Clues) -> Iterator[Numbers]:
    """The constants between which no wrong value can decide: each bounds them, because stages rise with their sums."""
    machine, wrong = clues.machine, clues.wrong
    stages = [stage for stage in STAGES if stage in clues.got and (clues.got[stage] != clues.golden[stage]).any()]
    if machine.op != "conv" or not any(machine.attributes["pads"]) or not stages or machine.narrow is not None:
        return
    where, got = clues.where[wrong], clues.got[stages[0]][wrong]
    sums = accumulators(machine, where)
    slope = accumulators(replace(machine, fill=1), where) - sums
    if not slope.all():
        return

    def value(steps: np.ndarray) -> np.ndarray:
        """The stage where the padding is ``steps`` away from 0, in the direction in which the sum rises."""
        return stages_at(machine, sums + steps * np.abs(slope), where)[stages[0]]

    rising = slope > 0
    low, high = np.where(rising, _BYTES[0], -_BYTES[1]), np.where(rising, _BYTES[1], -_BYTES[0])
    least = _first_where(lambda steps: value(steps) >= got, low, high)
    most = _first_where(lambda steps: value(steps) > got, low, high) - 1
    first = int(np.where(rising, least, -most).max())
    last = int(np.where(rising, most, -least).min())
    solved = range(first, last + 1)
    if len(solved) <= _MOST_CONSTANTS:
        yield from ((constant,) for constant in solved if constant and constant not in _FIXED_PADDINGS)


def _first_where(holds: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The least number of ``low..high`` from which on ``holds`` is true, by bisection; high + 1 where it never is."""
    low, high = low.copy(), high + 1
    while (low < high).any():
        middle = (low + high) >> 1
        true = holds(middle)
        high, low = np.where(true, middle, high), np.where(true | (low >= high), low, middle + 1)
    return high
