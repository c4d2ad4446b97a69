"""Fault hypotheses about widths between accumulator and code, which are solved for: total, residual, quotient, clip.

``fitting`` tries every width on a few wrong values of the dump, from values that are computed once; only widths that
give all of them become members of a ``Family``, which must then reproduce everything.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...numbers.rounding import round_shift
from .clues import Clues, Family, Fault, Numbers
from .hypotheses_accumulator import held
from .machine import Machine, Parts, plain_codes, plain_total
from .recompute import stages_at

_WIDTHS = range(3, 32)
_TOTAL_WIDTHS = range(8, 63)
_SHIFTS = range(1, 40)


def fitting(
    member: Callable[..., Fault], tried: Callable[[Clues], Iterable[Numbers]], stage: str
) -> Callable[[Clues], Iterator[Numbers]]:
    """Numbers out of ``tried`` that give the few wrong values, of faults that leave what is before ``stage``."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        before = {"total": ("accumulator",), "code": ("accumulator", "total")}.get(stage, ())
        changed = any((clues.got[one] != clues.golden[one]).any() for one in before if one in clues.got)
        if clues.machine.step is None or changed or not len(clues.tried):
            return
        for one in tried(clues):
            machine = member(*one)(clues.machine)
            if machine is None:
                continue
            found = stages_at(machine, clues.known_tried.acc, clues.tried, clues.known_tried)
            if all(np.array_equal(found[name], got) for name, got in clues.got_tried.items()):
                yield one

    return numbers


def _each(values: Sequence[int]) -> Callable[[Clues], Sequence[Numbers]]:
    return lambda clues: [(value,) for value in values]


def _beyond_shift(clues: Clues) -> Sequence[Numbers]:
    """Widths that leave something of a sum that is shifted right."""
    step = clues.machine.step
    return [] if step is None else [(bits,) for bits in _TOTAL_WIDTHS if bits > int(step.shift.max()) + 2]


def _below_shift(clues: Clues) -> Sequence[Numbers]:
    """First shifts that leave something to a second one."""
    step = clues.machine.step
    return [] if step is None else [(bits,) for bits in _SHIFTS if bits < int(step.shift.min())]


def _offsets(clues: Clues) -> Sequence[Numbers]:
    """Single bits that are no half, quarter or whole unit of all channels."""
    step = clues.machine.step
    if step is None:
        return []
    shifts = {int(shift) for shift in step.shift}
    known = {shift - by for shift in shifts for by in (0, 1, 2)} if len(shifts) == 1 else set()
    return [(bit,) for bit in range(40) if bit not in known]


def _total_of(change: Callable[[Parts, int], np.ndarray]) -> Callable[[int], Fault]:
    def member(number: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.step is None:
                return None
            return replace(machine, total=lambda parts: change(parts, number))

        return fault

    return member


def _of_accumulator(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[int], Fault]:
    """What the requantization reads is not what the accumulator holds."""
    return _total_of(lambda parts, number: plain_total(replace(parts, acc=change(parts.acc, number))))


held_total = {
    policy: _total_of(lambda parts, bits, policy=policy: held(plain_total(parts), bits, policy))  # type: ignore[misc]
    for policy in ("wrap", "saturate")
}
read_wrapped = _of_accumulator(lambda acc, bits: held(acc, bits, "wrap"))
read_saturated = _of_accumulator(lambda acc, bits: held(acc, bits, "saturate"))
read_unsigned = _of_accumulator(lambda acc, bits: acc & ((1 << bits) - 1))
read_cut = _of_accumulator(lambda acc, bits: acc >> bits << bits)


def _aligned(policy: str) -> Callable[[int], Fault]:
    def member(bits: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.residual is None or machine.step is None:
                return None
            return replace(machine, total=lambda parts: parts.product + held(parts.aligned, bits, policy))

        return fault

    return member


def _codes_of(change: Callable[[Parts, np.ndarray, int], np.ndarray]) -> Callable[[int], Fault]:
    def member(number: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.step is None:
                return None
            return replace(machine, codes=lambda parts, total: change(parts, total, number))

        return fault

    return member


def few_bits(name: str) -> Callable[[int], Fault]:
    """Multipliers or shifts in a field that is too narrow."""

    def member(bits: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.step is None or not (getattr(machine.step, name) >> bits).any():
                return None
            if (name, bits) == ("multiplier", 7):  # named by itself
                return None
            return machine.stepping(**{name: getattr(machine.step, name) & ((1 << bits) - 1)})

        return fault

    return member


def _clipped(parts: Parts, values: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(values, parts.step.lo), parts.step.hi)


def _half(parts: Parts) -> np.ndarray:
    return (np.int64(1) << parts.step.shift) >> 1


def _logical(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
    """Shifted right without its sign, half a unit added before."""
    rounded = total + _half(parts) if parts.step.rounding != "floor" else total
    return _clipped(parts, (rounded & ((1 << bits) - 1)) >> parts.step.shift)


def _logical_then_rounded(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
    """Shifted right without its sign, the rounding bit added behind."""
    unsigned = total & ((1 << bits) - 1)
    up = (unsigned >> np.maximum(parts.step.shift - 1, 0)) & (parts.step.shift > 0)
    return _clipped(parts, (unsigned >> parts.step.shift) + up)


def _rounded_sum_held(policy: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    """The sum with its rounding offset is held in few bits."""
    return lambda parts, total, bits: _clipped(parts, held(total + _half(parts), bits, policy) >> parts.step.shift)


def _quotient_held(policy: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    """The quotient is held in few bits while it still has one bit more."""

    def codes(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
        kept = total >> np.maximum(parts.step.shift - 1, 0)
        return _clipped(parts, (held(kept, bits, policy) + 1) >> (parts.step.shift > 0))

    return codes


def _quotient_short(policy: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    """The rounded quotient is held in few bits before it is clipped."""

    def codes(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
        return _clipped(
            parts, held(round_shift(total, parts.step.shift, parts.step.rounding, parts.bits), bits, policy)
        )

    return codes


def _rounded_twice(first: str, second: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    def codes(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
        shift = np.asarray(parts.step.shift)
        least = np.minimum(bits, shift)
        once = round_shift(total, least, first, parts.bits)
        return _clipped(parts, round_shift(once, shift - least, second, parts.bits))

    return codes


def _upper_end(parts: Parts, total: np.ndarray, end: int) -> np.ndarray:
    return np.minimum(plain_codes(parts, total).astype(np.int64), end)


def _lower_end(parts: Parts, total: np.ndarray, end: int) -> np.ndarray:
    return np.maximum(plain_codes(parts, total).astype(np.int64), end)


def _ends(clues: Clues) -> Sequence[Numbers]:
    """The one code that all wrong values are."""
    values = np.unique(clues.got["code"][clues.wrong]) if "code" in clues.got else np.zeros(0, np.int64)
    step = clues.machine.step
    if (
        step is None
        or len(values) != 1
        or int(values[0]) == 127  # named by itself
        or abs(int(values[0]) - step.lo) < 2
        or abs(int(values[0]) - step.hi) < 2
    ):
        return []
    return [(int(values[0]),)]


def _offset_member(bits: int) -> Fault:
    """The rounding offset has one bit only, at another place."""
    return _codes_of(lambda parts, total, bit: _clipped(parts, (total + (np.int64(1) << bit)) >> parts.step.shift))(
        bits
    )


def families() -> Iterator[Family]:
    """All widths that are solved for."""
    wide, narrower = _each(_TOTAL_WIDTHS), _each(_WIDTHS)
    for name, sentence, words, member, tried in (
        ("total_wraps", "the sum before rounding wraps", "the sum before rounding wraps in {} bits",
         held_total["wrap"], wide),
        ("total_saturates", "the sum before rounding saturates", "the sum before rounding saturates in {} bits",
         held_total["saturate"], wide),
        ("accumulator_read_wrapped", "only some bits of the accumulator are multiplied",
         "only the lowest {} bits of the accumulator are multiplied", read_wrapped, narrower),
        ("accumulator_read_saturated", "the accumulator saturates before it is multiplied",
         "the accumulator saturates in {} bits before it is multiplied", read_saturated, narrower),
        ("accumulator_read_unsigned", "the accumulator is multiplied as an unsigned number",
         "the accumulator is multiplied as an unsigned number of {} bits", read_unsigned, narrower),
        ("accumulator_read_cut", "the accumulator loses low bits before it is multiplied",
         "the accumulator loses its lowest {} bits before it is multiplied", read_cut, _each(range(1, 24))),
        ("residual_wraps", "the aligned residual wraps", "the aligned residual wraps in {} bits",
         _aligned("wrap"), _each(range(2, 62))),
        ("residual_saturates", "the aligned residual saturates", "the aligned residual saturates in {} bits",
         _aligned("saturate"), _each(range(2, 62))),
    ):  # fmt: skip
        yield Family(name, f"{sentence}, in a width that is found" if "width" not in sentence else sentence,
                     "widths", fitting(member, tried, "total"), words, member)  # fmt: skip
    codes = (
        ("logical_shift", "a logical for an arithmetic shift, of a width that is found",
         "the shift right is logical, of {} bits: negative sums become large", _logical, _TOTAL_WIDTHS),
        ("logical_shift_rounded", "a logical shift, the rounding bit added behind it",
         "the shift right is logical, of {} bits, and the rounding bit is added behind it", _logical_then_rounded,
         _TOTAL_WIDTHS),
        ("rounded_sum_wraps", "the sum with its rounding offset wraps",
         "the sum with its rounding offset wraps in {} bits", _rounded_sum_held("wrap"), _TOTAL_WIDTHS),
        ("rounded_sum_saturates", "the sum with its rounding offset saturates",
         "the sum with its rounding offset saturates in {} bits", _rounded_sum_held("saturate"), _TOTAL_WIDTHS),
        ("quotient_wraps", "the quotient wraps before it is clipped",
         "the quotient wraps in {} bits before it is clipped",
         _quotient_short("wrap"), range(9, 32)),
        ("quotient_saturates", "the quotient saturates before it is clipped",
         "the quotient saturates in {} bits before it is clipped", _quotient_short("saturate"), range(9, 32)),
        ("unrounded_quotient_wraps", "the quotient wraps while its rounding bit is there",
         "the quotient with its rounding bit wraps in {} bits", _quotient_held("wrap"), range(9, 32)),
        ("rounds_twice", "rounds twice, half up", "rounds twice, half up: first {} bits, then the rest",
         _rounded_twice("half_up", "half_up"), _SHIFTS),
        ("rounds_twice_away", "rounds twice, ties away from zero",
         "rounds twice, ties away from zero: first {} bits, then the rest",
         _rounded_twice("half_away", "half_away"), _SHIFTS),
        ("cut_then_rounded", "low bits are cut before the rounding", "the lowest {} bits are cut before the rounding",
         _rounded_twice("floor", "half_up"), _SHIFTS),
    )  # fmt: skip
    for name, sentence, words, change, tried_numbers in codes:
        member = _codes_of(change)
        every = {_TOTAL_WIDTHS: _beyond_shift, _SHIFTS: _below_shift}.get(tried_numbers) or _each(tried_numbers)
        yield Family(name, sentence, "widths", fitting(member, every, "code"), words, member)
    yield Family("rounding_offset_bit", "the rounding offset is one bit at another place, the same for all channels",
                 "widths", fitting(_offset_member, _offsets, "code"), "2**{} is added before the shift",
                 _offset_member)  # fmt: skip
    for name, sentence, words, change in (
        ("upper_end", "another upper end of the clip, which is found", "the clip ends at {}", _upper_end),
        ("lower_end", "another lower end of the clip, which is found", "the clip begins at {}", _lower_end),
    ):
        member = _codes_of(change)
        yield Family(name, sentence, "clip", fitting(member, _ends, "code"), words, member)
    for name, what, stage in (("shift", "shifts", "code"), ("multiplier", "multipliers", "total")):
        member = few_bits(name)
        yield Family(f"{name}_bits_lost", f"{what} keep their low bits, so many as are found", "scale",
                     fitting(member, _each(range(1, 31)), stage),
                     f"only the lowest {{}} bits of the {what} are there", member)  # fmt: skip
