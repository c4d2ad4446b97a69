"""Cases of functions: rounding, requantization, accumulators, windows, bounds, rescaling; no layer is needed for them.

Each generator yields the cases of one group.  ``more`` is how often drawn cases are drawn again, with other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..numbers.arith import ARITHMETICS, Arithmetic
from ..numbers.formats import INT8, INT32, UINT8, WEIGHT_FORMATS, CodeFormat
from ..numbers.requantize import MAX_RESIDUAL_SHIFT, MAX_TOTAL
from ..numbers.rescale import MULTIPLIER_BITS
from ..numbers.rounding import DOUBLE_ROUND, MAX_SHIFT, ROUNDINGS, STOCHASTIC
from ..numbers.stochastic import random_bits
from .case import Array, Case
from .stream import Stream

# format and activation (contract Q3)
FORMS = (
    (UINT8, "relu"),
    (INT8, "none"),
    (UINT8, "clip"),
    (INT8, "relu"),
    (UINT8, "none"),
    (INT8, "clip"),
)
_CHANNELS = 3
_TARGETS = 9
_LARGE = 2**31 - 1


def clauses_of_rounding(rounding: str) -> tuple[str, ...]:
    """Which clauses a mode of rounding rests on."""
    if rounding == STOCHASTIC:
        return ("R5",)
    return ("R4",) if rounding == DOUBLE_ROUND else ("R1", "R2", "R3")


def words_of(form: tuple[CodeFormat, str], rounding: str, stream: Stream, dynamic: int = 0) -> dict[str, Any]:
    """The words and ends of a requantization of that form."""
    fmt, activation = form
    return {
        "rounding": rounding,
        "format": fmt.name,
        "activation": activation,
        "lo": fmt.lo if activation == "none" else 0,
        "hi": stream.integer(20, fmt.hi - 1) if activation == "clip" else fmt.hi,
        "seed": stream.integer(0, 2**63 - 2) if rounding == STOCHASTIC else 0,
        "dynamic": dynamic,
    }


# ------------------------------------------------------------------------------------------------------------ rounding


def round_shift(more: int) -> Iterator[Case]:
    """Every mode by every shift: ties of both signs and parities, their neighbours, exact values, the ends of R1."""
    stream = Stream("round_shift")
    for rounding, shift in product(ROUNDINGS, range(MAX_SHIFT + 1)):
        for _ in range(more):
            t = _around_ties(stream, shift, early=2**30 if rounding == DOUBLE_ROUND else 0)
            inputs = {"t": t}
            if rounding == STOCHASTIC:
                seed = stream.integer(0, 2**62)
                inputs["bits"] = random_bits(seed, shift, 0, (1, len(t)))[0]
            parameters = {"rounding": rounding, "shift": shift}
            yield Case("round_shift", clauses_of_rounding(rounding), f"{rounding}, shift {shift}", parameters, inputs)


def _around_ties(stream: Stream, shift: int, early: int) -> Array:
    """Totals: q + 1/2 for quotients small, large and of both parities, a unit beside each, and what lies between."""
    unit, half = 2**shift, 2**shift // 2
    quotients = [-3, -2, -1, 0, 1, 2, *(stream.integer(-MAX_TOTAL // unit, MAX_TOTAL // unit) for _ in range(4))]
    found = [q * unit + half + beside for q in quotients for beside in (-1, 0, 1)]
    found += [
        q * unit + half + nudge + beside for q in (-2, -1, 0, 1) for nudge in (early, -early) for beside in (0, 1)
    ]
    found += [q * unit for q in quotients] + [0, 1, -1, MAX_TOTAL, -MAX_TOTAL, MAX_TOTAL - 1, 1 - MAX_TOTAL]
    found += stream.integers(-MAX_TOTAL, MAX_TOTAL - 1, (8,)).tolist()
    return np.array([min(max(t, -MAX_TOTAL), MAX_TOTAL) for t in found], np.int64)


def random_bits_cases(more: int) -> Iterator[Case]:
    """Seeds, layers, images and shapes: the first and the last that may be, and others."""
    stream = Stream("random_bits")
    ends = [(seed, layer, image) for seed in (0, 2**63 - 1) for layer in (0, 7) for image in (0, 2**20)]
    drawn = [(stream.integer(0, 2**62), stream.integer(0, 99), stream.integer(0, 9999)) for _ in range(8 * more)]
    for seed, layer, image in ends + drawn:
        shape = [stream.integer(1, 3), *stream.integers(1, 4, (stream.pick([1, 3]),)).tolist()]
        parameters = {"seed": seed, "layer": layer, "first_image": image, "shape": shape}
        yield Case("random_bits", ("R5",), f"seed {seed}, layer {layer}, image {image}", parameters, {})


# ---------------------------------------------------------------------------------------------------------- requantize


def requantize(more: int) -> Iterator[Case]:
    """Every mode by every form of clip by widths of multipliers; residuals; totals at 2**62; dynamic exponents."""
    for turn in range(more):
        stream = Stream(f"requantize {turn}")
        for rounding, form, bits in product(ROUNDINGS, FORMS, (1, 8, 15, 31)):
            yield _requantize(stream, rounding, form, bits, stream.pick([None, None, UINT8, INT8]))
        for rounding, fmt in product(ROUNDINGS, (UINT8, INT8)):
            yield _requantize(stream, rounding, (fmt, "none"), 8, stream.pick([UINT8, INT8]), deep=True)
        for rounding in ROUNDINGS:
            yield _requantize(stream, rounding, (INT32, "none"), stream.pick([1, 8]), None)
            yield _ends_of_totals(stream, rounding)
        for rounding, dynamic, form in product(ROUNDINGS, range(1, 8), ((UINT8, "relu"), (INT8, "none"))):
            yield _dynamic(stream, rounding, dynamic, form)


def _requantize(
    stream: Stream,
    rounding: str,
    form: tuple[CodeFormat, str],
    bits: int,
    residual: CodeFormat | None,
    deep: bool = False,
) -> Case:
    """Accumulators whose codes are the ends of the clip, one beyond them, ties; ``deep``: the longest left shift."""
    channels = stream.pick([_CHANNELS, 1])
    words = words_of(form, rounding, stream)
    multiplier = stream.integers(2 ** (bits - 1), 2**bits - 1, (channels,))
    shift = stream.integers(0, 30 if form[0] is INT32 else MAX_SHIFT - 24, (channels,)) if bits == 1 else None
    if shift is None:
        shift = stream.integers(max(0, bits - 8), bits + 16, (channels,))
    acc = np.stack([_aimed(stream, words, int(m), int(s)) for m, s in zip(multiplier, shift, strict=True)], axis=-1)
    if channels == 1:  # one entry stands for all channels
        acc = np.concatenate([acc] * 2, axis=-1)
    inputs: dict[str, Array] = {"accumulator": acc[None], "multiplier": multiplier, "shift": shift}
    clauses = ["N1", "Q1", "Q2", "Q3", "Q4", "Q6", *clauses_of_rounding(rounding)]
    if residual is not None:
        left = shift + (MAX_RESIDUAL_SHIFT - int(shift.max()) if deep else stream.integer(-int(shift.min()), 3))
        inputs["residual_shift"] = left
        inputs["residual"] = stream.codes(residual.lo, residual.hi, acc[None].shape, residual.dtype)
        clauses.append("Q5")
    why = f"{rounding}, {form[0].name} {form[1]}, {bits} bits" + (f", residual {residual.name}" if residual else "")
    return _of_requantize(stream, clauses, why + (" far left" if deep else ""), words, inputs)


def _of_requantize(
    stream: Stream, clauses: Sequence[str], why: str, words: Mapping[str, Any], inputs: Mapping[str, Array]
) -> Case:
    place = {"layer": stream.integer(0, 30), "first_image": stream.integer(0, 1000)}
    return Case("requantize", tuple(clauses), why, {"requantize": dict(words), **place}, inputs)


def _aimed(stream: Stream, words: Mapping[str, Any], multiplier: int, shift: int) -> Array:
    """int32 (P): accumulators that fall upon ties at the ends of the clip and around 0, or beside them."""
    lo, hi = words["lo"], words["hi"]
    targets = [lo - 2, lo - 1, lo, -2, -1, 0, 1, hi - 1, hi, *(stream.integer(lo, hi) for _ in range(3))]
    ties = [(2 * target + 1) * 2**shift // (2 * multiplier) + beside for target in targets for beside in (-1, 0, 1)]
    found = [*ties, 0, 1, -1, _LARGE, -_LARGE - 1]
    return np.array([min(max(acc, -_LARGE - 1), _LARGE) for acc in found], np.int64).astype(np.int32)


def _ends_of_totals(stream: Stream, rounding: str) -> Case:
    """Totals as far out as accumulators of 32 bits and multipliers of 31 bits come, under the longest shifts."""
    shift = np.array([MAX_SHIFT, MAX_SHIFT - 1, 61, 55, 54, 53], np.int64)
    acc = np.array([_LARGE, -_LARGE - 1, _LARGE - 1, -_LARGE, 2**30, -(2**30), 1, -1], np.int64).astype(np.int32)
    inputs: dict[str, Array] = {
        "accumulator": np.repeat(acc[:, None], len(shift), axis=1)[None],
        "multiplier": np.array([_LARGE, _LARGE, _LARGE - 1, _LARGE, 2**30, _LARGE], np.int64),
        "shift": shift,
    }
    words = words_of((INT8, "none"), rounding, stream)
    clauses = ("Q1", "Q2", "S3", *clauses_of_rounding(rounding))
    return _of_requantize(stream, clauses, f"{rounding}, totals near 2**62", words, inputs)


def _dynamic(stream: Stream, rounding: str, dynamic: int, form: tuple[CodeFormat, str]) -> Case:
    """Images whose largest total has one bit more each, up to more than ``dynamic`` allows; the first comes twice.

    Which code the largest is rounded to, one beyond the format or not, differs from mode to mode.
    """
    fmt, _ = form
    words = words_of(form, rounding, stream, dynamic)
    shift, multiplier = stream.integer(0, min(16, MAX_SHIFT - dynamic)), stream.integer(1, 9)
    acc = []
    for more in range(dynamic + 3):
        top = (fmt.hi + 1) * 2**more
        peaks = [top - 1, top, -top, -top - 1]
        chosen = peaks[stream.integer(0, 3 if fmt.lo < 0 else 1)]
        image = stream.integers(-abs(chosen) // 2, abs(chosen) // 2, (2, 3)) * 2**shift // multiplier
        image[0, 0] = (2 * chosen + 1) * 2**shift // (2 * multiplier)
        acc.append(image)
    images = np.array([*acc, acc[0]], np.int64).astype(np.int32)
    inputs: dict[str, Array] = {
        "accumulator": images,
        "multiplier": np.array([multiplier], np.int64),
        "shift": np.array([shift], np.int64),
    }
    clauses = ["D1", "D2", "D3", "D6", *clauses_of_rounding(rounding)]
    if stream.pick([True, False]):
        residual = stream.pick([UINT8, INT8])
        inputs["residual_shift"] = np.array([stream.integer(0, shift)], np.int64)
        inputs["residual"] = stream.codes(residual.lo, residual.hi, images.shape, residual.dtype)
        clauses.append("Q5")
    return _of_requantize(stream, clauses, f"{rounding}, dynamic {dynamic}, {fmt.name}", words, inputs)


def arith(more: int) -> Iterator[Case]:
    """Every rule of another design that differs from the others, by forms and multipliers of its width."""
    rules: dict[tuple[str, str], Arithmetic] = {}
    for preset in ARITHMETICS.values():
        rules.setdefault((preset.rule, preset.order), preset)
    for turn in range(more):
        stream = Stream(f"arith {turn}")
        for preset, form, with_residual in product(rules.values(), ((UINT8, "relu"), (INT8, "none")), (False, True)):
            bits = stream.pick([bits for bits in (1, 8, 15, 24, 31) if bits <= (preset.multiplier_bits or 31)])
            drawn = _requantize(stream, "half_up", form, bits, stream.pick([UINT8, INT8]) if with_residual else None)
            words = {key: getattr(preset, key) for key in ("rounding", "overflow", "order", "product")}
            parameters = {"requantize": drawn.parameters["requantize"], "arithmetic": words}
            clauses = tuple(_clauses_of_arith(preset, with_residual))
            why = f"{preset.rule}, {preset.order}, {form[0].name}, {bits} bits" + (
                ", residual" if with_residual else ""
            )
            yield Case("arith", clauses, why, parameters, drawn.inputs)


def _clauses_of_arith(preset: Arithmetic, with_residual: bool) -> Iterator[str]:
    yield "Arith1"
    if preset.rounding in ROUNDINGS:
        yield "Arith2"
    if preset.rounding == "two_steps":
        yield "Arith3"
    if preset.product == "float32":
        yield "Arith4"
    yield "Arith5"
    if preset.order == "clip, round":
        yield "Arith6"
    if with_residual:
        yield "Arith7"


# ------------------------------------------------------------------------------------------- accumulators and the rest


def confine(more: int) -> Iterator[Case]:
    """Every width by every policy: the ends, one beyond them, whole turns beyond them, the ends of INT32."""
    stream = Stream("confine")
    for bits, policy in product(range(16, 33), ("wrap", "saturate")):
        for _ in range(2 * more):
            top = 2 ** (bits - 1)
            sums = [end + beside for end in (top, -top, 3 * top, -3 * top, 0) for beside in (-2, -1, 0, 1)]
            sums += stream.integers(-_LARGE - 1, _LARGE, (12,)).tolist()
            kept = np.array([one for one in sums if -_LARGE - 1 <= one <= _LARGE], np.int64).astype(np.int32)
            clauses = ("A4", "A5") if policy == "saturate" else ("A3", "A5")
            yield Case("confine", clauses, f"{policy}, {bits} bits", {"accumulator": [bits, policy]}, {"sum": kept})


def window(more: int) -> Iterator[Case]:
    """Every size, kernel, stride and padding up to a few pixels; ``ceil_mode`` where each window has a pixel."""
    for ceil_mode, kernel in product((False, True), range(1, 6)):
        rows = [
            (size, kernel, stride, before, after)
            for size, stride, before, after in product(range(1, 8), range(1, 5), range(4), range(4))
            if size + before + after >= kernel and (not ceil_mode or max(before, after) < kernel)
        ]
        columns = np.array(rows, np.int64).T
        names = ("size", "kernel", "stride", "before", "after")
        inputs = {name: np.ascontiguousarray(column) for name, column in zip(names, columns, strict=True)}
        clauses = ("W1", "W2") if ceil_mode else ("W1",)
        yield Case("window", clauses, f"kernel {kernel}, ceil {ceil_mode}", {"ceil_mode": ceil_mode}, inputs)


def values(more: int) -> Iterator[Case]:
    """Every code of both formats under every d."""
    for fmt in (UINT8, INT8):
        codes: Array = np.repeat(np.arange(fmt.lo, fmt.hi + 1, dtype=fmt.dtype)[None], 8, axis=0)
        yield Case("values", ("D4",), f"every {fmt.name} code", {}, {"code": codes, "d": np.arange(8, dtype=np.int64)})


def top(more: int) -> Iterator[Case]:
    """Rows of logits with ties, the ends of INT32 among them, in falling order."""
    stream = Stream("top")
    for number in range(24 * more):
        classes, span = stream.pick([1, 2, 3, 10, 33]), stream.pick([1, 3, _LARGE])
        logits = stream.codes(-span, span, (6, classes), np.int32)
        yield Case("top", ("L3",), f"{classes} classes in -{span}..{span}, {number}", {}, {"logits": logits})


def rescale(more: int) -> Iterator[Case]:
    """Every width of multiplier: factors that are halves between two, powers of two, too small, and others."""
    stream = Stream("rescale")
    for bits in MULTIPLIER_BITS:
        largest = 2**bits - 1
        halves = [(2 * m + 1, 2 ** (k + 1)) for m in (2 ** (bits - 1), largest - 1, largest) for k in (bits, 40, 61)]
        powers = [(1, 2**k) for k in range(0, 63, 7)] + [(1, 1), (largest, 1), (0, 1)]
        tiny = [(1, 2**62), (1, 2**62 - 1), (3, 2**62)]
        drawn = [(stream.integer(1, 2**30), stream.integer(2**30, 2**62)) for _ in range(12 * more)]
        pairs = [(n, d) for n, d in halves + powers + tiny + drawn if 2 * n < (2 * largest + 1) * d]
        yield Case("rescale", ("S1", "S2", "S3"), f"{bits} bits", {"bits": bits}, _pairs(pairs))


def nearest(more: int) -> Iterator[Case]:
    """Rationals at and beside halves, of both signs."""
    stream = Stream("nearest")
    for number in range(2 * more):
        halves = [(sign * (2 * q + 1) + beside, 2) for q in range(4) for sign in (1, -1) for beside in (-1, 0, 1)]
        drawn = [(stream.integer(-(2**61), 2**61), stream.integer(1, 2**40)) for _ in range(24)]
        yield Case("nearest", ("R6",), f"ties, {number}", {}, _pairs(halves + drawn))


def exponent(more: int) -> Iterator[Case]:
    """Magnitudes that are a largest code times a power of two, and the next ones beside them."""
    stream = Stream("exponent")
    for largest in (1, 7, 127, 255):
        exact = [(largest * 2**k, 2**j) for k in (0, 5, 40) for j in (0, 7, 50)]
        beside = [(n * 64 + more_or_less, d * 64) for n, d in exact for more_or_less in (-1, 1) if d <= 2**50]
        drawn = [(stream.integer(1, 2**60), stream.integer(1, 2**60)) for _ in range(16 * more)]
        yield Case("exponent", ("N4",), f"codes up to {largest}", {"top": largest}, _pairs(exact + beside + drawn))


def width(more: int) -> Iterator[Case]:
    """Ends at and beside powers of two."""
    ends = [(-(2**a) + i, 2**b + j) for a, b in product(range(0, 62, 3), repeat=2) for i in (-1, 0) for j in (-1, 0)]
    lo, hi = np.array([(lo, max(0, hi)) for lo, hi in ends if lo <= 0], np.int64).T
    inputs = {"lo": np.ascontiguousarray(lo), "hi": np.ascontiguousarray(hi)}
    yield Case("width", ("N5",), "ends at powers of two", {}, inputs)


def nearest_codes(more: int) -> Iterator[Case]:
    """Reals in quarters of a code: ties, their neighbours, and beyond the ends of every format."""
    for fmt in WEIGHT_FORMATS.values():
        reals = np.arange(4 * fmt.lo - 9, 4 * fmt.hi + 10, dtype=np.int64)
        yield Case("nearest_codes", ("R7", "N1"), fmt.name, {"format": fmt.name, "denominator": 4}, {"real": reals})


def _pairs(pairs: Sequence[tuple[int, int]]) -> dict[str, Array]:
    """Rationals as two arrays; those that leave int64 are left out."""
    kept = [(n, d) for n, d in pairs if abs(n) < 2**63 and 0 < d < 2**63]
    numerator, denominator = np.array(kept, np.int64).T
    return {"numerator": np.ascontiguousarray(numerator), "denominator": np.ascontiguousarray(denominator)}
