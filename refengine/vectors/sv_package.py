"""SystemVerilog packages: one for each tensor, its words as a constant array and as a function ``word(index)``.

Icarus Verilog has no constant arrays, so there the function looks the word up in rows of up to 64.  Either way the
words stand in the file once, in macros that the package takes and removes again.  The reader takes what the writer
writes and refuses everything else, with the line.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from ..text import PathLike, shown
from .memory import HEXADECIMAL, Array, Lines, Memory, Out, gathered, hex_digits, number_of, rows

_BITS_OF_A_ROW = 8192  # a line stays well below what Icarus reads
_WORDS_OF_A_ROW = 64


def write(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words as a package."""
    for number, words in enumerate(_regrouped(chunks, _size(memory))):
        start = _macro(memory, number).encode()
        text = rows(f", {memory.word_bits}'h".encode(), hex_digits(words, memory.word_bits))
        out.write(b"`define " + start + b" " + text[2:] + b"\n")
    for line in _package(memory):
        out.write(f"{line}\n".encode())


def read(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a package; FileError, with its line, for anything else."""
    with Lines(path) as lines:
        yield from gathered(_numbers(lines, memory), memory, lines)
        for line in _package(memory):
            lines.expect(line)
        lines.expect_end()


def _size(memory: Memory) -> int:
    """Words of a row."""
    return max(1, min(_WORDS_OF_A_ROW, _BITS_OF_A_ROW // memory.word_bits))


def _row_count(memory: Memory) -> int:
    return -(-memory.words // _size(memory))


def _macro(memory: Memory, row: int) -> str:
    return f"{memory.identifier}_row_{row}"


def _regrouped(chunks: Iterable[Array], size: int) -> Iterator[Array]:
    """The same words, ``size`` at a time."""
    left: Array | None = None
    for chunk in chunks:
        joined = chunk if left is None else np.concatenate([left, chunk])
        whole = len(joined) - len(joined) % size
        yield from (joined[i : i + size] for i in range(0, whole, size))
        left = joined[whole:]
    if left is not None and len(left):
        yield left


def _package(memory: Memory) -> Iterator[str]:
    """Every line after the macros."""
    name, bits, size, count = memory.identifier, memory.word_bits, _size(memory), _row_count(memory)
    yield "// made by refengine vectors; manifest.json says what the words hold"
    yield f"package {name}_pkg;"
    yield f"  localparam int WORDS = {memory.words};"
    yield f"  localparam int WORD_BITS = {bits};"
    yield "`ifdef __ICARUS__"
    yield f"  function automatic logic [{bits - 1}:0] word(input int index);"
    yield f"    logic [0:{size * bits - 1}] row;"
    yield f"    case (index / {size})"
    for row in range(count):
        missing = size * (row + 1) - memory.words
        zeros = f", {missing * bits}'b0" if missing > 0 else ""
        yield f"      {row}: row = {{`{_macro(memory, row)}{zeros}}};"
    yield "      default: row = 'x;"
    yield "    endcase"
    yield f"    return row[index % {size} * {bits} +: {bits}];"
    yield "  endfunction"
    yield "`else"
    yield f"  localparam logic [{bits - 1}:0] DATA [0:{memory.words - 1}] = '{{"
    for row in range(count):
        yield f"    `{_macro(memory, row)}{',' if row < count - 1 else ''}"
    yield "  };"
    yield f"  function automatic logic [{bits - 1}:0] word(input int index);"
    yield "    return DATA[index];"
    yield "  endfunction"
    yield "`endif"
    yield "endpackage"
    for row in range(count):
        yield f"`undef {_macro(memory, row)}"


def _numbers(lines: Lines, memory: Memory) -> Iterator[int]:
    size, prefix = _size(memory), f"{memory.word_bits}'h".encode()
    for row in range(_row_count(memory)):
        line, start = lines.next(), f"`define {_macro(memory, row)} ".encode()
        words = line[len(start) :].split(b", ")
        wanted = min(size, memory.words - row * size)
        if not line.startswith(start) or len(words) != wanted:
            raise lines.error(f"holds {shown(line)[1:]}, needed {shown(start)[1:]} and {wanted} words")
        for word in words:
            if not word.startswith(prefix):
                raise lines.error(f"holds {shown(word)[1:]}, needed {shown(prefix)[1:]} and digits")
            yield number_of(word[len(prefix) :], HEXADECIMAL, memory, lines)
