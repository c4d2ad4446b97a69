"""C headers: one constant array for each tensor, a word a line, C99 and later.

A word of up to 64 bits is an element of the narrowest unsigned type that holds it; where each word is one number in
two's complement, the type is signed and the numbers are decimal.  A wider word is a row of uint32_t, the lowest first.
The reader takes what the writer writes and refuses everything else, with the line.
"""

import re
from collections.abc import Iterable, Iterator

import numpy as np

from ..text import PathLike, shown
from .memory import Array, Lines, Memory, Out, checked, gathered, hex_digits, rows, with_last

_WIDTHS = (8, 16, 32, 64)
_LOWEST = "INT64_MIN"  # C has no literal for it
_LIMB = re.compile(rb"0x([0-9a-f]{8})")
_HEX = re.compile(rb"0x([0-9a-f]+)U?L*")
_DECIMAL = re.compile(rb"(-?[0-9]+)L*")


def write(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words as a C header."""
    out.write("".join(f"{line}\n" for line in _head(memory)).encode())
    for _, words, last in with_last(chunks, memory.words):
        text = _rows(words, memory)
        out.write(text[:-2] + b"\n" if last else text)
    out.write("".join(f"{line}\n" for line in _tail()).encode())


def read(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a C header; FileError, with its line, for anything else."""
    with Lines(path) as lines:
        lines.expect(*_head(memory))
        yield from gathered(_numbers(lines, memory), memory, lines)
        lines.expect(*_tail())
        lines.expect_end()


def _width(memory: Memory) -> int:
    """Bits of the element's type."""
    return next((width for width in _WIDTHS if width >= memory.word_bits), 32)


def _limbs(memory: Memory) -> int:
    """How many elements make a word, 0 where a word is one."""
    return 0 if memory.word_bits <= _WIDTHS[-1] else -(-memory.word_bits // 32)


def _signed(memory: Memory) -> bool:
    return memory.numbers and not _limbs(memory)


def _head(memory: Memory) -> tuple[str, ...]:
    name, limbs = memory.identifier, _limbs(memory)
    return (
        "/* made by refengine vectors; manifest.json says what the words hold */",
        f"#ifndef {name.upper()}_H",
        f"#define {name.upper()}_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define {name.upper()}_WORDS {memory.words}",
        f"#define {name.upper()}_WORD_BITS {memory.word_bits}",
        "",
        f"static const {'' if _signed(memory) else 'u'}int{_width(memory)}_t {name}[{memory.words}]"
        f"{f'[{limbs}]' if limbs else ''} = {{",
    )


def _tail() -> tuple[str, ...]:
    return "};", "", "#endif"


def _rows(words: Array, memory: Memory) -> bytes:
    if limbs := _limbs(memory):
        wide = np.zeros((len(words), 4 * limbs), np.uint8)
        wide[:, : words.shape[1]] = words
        parts = [hex_digits(wide[:, 4 * i : 4 * i + 4], 32) for i in range(limbs)]
        columns = [column for part in parts for column in (b", 0x", part)]
        return rows(b"  {0x", *columns[1:], b"},\n")
    if not _signed(memory):
        suffix = b"ULL" if _width(memory) == 64 else b"U"
        return rows(b"  0x", hex_digits(words, memory.word_bits), suffix, b",\n")
    suffix_of_numbers = "LL" if _width(memory) == 64 else ""
    texts = (f"{number}{suffix_of_numbers}" for number in _as_numbers(words, memory.word_bits))
    lowest = f"{-(2**63)}LL"
    return "".join(f"  {_LOWEST if text == lowest else text},\n" for text in texts).encode()


def _as_numbers(words: Array, word_bits: int) -> list[int]:
    """Words of up to 64 bits as numbers in two's complement."""
    wide = np.zeros((len(words), 8), np.uint8)
    wide[:, : words.shape[1]] = words
    beyond = 64 - word_bits
    return ((wide.view("<u8").reshape(-1) << np.uint64(beyond)).view(np.int64) >> beyond).tolist()


def _numbers(lines: Lines, memory: Memory) -> Iterator[int]:
    for count in range(1, memory.words + 1):
        line, end = lines.next(), b"" if count == memory.words else b","
        number = _number(line[2 : len(line) - len(end)], memory)
        if number is None or not (line.startswith(b"  ") and line.endswith(end)):
            comma = " and a comma" if end else " without a comma"
            raise lines.error(f"holds {shown(line)[1:]}, needed two spaces, one word{comma}")
        yield checked(number, memory, lines)


def _number(text: bytes, memory: Memory) -> int | None:
    """The word that a line stands for, None where it is none."""
    if limbs := _limbs(memory):
        parts = text[1:-1].split(b", ") if text[:1] == b"{" and text[-1:] == b"}" else []
        found = [_LIMB.fullmatch(part) for part in parts]
        if len(found) != limbs or not all(found):
            return None
        return sum(int(match[1], 16) << 32 * i for i, match in enumerate(found) if match)
    if _signed(memory):
        text = b"%dLL" % -(2**63) if text == _LOWEST.encode() else text
        match = _DECIMAL.fullmatch(text)
        number = int(match[1]) if match else None
        half = 1 << memory.word_bits - 1
        return None if number is None or not -half <= number < half else number % (2 * half)
    match = _HEX.fullmatch(text)
    return int(match[1], 16) if match else None
