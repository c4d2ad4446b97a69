"""Files for Verilog's $readmemh and $readmemb (IEEE 1800, clause 21.4): a word a line, hexadecimal or binary digits.

What is written has no comments and no addresses, so that line n is word n - 1 and any tool can read it.  The reader of
packs takes what simulators write too: comments, ``@address`` where it does not leave a gap, several words a line,
underscores; x and z are refused.  ``ReadmemGrammar`` takes any text of numbers, and names what is not legal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import FileError
from ..text import PathLike, shown
from .memory import BINARY, HEXADECIMAL, Array, Memory, Out, binary_digits, hex_digits, rows
from .word_text import RADIX_NAMES, Grammar, Tokens, blank, chunks, lines_before

_BOM = b"\xef\xbb\xbf"
_COMMENT = re.compile(rb"//[^\n]*|/\*[\s\S]*?\*/")
_HASH, _DASHES = re.compile(rb"#[^\n]*"), re.compile(rb"--[^\n]*")
_LITERAL = re.compile(rb"\b[0-9]*'[sS]?([hHdDbB])[ \t]*")
_BASES = {b"h": HEXADECIMAL, b"d": 10, b"b": BINARY}


def write_hex(out: Out, memory: Memory, chunks_of_words: Iterable[Array]) -> None:
    """Words for $readmemh."""
    for words in chunks_of_words:
        if len(words):
            out.write(rows(hex_digits(words, memory.word_bits), b"\n"))


def write_binary(out: Out, memory: Memory, chunks_of_words: Iterable[Array]) -> None:
    """Words for $readmemb."""
    for words in chunks_of_words:
        if len(words):
            out.write(rows(binary_digits(words, memory.word_bits), b"\n"))


def read_hex(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a file for $readmemh; FileError, with its line, for anything that is no word."""
    return strictly(path, ReadmemGrammar(), memory, HEXADECIMAL)


def read_binary(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a file for $readmemb; FileError, with its line, for anything that is no word."""
    return strictly(path, ReadmemGrammar(), memory, BINARY)


@dataclass(eq=False)
class ReadmemGrammar(Grammar):
    """Comments of C++; commas and semicolons after words, ``#`` and ``--`` comments, a BOM, literals are habits."""

    _inside: bool = False

    def clean(self, block: bytes, line: int) -> bytes:
        """Without comments and prefixes of literals."""
        if line == 1 and block.startswith(_BOM):
            self.habit(1, "a byte order mark")
            block = block[len(_BOM) :]
        if self._inside:
            end = block.find(b"*/")
            if end < 0:
                return b"\n" * block.count(b"\n")
            block = b"\n" * block.count(b"\n", 0, end) + b" " + block[end + 2 :]
            self._inside = False
        if b"/" in block:
            block = _COMMENT.sub(blank if b"/*" in block else b" ", block)
            start = block.find(b"/*")
            if start >= 0:
                self._inside = True
                block = block[:start] + b"\n" * block.count(b"\n", start)
        for mark, comment in ((b"#", _HASH), (b"--", _DASHES)):
            if mark in block:
                self.habit(line + lines_before(block, block.index(mark)), f"a comment after '{mark.decode()}'")
                block = comment.sub(b" ", block)
        for separator in (b",", b";"):
            if separator in block:
                self.habit(line + lines_before(block, block.index(separator)), f"{separator.decode()!r} after a word")
        if b"'" in block:
            block = self._without_literals(block, line)
        return block

    def end(self, line: int) -> None:
        """FileError within a comment."""
        if self._inside:
            raise self.error(line, "is within a comment that does not end")

    def _without_literals(self, block: bytes, line: int) -> bytes:
        first = _LITERAL.search(block)
        bases = {base.lower() for base in _LITERAL.findall(block)}
        if first is None or len(bases) > 1 or self.radix not in (None, _BASES[min(bases)]):
            place = block.index(b"'")
            raise self.error(line + lines_before(block, place), f"holds {shown(block[place : place + 8])[1:]}")
        self.radix = _BASES[min(bases)]
        self.habit(line + lines_before(block, first.start()), f"a literal of Verilog, {first[0].decode()}...,")
        return _LITERAL.sub(b"", block)


def strictly(path: PathLike, grammar: Grammar, memory: Memory, radix: int) -> Iterator[Array]:
    """The words that a memory must have, no more and no less; FileError for whatever is not legal in such a file."""
    count = 0
    for chunk in chunks(path, grammar, radix, memory.word_bytes):
        tokens = chunk.tokens
        for line, what in grammar.habits:
            raise grammar.error(line, f"holds {what}")
        for place, address in chunk.addresses:
            if address != count + place:
                line = tokens.line_of(place) if place < len(chunk.words) else tokens.line
                raise grammar.error(line, f"comes after '@{address:x}', needed the next address, {count + place:x}")
        if chunk.unknown is not None:
            raise tokens.refusal(int(chunk.unknown.any(axis=1).argmax()), f"{RADIX_NAMES[radix]} digits")
        if count + len(chunk.words) > memory.words:
            line = tokens.line_of(memory.words - count)
            raise grammar.error(line, f"begins word {memory.words + 1}, needed are {memory.words} words")
        _check_width(chunk.words, memory, tokens)
        count += len(chunk.words)
        yield chunk.words
    for line, what in grammar.habits:
        raise grammar.error(line, f"holds {what}")
    if count < memory.words:
        raise FileError(f"{grammar.name}: holds {count} words, needed {memory.words}")


def _check_width(words: Array, memory: Memory, tokens: Tokens) -> None:
    beyond = 8 * memory.word_bytes - memory.word_bits
    if not beyond or not len(words):
        return
    wide = words[:, -1] >> (8 - beyond) != 0
    if wide.any():
        word = int(wide.argmax())
        bits = int.from_bytes(words[word].tobytes(), "little").bit_length()
        raise tokens.grammar.error(
            tokens.line_of(word), f"holds a number of {bits} bits, a word has {memory.word_bits}"
        )
