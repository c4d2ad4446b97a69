"""How a DUT's files are to be read where they do not say it themselves: what the options of ``compare`` say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import RangeError
from ...text import shown
from ...vectors.orders import Order, order_of
from ...vectors.words import ENDIANS, FIRSTS, MAX_WORD_BITS
from .waves import Handshake

RESULT = "result"  # the stage that a layer ends in
RADICES = {"bin": 2, "dec": 10, "hex": 16}
_PACK = re.compile(r"([0-9]{1,4})(?:,(low|high)(?:-first)?)?")


@dataclass(frozen=True)
class Reading:
    """None, or what an option says.

    order: axes of every array of four axes.  radix: 2, 10 or 16.  word_bits, endian: of a word.  pack: codes of a word,
    and whether the first has its low or its high bits.  column: of a table, its name or its number from 0.
    any_integer_type: floats that are whole numbers count as integers.  names: golden's name of a layer -> the DUT's.
    layer, stage: of a file that is the whole dump.  handshake: the signals of waves.
    base: the address of word 0 in files with addresses.
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
    handshake: Handshake | None = None
    base: int = 0


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
    clock: str | None = None,
    valid: str | None = None,
    ready: str | None = None,
    data: Sequence[str] = (),
    base: str | None = None,
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
        _handshake(clock, valid, ready, data),
        0 if base is None else _address(base),
    )


def _address(text: str) -> int:
    try:
        found = int(text, 0)
    except ValueError:
        found = -1
    if not 0 <= found < 1 << 62:
        raise RangeError(f"--base is {shown(text)}, needed an address, as 256 or 0x100")
    return found


def _handshake(clock: str | None, valid: str | None, ready: str | None, data: Sequence[str]) -> Handshake | None:
    if clock is None and not data and valid is None and ready is None:
        return None
    if clock is None or not data:
        raise RangeError("--clock and --data are needed to sample waves, and --valid where not every clock has a word")
    signals: dict[str, str] = {}
    for text in data:
        stage, equals, signal = text.partition("=")
        name = stage if equals else RESULT
        if name in signals:
            raise RangeError(f"--data is given twice for stage {shown(name)}, needed --data STAGE=SIGNAL")
        signals[name] = signal if equals else text
    return Handshake(clock, signals, valid, ready)


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
