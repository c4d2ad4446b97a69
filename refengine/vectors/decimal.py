"""Decimal files (.dat): a word a line, as C's ``%d`` and VHDL's textio read them.

Where each word is one number in two's complement, and where it has 64 bits, the number is signed, so that an int64
holds it; otherwise the word's bits are an unsigned one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..text import PathLike, shown
from .memory import Array, Lines, Memory, Out, gathered

_NUMBER = re.compile(rb"-?(0|[1-9][0-9]{0,1300})")


def write(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words as decimal numbers."""
    for words in chunks:
        numbers = (int.from_bytes(word.tobytes(), "little") for word in words)
        out.write("".join(f"{_signed(number, memory)}\n" for number in numbers).encode())


def read(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a file; FileError, with its line, for anything that is no such number."""
    with Lines(path) as lines:
        yield from gathered(_numbers(lines, memory), memory, lines)


def _is_signed(memory: Memory) -> bool:
    return memory.numbers or memory.word_bits == 64


def _signed(number: int, memory: Memory) -> int:
    negative = _is_signed(memory) and number >= 1 << memory.word_bits - 1
    return number - (1 << memory.word_bits) if negative else number


def _numbers(lines: Lines, memory: Memory) -> Iterator[int]:
    whole = 1 << memory.word_bits
    low, high = (-(whole // 2), whole // 2) if _is_signed(memory) else (0, whole)
    for line in lines:
        number = int(line) if _NUMBER.fullmatch(line) else None
        if number is None or not low <= number < high:
            raise lines.error(f"holds {shown(line)[1:]}, needed a decimal number in {low}..{high - 1}")
        yield number % whole
