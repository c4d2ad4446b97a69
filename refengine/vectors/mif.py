"""Memory initialization files (.mif) of Intel's Quartus: width, depth, then ``address : word;``, all hexadecimal.

The reader takes what the writer writes and refuses everything else, with the line.
"""

from collections.abc import Iterable, Iterator

from ..text import PathLike, shown
from .memory import HEXADECIMAL, Array, Lines, Memory, Out, gathered, hex_digits, number_of, numbered, rows, with_last

_END = "END;"


def write(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words as a memory initialization file."""
    out.write("".join(f"{line}\n" for line in _head(memory)).encode())
    for first, words, _ in with_last(chunks, memory.words):
        addresses = numbered(first, len(words), _address_digits(memory))
        out.write(rows(addresses, b" : ", hex_digits(words, memory.word_bits), b";\n"))
    out.write(f"{_END}\n".encode())


def read(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a memory initialization file; FileError, with its line, for anything else."""
    with Lines(path) as lines:
        lines.expect(*_head(memory))
        yield from gathered(_numbers(lines, memory), memory, lines)
        lines.expect(_END)
        lines.expect_end()


def _head(memory: Memory) -> tuple[str, ...]:
    radix = ("ADDRESS_RADIX = HEX;", "DATA_RADIX = HEX;")
    return f"WIDTH = {memory.word_bits};", f"DEPTH = {memory.words};", *radix, "CONTENT BEGIN"


def _address_digits(memory: Memory) -> int:
    return len(f"{max(0, memory.words - 1):x}")


def _numbers(lines: Lines, memory: Memory) -> Iterator[int]:
    digits = _address_digits(memory)
    for address in range(memory.words):
        line, start = lines.next(), b"%0*x : " % (digits, address)
        if not (line.startswith(start) and line.endswith(b";")):
            raise lines.error(f"holds {shown(line)[1:]}, needed {shown(start)[1:]}, a number and ';'")
        yield number_of(line[len(start) : -1], HEXADECIMAL, memory, lines)
