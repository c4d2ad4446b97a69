"""Where two blocks of integers differ and what the differences are, without recomputing anything.

Each ``Observation`` is a true sentence about golden and DUT, int64 (N, H, W, C) or (N, K), with its figures for a JSON
report: rows, columns, channels and images that hold all differences and the period in which they lie, the word from
which on everything is wrong, and whether a difference is constant in a channel, one unit, a power of two, or of one
sign.  None of them is a cause; together they say where to look.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .structure import affected, axis_names, comb, places_in_words

_LISTED = 16
_KEPT = 256
_FEW = 4
_DENSE = 4  # one of so many words must be wrong behind an onset
_SCATTERED = 64


@dataclass(frozen=True)
class Observation:
    """What is to be seen: ``kind`` for programs, ``sentence`` for people, ``figures`` for JSON."""

    kind: str
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def observe(
    golden: np.ndarray,
    got: np.ndarray,
    ends: tuple[int, int] | None = None,
    skipped: int = 0,
    unknown: np.ndarray | None = None,
) -> tuple[Observation, ...]:
    """Everything that can be said of the differences; nothing where there are none.

    ``ends``: the ends of the clip, where the values are codes.  ``skipped``: words of the dump before the first one.
    ``unknown``: values with bits that are neither 0 nor 1: they are wrong, and nothing is said of what they are.
    """
    vague = np.zeros(got.shape, bool) if unknown is None else unknown
    wrong = (got != golden) | vague
    if not wrong.any():
        return ()
    found = [*_places(wrong), *_border(wrong), *_words(wrong, skipped)]
    count, size, hidden = int(np.count_nonzero(wrong)), wrong.size, int(np.count_nonzero(vague))
    found.append(Observation("share", f"{count} of {size} values differ ({100 * count / size:.3g} %)",
                             {"wrong": count, "of": size}))  # fmt: skip
    if hidden:
        found.append(Observation("unknown", f"{hidden} wrong value{'s have' if hidden > 1 else ' has'} unknown bits",
                                 {"count": hidden}))  # fmt: skip
    got, wrong = np.where(vague, golden, got), wrong & ~vague
    if not wrong.any():
        return tuple(found)
    found += _constants(golden, got) if not hidden else ()
    return (*found, *_units(golden, got, wrong, ends), *_clip_ends(golden, got, wrong, ends))


def _listed(values: np.ndarray) -> str:
    said = ", ".join(str(int(value)) for value in values[:_LISTED])
    return f"{said}, ..." if len(values) > _LISTED else said


# --------------------------------------------------------------------------------------------------------------- where


def _places(wrong: np.ndarray) -> Iterator[Observation]:
    """Images, rows, columns and channels that hold all differences, where these are not all there are."""
    parts: list[str] = []
    figures: dict[str, Any] = {}
    for axis, name in enumerate(axis_names(wrong.ndim)):
        places, count = affected(wrong, axis), wrong.shape[axis]
        if len(places) == count:
            continue
        period, first = comb(places, count)
        parts.append(_line(places, count, name, period))
        figures[f"{name}s"] = {"places": places[:_KEPT].tolist(), "count": len(places), "of": count}
        if period:
            figures[f"{name}s"] |= {"period": period, "phase": first}
    if parts:
        yield Observation("places", f"all differences lie in {', '.join(parts)}", figures)


def _line(places: np.ndarray, count: int, name: str, period: int) -> str:
    """Places of one axis in words; those of a period are listed with it.

    >>> _line(np.array([6, 13, 20, 27]), 28, "column", 7), _line(np.array([3]), 8, "row", 0)
    ('columns 6, 13, 20, 27 (period 7)', 'row 3')
    """
    if period and len(places) > 1:
        return f"{name}s {_listed(places)} (period {period})"
    return places_in_words(places, count, name) or f"{name}s {_listed(places)}"


def _border(wrong: np.ndarray) -> Iterator[Observation]:
    if wrong.ndim != 4 or min(wrong.shape[1:3]) < 3 or np.count_nonzero(wrong) <= _FEW:
        return
    if not wrong[:, 1:-1, 1:-1].any():
        yield Observation("border", "all differences lie at the border: look at the padding")


def _words(wrong: np.ndarray, skipped: int) -> Iterator[Observation]:
    """Words of the whole dump, one for each value: a period of their own, or an onset."""
    flat = wrong.reshape(-1)
    words = np.flatnonzero(flat)
    period, phase = comb(words + skipped, len(flat) + skipped)
    if period and len(words) > _FEW and len(words) * period * _DENSE >= len(flat):
        yield Observation(
            "period",
            f"the wrong words are {phase}, {phase + period}, ...: every {period}",
            {"period": period, "phase": phase},
        )
    first, behind = int(words[0]), len(flat) - int(words[0])
    if first and len(words) > _FEW and len(words) * _DENSE >= behind and first * _SCATTERED > len(flat):
        yield Observation(
            "onset",
            f"the words before {first + skipped} are right, from there on {len(words)} of {behind} are wrong",
            {"word": first + skipped, "wrong": len(words), "behind": behind},
        )


# ---------------------------------------------------------------------------------------------------------------- what


def _constants(golden: np.ndarray, got: np.ndarray) -> Iterator[Observation]:
    by = (got - golden).reshape(-1, got.shape[-1])
    constant = (by == by[0]).all()
    if constant and len(by) > 1 and not (by == by[0, 0]).all():
        off = np.flatnonzero(by[0])
        said = ", ".join(f"{channel} by {int(by[0, channel]):+d}" for channel in off[:_LISTED])
        yield Observation(
            "constant per channel",
            f"every difference is constant in its channel: channel {said}{', ...' if len(off) > _LISTED else ''}; "
            "of accumulators, look at the bias",
            {"channels": {int(channel): int(by[0, channel]) for channel in off[:_KEPT]}},
        )


def _units(
    golden: np.ndarray, got: np.ndarray, wrong: np.ndarray, ends: tuple[int, int] | None
) -> Iterator[Observation]:
    by = (got - golden)[wrong]
    sizes = np.abs(by)
    if len(by) > 1 and (by == by[0]).all():
        yield Observation("constant", f"every difference is {int(by[0]):+d}", {"by": int(by[0])})
    elif ends is not None and sizes.max() == 1:
        yield Observation("one unit", _rate(len(by), wrong.size), {"by": 1})
        return
    elif len(by) > _FEW and not (sizes & (sizes - 1)).any():
        exponents = sorted({int(size).bit_length() - 1 for size in np.unique(sizes)})
        yield Observation("single bits", f"every difference is a power of two: 2**{', 2**'.join(map(str, exponents))}",
                          {"exponents": exponents})  # fmt: skip
    if len(by) > _FEW and (by > 0).all() | (by < 0).all():
        which = "large" if by[0] > 0 else "small"
        yield Observation("sign", f"every wrong value is too {which}", {"sign": 1 if by[0] > 0 else -1})
    twos = _twos(by)
    if twos > 1:
        sentence = f"every difference is a multiple of 2**{twos}: look at an alignment or at missing bits"
        yield Observation("multiple", sentence, {"exponent": twos})
    values = np.unique(got[wrong])
    if len(by) > _FEW and len(values) == 1:
        yield Observation("one value", f"every wrong value is {int(values[0])}", {"value": int(values[0])})


def _twos(by: np.ndarray) -> int:
    common = int(np.gcd.reduce(by))
    return (common & -common).bit_length() - 1


def _rate(differ: int, count: int) -> str:
    """What a share of differences of one unit says about a rounding."""
    odds = count // differ
    if odds < 4:
        return "every difference is one unit: cutting and rounding to nearest differ so, in half of the values"
    return (
        "every difference is one unit: a rounding; "
        f"modes that part at ties alone differ in one of 2**(s+1) values, s the shift, here in one of {odds}"
    )


def _clip_ends(
    golden: np.ndarray, got: np.ndarray, wrong: np.ndarray, ends: tuple[int, int] | None
) -> Iterator[Observation]:
    for value in ends or ():
        if (golden[wrong] == value).all() and not (golden == value).all():
            yield Observation("clip", f"it differs only where the code is {value}, an end of the clip",
                              {"code": value})  # fmt: skip
