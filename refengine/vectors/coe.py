"""Coefficient files (.coe) of AMD's memory generators: radix 16, a word a line, commas between, a semicolon at the end.

The reader takes what the writer writes and refuses everything else, with the line.
"""

from collections.abc import Iterable, Iterator

from ..text import PathLike, shown
from .memory import HEXADECIMAL, Array, Lines, Memory, Out, gathered, hex_digits, number_of, rows, with_last

_HEAD = ("memory_initialization_radix=16;", "memory_initialization_vector=")


def write(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words as a coefficient file."""
    out.write("".join(f"{line}\n" for line in _HEAD).encode())
    for _, words, last in with_last(chunks, memory.words):
        text = rows(hex_digits(words, memory.word_bits), b",\n")
        out.write(text[:-2] + b";\n" if last else text)


def read(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a coefficient file; FileError, with its line, for anything else."""
    with Lines(path) as lines:
        lines.expect(*_HEAD)
        yield from gathered(_numbers(lines, memory), memory, lines)
        lines.expect_end()


def _numbers(lines: Lines, memory: Memory) -> Iterator[int]:
    for count in range(1, memory.words + 1):
        line, end = lines.next(), b";" if count == memory.words else b","
        if not line.endswith(end):
            raise lines.error(f"holds {shown(line)[1:]}, needed a number and {shown(end)[1:]}")
        yield number_of(line[:-1], HEXADECIMAL, memory, lines)
