"""In which radix the numbers of a text are: by what its characters say, then by what its name says.

Nothing here looks at whether the numbers are the golden's.  Where characters leave two readings that are not the same
numbers, the ending of the name decides and the reader is told, with the option that says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import FileError
from ...vectors.word_text import BINARY, DECIMAL, HEXADECIMAL, RADIX_NAMES, Survey
from .expected import Expected

FLOATS = 0  # no radix: numbers with a decimal point
OPTION = {BINARY: "bin", DECIMAL: "dec", HEXADECIMAL: "hex"}
HEX_ENDINGS = (".memh", ".hex", ".mem")
BINARY_ENDINGS = (".memb",)


@dataclass(frozen=True)
class Radix:
    """2, 10 or 16, or FLOATS; note: what is to be said where another reading was possible."""

    radix: int
    note: str | None = None


def radix_of(found: Survey, ending: str, expected: Expected, place: str, asked: int | None) -> Radix:
    """The radix of a text that was looked at; FileError where it may be two things and nothing says which."""
    if asked is not None or found.radix is not None:
        return Radix(asked or found.radix or DECIMAL)
    if found.points:
        return Radix(FLOATS)
    if found.signs:
        return Radix(DECIMAL)
    if found.letters or found.prefixed:
        return Radix(HEXADECIMAL)
    if ending in BINARY_ENDINGS:
        return Radix(BINARY)
    if found.largest is not None and found.largest <= 1 and not found.unknowns:
        return Radix(HEXADECIMAL if ending in HEX_ENDINGS else BINARY if found.longest >= expected.bits else DECIMAL)
    return _of_digits(found, ending, expected, place)


def _of_digits(found: Survey, ending: str, expected: Expected, place: str) -> Radix:
    """Of words of digits alone, which are numbers in several radices."""
    fixed = found.shortest == found.longest
    one_digit = found.longest <= 1
    # no stage has more than 64 bits, so that more than 16 digits are binary ones
    written_by_b = found.binary and fixed and (found.longest >= max(2, expected.bits) or found.longest > 16)
    written_by_h = fixed and found.longest >= -(-expected.bits // 4)
    fits_hex = _fits(found, expected, fixed)
    if ending in HEX_ENDINGS:
        if written_by_b and (ending != ".memh" or found.longest == expected.bits) and ending != ".hex":
            return _said(BINARY, HEXADECIMAL, place, f"each word has {found.longest} binary digits")
        if fits_hex or fixed or found.unknowns:
            return Radix(HEXADECIMAL)
        return _said(DECIMAL, HEXADECIMAL, place, "as hexadecimal they are too large")
    if written_by_b:
        other = found.largest is not None and int(str(found.largest), 16) < 1 << expected.bits
        return _said(BINARY, HEXADECIMAL, place, "") if other else Radix(BINARY)
    if found.unknown_digits:
        return Radix(HEXADECIMAL)  # decimal numbers have no unknown digits, only unknown words
    if found.padded and written_by_h:
        return Radix(HEXADECIMAL) if one_digit else _said(HEXADECIMAL, DECIMAL, place, "they begin with zeros")
    if found.padded and fits_hex:
        raise FileError(
            f"{place}: its numbers may be decimal or hexadecimal, they begin with zeros and differ in length: "
            "--radix dec or --radix hex says which"
        )
    if one_digit or not fits_hex:
        return Radix(DECIMAL)
    return _said(DECIMAL, HEXADECIMAL, place, "")


def _fits(found: Survey, expected: Expected, fixed: bool) -> bool:
    """Whether the largest number, read as hexadecimal, is one of a word."""
    if found.largest is None:
        return False
    bits = max(expected.bits, expected.packing.word_bits, 4 * found.longest if fixed and found.padded else 0)
    return int(str(found.largest), 16) < 1 << bits


def _said(radix: int, other: int, place: str, because: str) -> Radix:
    reason = f", because {because}" if because else ""
    return Radix(
        radix,
        f"{place}: its digits are read as {RADIX_NAMES[radix]}{reason}; "
        f"--radix {OPTION[other]} reads them as {RADIX_NAMES[other]}",
    )
