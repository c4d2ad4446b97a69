"""One rounding in plain Python integers, with the decision in words (contract R)."""

from dataclasses import dataclass

import numpy as np

from ..numbers.formats import signed_bits
from ..numbers.rounding import ALL, DOUBLE_ROUND, HALF, MODES, NOTHING, STOCHASTIC, UNDER, addends

_WITHOUT_TABLE = {
    STOCHASTIC: "goes up where discarded bits and a random draw of as many bits carry",
    DOUBLE_ROUND: "rounds a shift by 31 and then the rest of the shift; up to 31 it goes to the nearest, a tie up",
}
# which column of a table's row goes up: by the sign of the total and the parity of its quotient
_TIES: dict[tuple[bool, ...], str] = {
    (True, True, True, True): "up",
    (False, False, False, False): "down",
    (True, True, False, False): "away from zero",
    (False, False, True, True): "toward zero",
    (False, True, False, True): "to the even one",
    (True, False, True, False): "to the odd one",
}
_DIRECTED = {
    "up": "goes up unless nothing was discarded",
    "down": "goes down to the quotient, whatever was discarded",
    "away from zero": "goes away from zero: up from 0 on, down below, unless nothing was discarded",
    "toward zero": "goes toward zero: down from 0 on, up below",
}
_ADDENDS = {NOTHING: "nothing", UNDER: "a half less one", HALF: "a half", ALL: "a unit less one"}


def mode_words(mode: str) -> str:
    """What a rounding mode does, read from its row of ``numbers.rounding.MODES``.

    >>> mode_words("half_even"), mode_words("floor")
    ('goes to the nearest, a tie to the even one', 'goes down to the quotient, whatever was discarded')
    """
    if mode in _WITHOUT_TABLE:
        return _WITHOUT_TABLE[mode]
    row = MODES[mode]
    where = _TIES.get(tuple(addend in (HALF, ALL) for addend in row))
    if where is not None and _nearest(mode):
        return f"goes to the nearest, a tie {where}"
    if where in _DIRECTED and {*row} <= {NOTHING, ALL}:
        return _DIRECTED[where]
    cases = zip(("0 or more, even", "0 or more, odd", "below 0, even", "below 0, odd"), row, strict=True)
    return "adds " + ", ".join(f"{_ADDENDS[addend]} ({case})" for case, addend in cases)


def _nearest(mode: str) -> bool:
    """Whether a mode of the table looks at more than the discarded bits at ties alone."""
    return {*MODES[mode]} <= {HALF, UNDER}


@dataclass(frozen=True)
class Rounding:
    """One rounding: ``total = quotient * 2**shift + discarded``, ``rounded = (total + addend) >> shift``.

    ``kept_bits``, ``discarded_bits``: the total in two's complement, cut where the shift cuts it.
    """

    total: int
    shift: int
    quotient: int
    discarded: int
    kept_bits: str
    discarded_bits: str
    mode: str
    addend: int
    decision: str
    rounded: int


def rounded(total: int, shift: int, mode: str, bits: int | None = None) -> Rounding:
    """One total, divided by ``2**shift`` and rounded once, with the decision in words (contract R).

    ``bits``: the 64 random bits of ``stochastic``, None elsewhere.
    """
    quotient, discarded = total >> shift, total % (1 << shift)
    if mode == STOCHASTIC:
        addend = (bits or 0) >> (64 - shift) if shift else 0
    else:
        addend = int(addends(np.asarray(shift), mode)[2 * (total < 0) + quotient % 2])
    value = (total + addend) >> shift
    kept_bits, discarded_bits = cut_bits(total, shift)
    decision = _decision(total, shift, quotient, discarded, mode, addend, value)
    return Rounding(total, shift, quotient, discarded, kept_bits, discarded_bits, mode, addend, decision, value)


def _decision(total: int, shift: int, quotient: int, discarded: int, mode: str, addend: int, value: int) -> str:
    double, unit = 2 * discarded, 1 << shift
    if not discarded:
        what = "nothing is discarded"
    elif double == unit:
        what = "exactly half a unit is discarded, a tie"
    else:
        what = f"{'less' if double < unit else 'more'} than half a unit is discarded"
    asked = f" (draw {addend} of {unit})" if mode == STOCHASTIC else ""
    if mode in MODES and discarded and (double == unit or not _nearest(mode)):
        asked = _asked(mode, total, quotient)
    result = f"stays at {quotient}" if value == quotient else f"goes up to {value}"
    return f"{what}; {mode} {mode_words(mode)}{asked}; {result}"


def _asked(mode: str, total: int, quotient: int) -> str:
    """What the mode looks at beside the discarded bits: the sign of the total, the parity of the quotient."""
    row = MODES[mode]
    sign = [f"the total is {'below 0' if total < 0 else '0 or more'}"] if row[:2] != row[2:] else []
    parity = [f"{quotient} is {'odd' if quotient % 2 else 'even'}"] if row[0::2] != row[1::2] else []
    return f" ({', '.join(sign + parity)})" if sign or parity else ""


def cut_bits(total: int, shift: int) -> tuple[str, str]:
    """A total in two's complement, cut into what the shift keeps and what it discards.

    >>> cut_bits(13, 2), cut_bits(-1, 2), cut_bits(5, 0)
    (('011', '01'), ('1', '11'), ('0101', ''))
    """
    width = max(signed_bits(total, total), shift + 1)
    text = format(total % (1 << width), f"0{width}b")
    return (text[: width - shift], text[width - shift :])
