"""How a DUT's files are to be read where they do not say it themselves: what the options of ``compare`` say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import RangeError
from ...text import shown
from ...vectors.words import ENDIANS, FIRSTS, MAX_WORD_BITS
from .axes import Order, order_of

RADICES = {"bin": 2, "dec": 10, "hex": 16}
_PACK = re.compile(r"([0-9]{1,4})(?:,(low|high)(?:-first)?)?")


@dataclass(frozen=True)
class Reading:
    """None, or what an option says.

    order: axes of every array of four axes.  radix: 2, 10 or 16.  word_bits, endian: of a word.  pack: codes of a word,
    and whether the first has its low or its high bits.  column: of a table, its name or its number from 0.
    any_integer_type: floats that are whole numbers count as integers.  names: golden's name of a layer -> the DUT's.
    layer, stage: of a file that is the whole dump.
    """

    order: Order | None = None
    radix: int | None = None
    word_bits: int | None = None
    endian: str | None = None
    pack: tuple[int, str] | None = None
    column: str | None = None
    any_integer_type: bool = False
    names: Mapping[str, str] = field(default_factory=dict)
    layer: str | None = None
    stage: str | None = None


def reading(
    order: str | None = None,
    radix: str | None = None,
    word_bits: int | None = None,
    endian: str | None = None,
    pack: str | None = None,
    column: str | None = None,
    any_integer_type: bool = False,
    names: Mapping[str, str] | None = None,
    layer: str | None = None,
    stage: str | None = None,
) -> Reading:
    """From the texts of options; RangeError for one that means nothing."""
    if radix is not None and radix not in RADICES:
        raise RangeError(f"--radix is {shown(radix)}, needed {', '.join(RADICES)}")
    if endian is not None and endian not in ENDIANS:
        raise RangeError(f"--endian is {shown(endian)}, needed {', '.join(ENDIANS)}")
    if word_bits is not None and not 1 <= word_bits <= MAX_WORD_BITS:
        raise RangeError(f"--word-bits is {word_bits}, needed 1..{MAX_WORD_BITS}")
    return Reading(
        None if order is None else order_of(order),
        None if radix is None else RADICES[radix],
        word_bits,
        endian,
        None if pack is None else _pack(pack),
        column,
        any_integer_type,
        dict(names or {}),
        layer,
        stage,
    )


def _pack(text: str) -> tuple[int, str]:
    """``4``, ``4,low-first`` or ``4,high-first``.

    >>> _pack("4"), _pack("8,high-first")
    ((4, 'low'), (8, 'high'))
    """
    found = _PACK.fullmatch(text.strip())
    if found is None or not 1 <= int(found[1]) <= MAX_WORD_BITS:
        raise RangeError(f"--pack is {shown(text)}, needed codes of a word, and which end is first: 4,low-first")
    first = found[2] or FIRSTS[0]
    return int(found[1]), first
