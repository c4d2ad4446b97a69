"""Files for Verilog's $readmemh and $readmemb (IEEE 1800, clause 21.4): a word a line, hexadecimal or binary digits.

What is written has no comments and no addresses, so that line n is word n - 1 and any tool can read it.  The reader
takes what simulators write too: comments, ``@address`` where it does not leave a gap, several words a line,
underscores; x and z are refused.
"""

from collections.abc import Iterable, Iterator

from ..text import PathLike, shown
from .memory import BINARY, HEXADECIMAL, Array, Lines, Memory, Out, binary_digits, gathered, hex_digits, number_of, rows


def write_hex(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words for $readmemh."""
    for words in chunks:
        if len(words):
            out.write(rows(hex_digits(words, memory.word_bits), b"\n"))


def write_binary(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words for $readmemb."""
    for words in chunks:
        if len(words):
            out.write(rows(binary_digits(words, memory.word_bits), b"\n"))


def read_hex(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a file for $readmemh; FileError, with its line, for anything that is no word."""
    return _read(path, memory, HEXADECIMAL)


def read_binary(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a file for $readmemb; FileError, with its line, for anything that is no word."""
    return _read(path, memory, BINARY)


def _read(path: PathLike, memory: Memory, radix: int) -> Iterator[Array]:
    with Lines(path) as lines:
        yield from gathered(_numbers(lines, memory, radix), memory, lines)


def _numbers(lines: Lines, memory: Memory, radix: int) -> Iterator[int]:
    count = 0
    for token in _tokens(lines):
        if token.startswith(b"@"):
            address = number_of(token[1:], HEXADECIMAL, Memory("address", 64, 0), lines)
            if address != count:
                raise lines.error(f"holds {shown(token)[1:]}, needed the next address, {count:x}")
        else:
            yield number_of(token, radix, memory, lines)
            count += 1


def _tokens(lines: Lines) -> Iterator[bytes]:
    """What white space separates, comments left out."""
    inside = False
    for line in lines:
        if inside or b"/" in line:
            line, inside = _without_comments(line, inside)
        yield from line.split()
    if inside:
        raise lines.error("is within a comment that does not end")


def _without_comments(line: bytes, inside: bool) -> tuple[bytes, bool]:
    """The line without ``//`` and ``/* */``, and whether a comment goes on after it."""
    kept = b""
    while line:
        if inside:
            _, end, line = line.partition(b"*/")
            inside = not end
            continue
        starts = [at for at in (line.find(b"//"), line.find(b"/*")) if at >= 0]
        if not starts:
            return kept + line, False
        at = min(starts)
        kept += line[:at] + b" "
        if line[at : at + 2] == b"//":
            return kept, False
        line, inside = line[at + 2 :], True
    return kept, inside
