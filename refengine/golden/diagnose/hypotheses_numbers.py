"""Hypotheses with numbers of their own, which the dump gives away: a padding, a tap, a row, a width.

A ``Family`` is a hypothesis with open numbers.  ``numbers`` reads from the ``Clues`` of a dump which numbers are worth
a try, so that a constant is solved for and a row is looked for only where the differences lie; a member is then a
hypothesis like any other, called ``family=number,number``, and must reproduce every value.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .accumulators import accumulators
from .clues import Clues, Family, Fault, Numbers, gives, trying
from .hypotheses_residual import stuck
from .hypotheses_sums import operand
from .hypotheses_weights import weight
from .hypotheses_windows import filled
from .machine import STAGES, Machine, kernel
from .recompute import stages_at

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
        "padding_reads", "padding on some sides, which are found, reads pixels of the image", "window",
        trying(padding_reads, _sides, "window"), _sides_words, padding_reads,
    )  # fmt: skip
    yield Family(
        "input_bits", "a bit of the input is always 0 or always 1, which is found", "input",
        trying(input_bit, _all_bits, "input"), "bit {} of the input is always {}", input_bit,
    )  # fmt: skip
    yield Family(
        "input_bits_lost", "the input loses its low bits, so many as are found", "input",
        trying(input_cut, lambda machine: iter([(bits,) for bits in range(2, 8)]), "input"),
        "the lowest {} bits of the input are always 0", input_cut,
    )  # fmt: skip
    yield Family(
        "input_narrow", "the input keeps its low bits, so many as are found", "input",
        trying(input_narrow, lambda machine: iter([(bits,) for bits in range(1, 7)]), "input"),
        "only the lowest {} bits of the input are there", input_narrow,
    )  # fmt: skip
    yield Family(
        "input_pitch", "rows of the input are read a wrong number of pixels apart, which is found", "input",
        trying(input_pitch, pitches, "input"), "rows of the input are read {} pixels apart", input_pitch,
    )  # fmt: skip
    yield Family(
        "average_divisor", "the average is divided by another number, which is found", "pools",
        _divisors, _divisor_words, average_divisor,
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


def input_bit(bit: int, value: int) -> Fault:
    """One bit of every code that comes in is stuck."""
    return operand(lambda codes, _: stuck(codes, bit, value) if codes.itemsize == 1 else None)


def _all_bits(machine: Machine) -> Iterator[Numbers]:
    yield from ((bit, value) for bit in range(8) for value in (0, 1))


def input_cut(bits: int) -> Fault:
    """The low bits of every code that comes in are 0."""
    return operand(lambda codes, _: codes >> bits << bits)


def input_narrow(bits: int) -> Fault:
    """The high bits of every code that comes in are 0."""
    return operand(lambda codes, _: codes & codes.dtype.type((1 << bits) - 1))


def input_pitch(pitch: int) -> Fault:
    """Pixel (y, x) of the input is read from place y * pitch + x; behind the last image there are zeros."""

    def change(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
        if codes.ndim != 4 or pitch == codes.shape[2]:
            return None
        images, height, width, channels = codes.shape
        pixels = np.concatenate([codes.reshape(-1, channels), np.zeros((height * pitch, channels), codes.dtype)])
        places = np.arange(height)[:, None] * pitch + np.arange(width)
        return pixels[np.arange(images)[:, None, None] * (height * width) + places]

    def fault(machine: Machine) -> Machine | None:
        made = operand(change)(machine)
        return None if made is None else replace(made, remembers=True)

    return fault


def pitches(machine: Machine) -> Iterator[Numbers]:
    """Wrong numbers of pixels from row to row: other widths that a design has, and small mistakes."""
    x = machine.operands[0]
    if x.ndim == 4 and x.shape[1] > 1 and len(machine.case.shape) == 3:
        width = x.shape[2]
        near = {width + by for by in range(-4, 5)} | {2 * width, width // 2, -(-width // 2), -(-width // 8) * 8}
        tried = {*near, machine.case.shape[1], x.shape[1], 1 << (width - 1).bit_length(), 1 << width.bit_length() - 1}
        yield from ((pitch,) for pitch in sorted(tried) if pitch > 0 and pitch != width)


def _before(images: int) -> np.ndarray:
    """The number of the image before each; the first has none and keeps its own."""
    return np.maximum(np.arange(images) - 1, 0)


# -------------------------------------------------------------------------------------------------------------- padding


_READS = (
    "repeats the pixels at the edge",
    "mirrors the image",
    "reads the other side of the image",
    "runs on into the neighbouring row",
    "runs on into the neighbouring row, beside the padding above and below too",
)
_WHERE = ("at the top", "at the left", "at the bottom", "at the right", "at the left and right", "on all sides")
_WHICH = ((0,), (1,), (2,), (3,), (1, 3), (0, 1, 2, 3))


def padding_reads(sides: int, how: int) -> Fault:
    """Pixels of the image stand where the padding of some sides should be."""

    def fault(machine: Machine) -> Machine | None:
        x, pads = machine.operands[0], machine.attributes.get("pads", ())
        if machine.op != "conv" or machine.case.layer.op == "fc" or not any(pads[side] for side in _WHICH[sides]):
            return None
        if max(pads) >= min(x.shape[1:3]):
            return None
        height, width = x.shape[1:3]
        rows, columns = np.arange(-pads[0], height + pads[2])[:, None], np.arange(-pads[1], width + pads[3])[None]
        outside = (rows < 0, columns < 0, rows >= height, columns >= width)
        gone = np.zeros((rows.size, columns.size), bool)
        for side in {*((1, 3) if how == 4 else range(4))} - {*_WHICH[sides]}:
            gone |= outside[side]
        if how > 2:
            places = rows * width + columns
            gone |= (places < 0) | (places >= height * width)
        else:
            places = _inside(rows, height, how) * width + _inside(columns, width, how)
        pixels = x.reshape(len(x), height * width, -1)[:, places.clip(0, height * width - 1)]
        padded = np.where(gone[None, :, :, None], 0, pixels).astype(x.dtype)
        return replace(machine, operands=(padded, *machine.operands[1:])).attribute(pads=(0, 0, 0, 0))

    return fault


def _inside(places: np.ndarray, count: int, how: int) -> np.ndarray:
    """Where places outside are read from."""
    if how == 1:
        return np.where(places < 0, -places, np.where(places >= count, 2 * count - 2 - places, places))
    return places % count if how == 2 else places.clip(0, count - 1)


def _sides(machine: Machine) -> Iterator[Numbers]:
    """All sides and one alone; the next row is beside a row, not above it."""
    every = ((sides, how) for how in range(len(_READS)) for sides in range(len(_WHICH)))
    yield from (one for one in every if one != (5, 0) and (one[1] < 3 or one[0] in (1, 3, 4)))


def _sides_words(sides: int, how: int) -> str:
    return f"the padding {_WHERE[sides]} {_READS[how]}"


# ---------------------------------------------------------------------------------------------------------------- pools


def average_divisor(divisor: int, bits: int) -> Fault:
    """An average divided by another number: its multiplier made for it, or for a power of two a multiplier 2**bits."""

    def fault(machine: Machine) -> Machine | None:
        if machine.step is None or machine.case.layer.op != "global_avgpool":
            return None
        count = int(np.prod(machine.case.operands[0].shape[1:3]))
        multiplier, shift = machine.step.multiplier.astype(np.int64), machine.step.shift
        if not bits:
            return machine.stepping(multiplier=(2 * multiplier * count + divisor) // (2 * divisor))
        nearest = [(int(factor) ** 2).bit_length() // 2 for factor in multiplier * count]  # powers of two
        unit = np.array(nearest) - shift  # of a mean of 1, in codes
        right = bits + divisor.bit_length() - 1 - unit
        return machine.stepping(multiplier=np.full_like(multiplier, 1 << bits), shift=right)

    return fault


def _divisors(clues: Clues) -> Iterator[Numbers]:
    """Numbers of pixels that a pool may be taken to have; of powers of two as a shift too."""
    if clues.machine.op != "global_avgpool" or clues.machine.step is None:
        return
    count = int(np.prod(clues.machine.case.operands[0].shape[1:3]))
    for divisor in range(1, 4 * count + 1):
        for bits in (0, *(range(1, 16) if divisor & (divisor - 1) == 0 and divisor > 1 else ())):
            machine = average_divisor(divisor, bits)(clues.machine) if divisor != count else None
            if machine is not None and gives(clues, machine):
                yield divisor, bits
                break


def _divisor_words(divisor: int, bits: int) -> str:
    return f"the average is divided by {divisor}"


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
