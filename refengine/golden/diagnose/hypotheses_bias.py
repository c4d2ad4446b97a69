"""Fault hypotheses about the bias, whose widths, shifts and channels are solved for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from .clues import Clues, Family, Fault, Numbers
from .hypotheses_accumulator import held, sums_wrong
from .machine import Machine, plain_total
from .recompute import recompute

_CHANNELS = 32
_BIAS_SHIFTS = 32


def _bias_of(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[int], Fault]:
    def member(number: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if "bias" not in machine.constants:
                return None
            return machine.constant(bias=change(machine.constants["bias"].astype(np.int64), number))

        return fault

    return member


def other_bias(member: Callable[[int], Fault], tried: Sequence[int]) -> Callable[[Clues], Iterator[Numbers]]:
    """Numbers with which another bias gives the few wrong values; those that give the same biases once."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        machine = clues.machine
        if not sums_wrong(clues) or "bias" not in machine.constants:
            return
        right = machine.constants["bias"].astype(np.int64)
        seen = {right.tobytes(), np.zeros_like(right).tobytes()}
        for number in tried:
            changed = member(number)(machine)
            if changed is None or changed.constants["bias"].tobytes() in seen:
                continue
            seen.add(changed.constants["bias"].tobytes())
            found = recompute(changed, [*clues.got_tried], clues.tried, known=clues.known_tried)
            if all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items()):
                yield (number,)

    return numbers


def without_bias(*channels: int) -> Fault:
    """Some channels begin with 0."""
    places = np.array(channels)

    def fault(machine: Machine) -> Machine | None:
        bias = machine.constants.get("bias")
        if bias is None or places.max() >= len(bias):
            return None
        changed = bias.copy()
        changed[places] = 0
        return machine.constant(bias=changed)

    return fault


def _channels_without_bias(clues: Clues) -> Iterator[Numbers]:
    """The channels that are wrong, where these are few and others have a bias too."""
    bias = clues.machine.constants.get("bias")
    if bias is None or len(bias) < 2 or not sums_wrong(clues):
        return
    wrong = np.unique(clues.where[clues.wrong] % clues.machine.case.shape[-1])
    machine = without_bias(*wrong)(clues.machine)
    if machine is None or len(wrong) > _CHANNELS or not machine.constants["bias"].any():
        return
    found = recompute(machine, [*clues.got_tried], clues.tried, known=clues.known_tried)
    if all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items()):
        yield tuple(int(channel) for channel in wrong)


def _channels_words(*channels: int) -> str:
    plural = "s" if len(channels) > 1 else ""
    return f"the bias of channel{plural} {', '.join(map(str, channels))} is missing"


def bias_behind(by: int, in_sums: int) -> Fault:
    """The bias, ``by`` bits to the left, is added to the product; ``in_sums``: the dumped sums have it all the same."""

    def fault(machine: Machine) -> Machine | None:
        bias = machine.constants.get("bias")
        if machine.step is None or bias is None:
            return None
        if not in_sums:
            late = machine.constant(bias=np.zeros_like(bias))
            return replace(late, total=lambda parts: plain_total(parts) + (parts.bias << by))
        return replace(
            machine,
            total=lambda parts: plain_total(replace(parts, acc=parts.acc - parts.bias)) + (parts.bias << by),
        )

    return fault


def _behind(clues: Clues) -> Iterator[Numbers]:
    """Shifts with which a late bias gives the few wrong values."""
    if clues.machine.step is None or "bias" not in clues.machine.constants or not len(clues.tried):
        return
    in_sums = int("accumulator" not in clues.differing)
    for by in range(_BIAS_SHIFTS):
        machine = bias_behind(by, in_sums)(clues.machine)
        if machine is not None:
            found = recompute(machine, [*clues.got_tried], clues.tried, known=clues.known_tried)
            if all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items()):
                yield by, in_sums


def _behind_words(by: int, in_sums: int) -> str:
    return f"the bias is added behind the multiplier{f', {by} bits to the left' if by else ''}"


BIAS_CHANGES: tuple[tuple[str, str, str, Callable[[np.ndarray, int], np.ndarray], range], ...] = (
    ("bias_wraps", "the bias wraps, in a width that is found", "the bias is cut to its lowest {} bits",
     lambda bias, bits: held(bias, bits, "wrap"), range(2, 32)),
    ("bias_saturates", "the bias saturates, in a width that is found", "the bias saturates in {} bits",
     lambda bias, bits: held(bias, bits, "saturate"), range(2, 32)),
    ("bias_low_bits_lost", "the bias loses its lowest bits", "the bias loses its lowest {} bits",
     lambda bias, bits: bias >> bits << bits, range(1, 24)),
    ("bias_cut_toward_zero", "the bias loses its lowest bits, toward zero", "the bias is cut toward 0 by {} bits",
     lambda bias, bits: np.sign(bias) * (np.abs(bias) >> bits << bits), range(1, 24)),
    ("bias_rounded", "the bias is rounded to a power of two", "the bias is rounded to multiples of 2**{}",
     lambda bias, bits: (bias + (1 << bits >> 1)) >> bits << bits, range(1, 24)),
    ("bias_shifted_left", "the bias comes too far left", "the bias is {} bits too far left",
     lambda bias, bits: bias << bits, range(2, 24)),
    ("bias_shifted_right", "the bias comes too far right", "the bias is {} bits too far right",
     lambda bias, bits: bias >> bits, range(2, 24)),
)  # fmt: skip


def families() -> Iterator[Family]:
    """All faults of the bias that are solved for."""
    yield Family("bias_missing_in", "the bias of some channels, which are found, is missing", "bias",
                 _channels_without_bias, _channels_words, without_bias)  # fmt: skip
    yield Family("bias_after_multiplier", "the bias is added behind the multiplier, by a shift that is found", "bias",
                 _behind, _behind_words, bias_behind)  # fmt: skip
    for name, sentence, words, change_of_bias, numbers in BIAS_CHANGES:
        member = _bias_of(change_of_bias)
        yield Family(name, sentence, "bias", other_bias(member, numbers), words, member)
