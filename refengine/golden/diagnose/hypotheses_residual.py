"""Hypotheses about the residual: which codes are added in its place, and where.

``family=numbers`` as in ``golden/diagnose/hypotheses_numbers.py``: only numbers that give a few wrong values of the
dump become members, which must then reproduce everything.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from . import hypotheses_codes as codes
from .clues import Clues, Family, Fault, Numbers
from .hypotheses_accumulator import held
from .hypotheses_widths import fitting
from .machine import Machine, Parts

_WIDTHS = range(8, 62)
_WORDS = (1, 2, 3, 4, 8, 16, 32)


def families() -> Iterator[Family]:
    """All of them."""
    yield Family(
        "residual_of_other_layer", "codes of another layer, which is found, are added for the residual", "residual",
        fitting(of_layer, _layers_before, "total"), "codes of layer number {} are added for the residual", of_layer,
    )  # fmt: skip
    yield Family(
        "residual_late", "the residual comes late, by a number of values that is found", "residual",
        fitting(late, _delays, "total"), _late_words, late,
    )  # fmt: skip
    yield Family(
        "residual_bits", "a bit of the residual is always 0 or always 1, which is found", "residual",
        fitting(bit_of_residual, _bits, "total"), "bit {} of the residual is always {}", bit_of_residual,
    )  # fmt: skip
    for policy, verb in (("wrap", "wraps"), ("saturate", "saturates")):
        yield Family(
            f"product_{verb}", f"the product {verb} before the residual is added, in a width that is found", "widths",
            fitting(product_held(policy), lambda clues: [(bits,) for bits in _WIDTHS], "total"),
            f"the product {verb} in {{}} bits before the residual is added", product_held(policy),
        )  # fmt: skip
    for name, how, base in OUTSIDE:
        sentence, member = f"{how}, and the sum before rounding is the product alone", outside(base)
        yield Family(
            f"{name}_outside_total", sentence, "residual", _where_totals_differ(member), sentence, member
        )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- other codes


def of_layer(number: int) -> Fault:
    """The codes of the layer at that place of the network, where the case knows them, in the residual's shape."""

    def fault(machine: Machine) -> Machine | None:
        layers = machine.case.network.layers
        codes = machine.case.others.get(layers[number].name) if number < len(layers) else None
        if machine.residual is None or codes is None or codes.shape != machine.residual.shape:
            return None
        return replace(machine, residual=codes)

    return fault


def _layers_before(clues: Clues) -> list[Numbers]:
    """Layers that come before, because no other one has written anything; those that the layer reads have a name."""
    case = clues.machine.case
    read = {*case.layer.inputs, case.layer.residual}
    before = [layer.name for layer in case.network.layers[: case.position]]
    return [(number,) for number, name in enumerate(before) if name in case.others and name not in read]


def late(how: int, by: int) -> Fault:
    """By ``by`` values in each image (0), through all images (1), in each row (2), or by as many whole images (3)."""

    def fault(machine: Machine) -> Machine | None:
        residual = machine.residual
        if residual is None or (how == 3 and len(residual) == 1):
            return None
        if how == 3:
            return replace(machine, residual=np.roll(residual, by, axis=0), remembers=True)
        rows = (len(residual), 1, int(np.prod(residual.shape[:2])))[how]
        runs = residual.reshape(rows, -1)
        delayed = np.zeros_like(runs)
        delayed[:, by:] = runs[:, : runs.shape[1] - by]
        return replace(machine, residual=delayed.reshape(residual.shape), remembers=how == 1)

    return fault


def _delays(clues: Clues) -> Iterator[Numbers]:
    """Few values, pixels, a row, or an image; what is the same delay once."""
    residual = clues.machine.residual
    if residual is None or residual.ndim != 4:
        return
    count, height, width, channels = residual.shape
    row = width * channels
    steps = {*_WORDS, channels, 2 * channels}
    tried = [(how, by) for how in (0, 1) for by in sorted({*steps, row, 2 * row}) if by < height * row]
    tried += [(2, by) for by in sorted(steps) if by < row]
    tried += [(1, height * row), (3, 1), (3, count - 1)] if count > 1 else []
    seen: set[bytes] = set()
    for how, by in tried:
        machine = late(how, by)(clues.machine)
        if machine is not None and machine.residual is not None and machine.residual.tobytes() not in seen:
            seen.add(machine.residual.tobytes())
            yield how, by


def _late_words(how: int, by: int) -> str:
    values = f"{by} value{'s' if by > 1 else ''}"
    return (
        f"the residual comes {values} late in each image, behind zeros",
        f"the residual comes {values} late, and its last ones come in the next image",
        f"the residual comes {values} late in each row, behind zeros",
        f"the residual is that of the image {by} before, counted in a circle",
    )[how]


def bit_of_residual(bit: int, value: int) -> Fault:
    """One bit of every code is stuck."""
    return codes.residual(lambda residual: stuck(residual, bit, value))


def stuck(values: np.ndarray, bit: int, value: int) -> np.ndarray:
    """Codes of which one bit is always 0 or always 1, in their own type."""
    mask = values.dtype.type(1).view(f"u{values.itemsize}") << bit
    raw = values.view(mask.dtype)
    return (raw | mask if value else raw & ~mask).view(values.dtype)


def _bits(clues: Clues) -> list[Numbers]:
    return [(bit, value) for bit in range(8) for value in (0, 1)]


# ------------------------------------------------------------------------------------------------------- other places


def product_held(policy: str) -> Callable[[int], Fault]:
    """The product is held in few bits, the sum is not."""

    def member(bits: int) -> Fault:
        return codes.summed(lambda parts: held(parts.product, bits, policy) + parts.aligned)

    return member


def floored_after_clip(parts: Parts, total: np.ndarray) -> np.ndarray:
    """The product becomes a code, and the residual, floored to its unit, is added to it."""
    alone = np.asarray(codes.plain_codes(parts, parts.product), np.int64)
    return codes.clipped(alone + (parts.aligned >> parts.step.shift), parts.step.lo, parts.step.hi)


def _floored_after_clip(machine: Machine) -> Machine | None:
    """Where the residual is finer than the output: otherwise there is nothing to floor."""
    step = machine.step
    if step is None or step.residual_shift is None or (step.residual_shift >= step.shift).all():
        return None
    return codes.coded(floored_after_clip, needs_residual=True)(machine)


OUTSIDE: tuple[tuple[str, str, Fault], ...] = (
    ("residual", "the residual is added as it should be", lambda machine: machine),
    ("residual_after_clip", "the residual is added after the clip, and the sum clipped again",
     codes.coded(codes.after_clip, needs_residual=True)),
    ("residual_floored_after_clip", "the residual, floored to the output's unit, is added after the clip",
     _floored_after_clip),
    ("relu_before_residual", "ReLU comes before the residual is added",
     codes.summed(codes.relu_before_residual, activation=True)),
    *(
        (f"product_{word}_first", f"the product is {word} before the residual is added, the sum is rounded again",
         codes.coded(codes.product_rounded_first(mode), needs_residual=True))
        for word, mode in (("rounded", None), ("cut", "toward_zero"), ("floored", "floor"))
    ),
)  # fmt: skip


def outside(base: Fault) -> Callable[[int], Fault]:
    """What ``base`` does, of a design whose sum before rounding lacks the residual, because it is added behind it."""

    def member(number: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            made = base(machine)
            if made is None or made.residual is None or made.step is None:
                return None
            return replace(
                made,
                total=lambda parts: parts.product,
                codes=lambda parts, total: made.codes(parts, made.total(parts)),
            )

        return fault

    return member


def _where_totals_differ(member: Callable[[int], Fault]) -> Callable[[Clues], Iterator[Numbers]]:
    """Only a dump of totals can say so."""
    fits = fitting(member, lambda clues: [(0,)], "total")
    return lambda clues: fits(clues) if "total" in clues.differing else iter(())
