"""A right shift of negative numbers in C, where ``>>`` is the compiler's choice: ``x < 0 ? ~(~x >> s) : x >> s``.

Both shifts are those of unsigned numbers, which the language defines; a shift as long as the word it does not define,
and the proof then lets it be anything.
"""

import subprocess
from pathlib import Path
from shutil import which

import pytest
from symbolic import chosen, counterexample, number, proved, within, word, z3

pytestmark = pytest.mark.slow

WIDTHS = pytest.mark.parametrize("width", [8, 16, 32, 64])

SHIFT_IN_C = """
#include <stdint.h>
#include <stdio.h>

static int32_t shift_right(int32_t x, unsigned s)
{
    uint32_t u = (uint32_t)x;
    uint32_t shifted = x < 0 ? ~(~u >> s) : u >> s;
    return shifted <= 0x7fffffffu ? (int32_t)shifted : -(int32_t)(~shifted) - 1;
}

int main(void)
{
    long x;
    unsigned s;
    while (scanf("%ld %u", &x, &s) == 2)
        printf("%ld\\n", (long)shift_right((int32_t)x, s));
    return 0;
}
"""


def shifted_in_c(x, s):
    """C's ``>>`` of an unsigned word: zeros come in, and a shift of the word's width or more may give anything."""
    undefined = word("undefined", x.width)
    unsigned = z3.LShR(x.term, s.term)
    return chosen(s < x.width, type(x)(unsigned), undefined)


def portable(x, s):
    """The formula, in the words of the language."""
    return chosen(x < 0, ~shifted_in_c(~x, s), shifted_in_c(x, s))


@WIDTHS
def test_the_portable_shift_floors(width):
    """The floored quotient by ``2**s``, as ``q`` with ``q * 2**s <= x < (q + 1) * 2**s``, in twice the bits."""
    x, s = word("x", width), word("s", width)
    wide, shift = 2 * width + 2, s.widened(2 * width + 2)
    least = portable(x, s).widened(wide) << shift
    claim = (least <= x.widened(wide)) & (x.widened(wide) < least + (number(1, wide) << shift))
    proved(claim, within(s, 0, width - 1))
    assert counterexample(claim, within(s, 0, width))["s"] == width


@WIDTHS
def test_the_portable_shift_is_the_arithmetic_shift(width):
    """What NumPy, Numba and processors do; a shift of the numbers as they stand, without the complement, is not it."""
    x, s = word("x", width), word("s", width)
    proved(portable(x, s) == x >> s, within(s, 0, width - 1))
    assert counterexample(shifted_in_c(x, s) == x >> s, within(s, 0, width - 1))["x"] < 0


@WIDTHS
def test_an_unsigned_word_becomes_signed_without_overflow(width):
    """``u <= MAX ? u : -~u - 1``: every intermediate number is one that the signed type has."""
    u = word("u", width, signed=False)
    top = 2 ** (width - 1) - 1
    magnitude = (~u).widened(width + 2)
    as_signed = number(0, width + 2) - magnitude - 1
    wanted = u.astype(f"i{width // 8}").widened(width + 2)
    proved(within(magnitude, 0, top) & (as_signed == wanted), u > top)
    assert counterexample(within(magnitude, 0, top), u > top - 1) == {"u": top}


@pytest.mark.skipif(which("cc") is None, reason="no C compiler")
def test_a_compiler_agrees(tmp_path: Path):
    """The formula, compiled: every int16, the ends of int32 and beside them, at every shift."""
    source, program = tmp_path / "shift.c", tmp_path / "shift"
    source.write_text(SHIFT_IN_C)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "-o", program, source], check=True)
    numbers = [*range(-(2**15), 2**15, 97), -(2**31), -(2**31) + 1, 2**31 - 1, -1, 0, 1]
    cases = [(x, s) for x in numbers for s in range(32)]
    text = "".join(f"{x} {s}\n" for x, s in cases)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    assert [int(line) for line in done.stdout.split()] == [x >> s for x, s in cases]
