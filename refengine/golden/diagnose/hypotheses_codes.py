"""Hypotheses between accumulator and code: rounding, clip, multiplier, shift, residual.

Each function takes a ``Machine`` and gives the faulty one, or None where the layer has nothing to which the fault could
happen.  The faults of arithmetic are stated on ``Parts``, whole int64 numbers: acc, constants, residual.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...numbers import requantize as numbers
from ...numbers.arith import Arithmetic, fit, requantize_as
from ...numbers.formats import INT8, CodeFormat
from ...numbers.rounding import STOCHASTIC, round_shift
from .clues import Fault
from .hypotheses_sums import Arrays, other_sign, wrapped
from .machine import Machine, Parts, plain_codes, plain_rounding

Codes = Callable[[Parts, np.ndarray], np.ndarray]


def coded(codes: Codes, needs_residual: bool = False) -> Fault:
    """Another way from the sum to the codes."""

    def fault(machine: Machine) -> Machine | None:
        if machine.step is None or (needs_residual and machine.residual is None):
            return None
        return replace(machine, codes=codes)

    return fault


def clipped(values: np.ndarray, lo: int, hi: int) -> np.ndarray:
    """The values, those outside ``lo..hi`` replaced by the end."""
    return np.minimum(np.maximum(values, lo), hi)


def in_format(values: np.ndarray, fmt: CodeFormat) -> np.ndarray:
    """The lowest bits of the values, read as the format."""
    return wrapped(values, fmt.bits, fmt.lo < 0)


# ------------------------------------------------------------------------------------------------------------- rounding


def rounding(mode: str) -> Fault:
    """Another rounding mode."""

    def fault(machine: Machine) -> Machine | None:
        if machine.step is None or machine.step.rounding == mode:
            return None
        return machine.stepping(rounding=mode)

    return fault


def offset_twice(parts: Parts, total: np.ndarray) -> np.ndarray:
    """Half a unit added once more before the shift."""
    half = (np.int64(1) << parts.step.shift) >> 1
    return plain_codes(parts, total + half)


def offset_halved(parts: Parts, total: np.ndarray) -> np.ndarray:
    """A quarter of a unit added, and the rest cut."""
    quarter = (np.int64(1) << parts.step.shift) >> 2
    return numbers.clip(round_shift(total + quarter, parts.step.shift, "floor"), parts.step)


def product_rounded_first(mode: str | None) -> Codes:
    """The product rounded (None: in the layer's mode) before the residual is added, and the sum rounded again."""

    def codes(parts: Parts, total: np.ndarray) -> np.ndarray:
        first = round_shift(parts.product, parts.step.shift, mode or parts.step.rounding, parts.bits)
        return plain_codes(parts, (first << parts.step.shift) + parts.aligned)

    return codes


def residual_rounded_first(parts: Parts, total: np.ndarray) -> np.ndarray:
    """The residual brought to the output's unit by floor before it is added."""
    residual = round_shift(parts.aligned, parts.step.shift, "floor")
    return plain_codes(parts, parts.product + (residual << parts.step.shift))


def computed_as(rounding: str | None, product: str) -> Codes:
    """Another design's arithmetic (``numbers/arith.py``); None: in the layer's own mode."""

    def codes(parts: Parts, total: np.ndarray) -> np.ndarray:
        design = Arithmetic("hypothesis", rounding or parts.step.rounding, "", product=product)
        return requantize_as(parts.acc, parts.step, design, parts.residual, parts.bits)

    return codes


def draws_from(first_image: int) -> Fault:
    """Stochastic rounding that counts the images from another number."""

    def fault(machine: Machine) -> Machine | None:
        if machine.step is None or machine.step.rounding != STOCHASTIC:
            return None
        return replace(machine, first_image=machine.case.skipped + first_image)

    return fault


# ----------------------------------------------------------------------------------------------------------------- clip


def overflows(how: str) -> Codes:
    """What does not fit becomes what another design makes of it (``numbers/arith.py``), behind the activation."""
    return lambda parts, total: fit(plain_rounding(parts, total), parts.step, how)


def wraps_before_activation(parts: Parts, total: np.ndarray) -> np.ndarray:
    """The lowest bits of the rounded value; then the activation, on what they say as signed numbers."""
    bits = parts.step.format.bits
    return clipped(wrapped(plain_rounding(parts, total), bits), parts.step.lo, parts.step.hi)


def bits_alone(parts: Parts, total: np.ndarray) -> np.ndarray:
    """The lowest bits instead of any clip."""
    return in_format(plain_rounding(parts, total), parts.step.format)


def ends(lo: int, hi: int) -> Codes:
    """Ends of the clip moved by so much; what leaves the format shows its lowest bits."""

    def codes(parts: Parts, total: np.ndarray) -> np.ndarray:
        values = clipped(plain_rounding(parts, total), parts.step.lo + lo, parts.step.hi + hi)
        return in_format(values, parts.step.format)

    return codes


def ends_at_127(machine: Machine) -> Machine | None:
    """Unsigned codes that end where signed ones do."""
    if machine.step is None or machine.step.format.lo < 0 or machine.step.hi <= INT8.hi:
        return None
    return machine.stepping(hi=INT8.hi)


def clipped_first(parts: Parts, total: np.ndarray) -> np.ndarray:
    """The quotient is clipped while its fraction stays; rounding then adds to it, beyond the upper end as well."""
    shift = parts.step.shift
    whole = total >> shift
    kept = (clipped(whole, parts.step.lo, parts.step.hi) << shift) + (total - (whole << shift))
    return in_format(plain_rounding(parts, kept), parts.step.format)


def activation_missing(parts: Parts, total: np.ndarray) -> np.ndarray:
    """No ReLU: values saturate to signed bytes, whose bits are then read as the format."""
    half = 1 << (parts.step.format.bits - 1)
    return in_format(clipped(plain_rounding(parts, total), -half, half - 1), parts.step.format)


def lower_end_missing(parts: Parts, total: np.ndarray) -> np.ndarray:
    """No ReLU: only the upper end is clipped, and negative values show their lowest bits."""
    return in_format(np.minimum(plain_rounding(parts, total), parts.step.hi), parts.step.format)


def relu_of_everything(parts: Parts, total: np.ndarray) -> np.ndarray:
    """A ReLU where there is none."""
    return np.maximum(plain_codes(parts, total).astype(np.int64), 0)


def activated(codes: Codes) -> Fault:
    """A fault of a ReLU or ReLU6: nothing where there is none."""

    def fault(machine: Machine) -> Machine | None:
        if machine.step is None or machine.step.activation == "none":
            return None
        return replace(machine, codes=codes)

    return fault


def upper_end_missing(machine: Machine) -> Machine | None:
    """A ReLU6 without its 6."""
    if machine.step is None or machine.step.activation != "clip":
        return None
    return machine.stepping(hi=machine.step.format.hi)


def relu_before_residual(parts: Parts) -> np.ndarray:
    """The product loses its negative values before the residual is added."""
    return np.maximum(parts.product, 0) + parts.aligned


def read_as_other_sign(machine: Machine) -> Machine | None:
    """Codes read as int8 where they are uint8, and the reverse."""
    fmt = machine.case.network.formats[machine.case.layer.name]
    if fmt.bits != 8:
        return None
    return replace(machine, shown=(*machine.shown, lambda values: wrapped(values, 8, fmt.lo == 0)))


# ------------------------------------------------------------------------------------------------ multiplier and shift


def shift(change: Arrays) -> Fault:
    """Another shift; the residual stays aligned as it was."""

    def fault(machine: Machine) -> Machine | None:
        return None if machine.step is None else machine.stepping(shift=change(machine.step.shift))

    return fault


def multiplier(change: Arrays) -> Fault:
    """Another multiplier."""

    def fault(machine: Machine) -> Machine | None:
        return None if machine.step is None else machine.stepping(multiplier=change(machine.step.multiplier))

    return fault


def both(change: Arrays) -> Fault:
    """Multiplier and shift of another channel, together."""

    def fault(machine: Machine) -> Machine | None:
        step = machine.step
        return None if step is None else machine.stepping(multiplier=change(step.multiplier), shift=change(step.shift))

    return fault


def cut_to(bits: int) -> Arrays:
    """The highest ``bits`` bits of the layer's multipliers, the rest 0."""

    def change(values: np.ndarray) -> np.ndarray:
        below = max(int(values.max()).bit_length() - bits, 0)
        return values >> below << below

    return change


def low_bits(bits: int) -> Arrays:
    """The lowest ``bits`` bits of each multiplier."""
    return lambda values: values & ((1 << bits) - 1)


def signed_multiplier(machine: Machine) -> Machine | None:
    """The highest bit of the network's widest multiplier is a sign."""
    steps = [layer.requantize for layer in machine.case.network.layers if layer.requantize is not None]
    bits = max((int(step.multiplier.max()).bit_length() for step in steps), default=0)
    if machine.step is None or bits < 2:
        return None
    return replace(machine, total=lambda parts: parts.acc * wrapped(parts.step.multiplier, bits) + parts.aligned)


# ------------------------------------------------------------------------------------------------------------- residual


def residual(change: Arrays) -> Fault:
    """Other codes are added."""

    def fault(machine: Machine) -> Machine | None:
        return None if machine.residual is None else replace(machine, residual=change(machine.residual))

    return fault


def residual_unshifted(machine: Machine) -> Machine | None:
    """The residual at the lowest bit of the total."""
    if machine.step is None or machine.step.residual_shift is None:
        return None
    return machine.stepping(residual_shift=0 * machine.step.residual_shift)


def residual_shift(by: int) -> Fault:
    """The residual aligned too far to one side."""

    def fault(machine: Machine) -> Machine | None:
        if machine.step is None or machine.step.residual_shift is None:
            return None
        return machine.stepping(residual_shift=machine.step.residual_shift + by)

    return fault


def sign_of_residual(machine: Machine) -> Machine | None:
    """The residual's bytes read as the other of int8 and uint8."""
    return residual(other_sign)(machine)


def summed(total: Callable[[Parts], np.ndarray], activation: bool = False) -> Fault:
    """Another sum of product and residual."""

    def fault(machine: Machine) -> Machine | None:
        if machine.residual is None or machine.step is None:
            return None
        if activation and machine.step.activation == "none":
            return None
        return replace(machine, total=total)

    return fault


def before_scale(parts: Parts) -> np.ndarray:
    """The residual's codes are added to the accumulator and multiplied with it."""
    return (parts.acc + (0 if parts.residual is None else parts.residual)) * parts.step.multiplier


def after_clip(parts: Parts, total: np.ndarray) -> np.ndarray:
    """The product becomes a code, the residual is added to it, and the sum is clipped again."""
    alone = np.asarray(plain_codes(parts, parts.product), np.int64)
    return plain_codes(parts, (alone << parts.step.shift) + parts.aligned)


def residual_is_operand(machine: Machine) -> Machine | None:
    """The layer's own input is added for the residual, where it has its shape."""
    if machine.residual is None:
        return None
    for codes in machine.case.operands:
        if codes.shape == machine.residual.shape and not np.array_equal(codes, machine.residual):
            return replace(machine, residual=codes)
    return None
