"""A real factor as an integer multiplier and a right shift (contract, section Rescale).

    factor ~ multiplier / 2**shift,      2**(bits-1) <= multiplier < 2**bits,      0 <= shift <= 62

Derived from exact rationals, so the same factor gives the same pair on every machine.
"""

from fractions import Fraction

from ..errors import RangeError
from .rounding import MAX_SHIFT, nearest

MULTIPLIER_BITS = (*range(1, 16), 31)


def check_multiplier_bits(bits: int) -> int:
    """Return ``bits`` if a multiplier may have that width (1 to 15, and 31); RangeError otherwise."""
    if bits not in MULTIPLIER_BITS:
        raise RangeError(f"a multiplier has 1 to 15 or 31 bits, found {bits}")
    return bits


def multiplier_and_shift(factor: Fraction, bits: int, max_shift: int = MAX_SHIFT) -> tuple[int, int]:
    """The pair nearest to a factor >= 0 (contract S1-S3).

    A factor too small for ``max_shift`` gets a multiplier below its normal range, in the end 0.  RangeError for a
    negative factor and for one of ``2**bits - 1/2`` or more, which no right shift can express.

    >>> multiplier_and_shift(Fraction(1, 3), 8), multiplier_and_shift(Fraction(1, 4), 1)
    ((171, 9), (1, 2))
    """
    check_multiplier_bits(bits)
    if factor < 0:
        raise RangeError(f"a multiplier is unsigned, found the factor {factor}")
    if factor == 0:
        return 0, 0
    shift = min(bits - 1 - _floor_log2(factor), max_shift)
    multiplier = _at_shift(factor, shift)
    if multiplier == 1 << bits:
        multiplier, shift = multiplier >> 1, shift - 1
    if shift < 0:
        raise RangeError(f"the factor {factor} exceeds the largest multiplier of {bits} bits, {2**bits - 1}")
    return multiplier, shift


def _floor_log2(factor: Fraction) -> int:
    """The integer e with 2**e <= factor < 2**(e+1)."""
    e = factor.numerator.bit_length() - factor.denominator.bit_length()
    return e if factor >= power_of_two(e) else e - 1


def power_of_two(exponent: int) -> Fraction:
    """2**exponent, exactly, for any integer exponent."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def _at_shift(factor: Fraction, shift: int) -> int:
    scaled = factor * power_of_two(shift)
    return nearest(scaled.numerator, scaled.denominator)


def smallest_exponent(value: Fraction, top: int) -> int:
    """The smallest e with value <= top * 2**e (contract N4); value > 0.

    >>> [smallest_exponent(Fraction(value), 127) for value in (1, 127, 128)]
    [-6, 0, 1]
    """
    ratio = Fraction(value, top)
    e = _floor_log2(ratio)
    return e if ratio == power_of_two(e) else e + 1
