"""Coefficient files (.coe) of AMD's memory generators: radix 16, a word a line, commas between, then a semicolon.

``CoeGrammar`` takes the vendor's whole grammar: comments, radix 2, 10 or 16, commas or blanks between words.  The
reader of packs demands radix 16, a semicolon at the end, and the words of its memory.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import FileError
from ..text import PathLike, shown
from .memory import HEXADECIMAL, Array, Memory, Out, hex_digits, rows, with_last
from .readmem import strictly
from .word_text import Grammar, blank, lines_before

_COMMENT = re.compile(rb"(?m)^[ \t]*;[^\n]*")
_HEADER = re.compile(
    rb"\A\s*(?:memory_initialization_radix\s*=\s*(\d+)\s*;)?\s*memory_initialization_vector\s*=", re.IGNORECASE
)
_HEAD = ("memory_initialization_radix=16;", "memory_initialization_vector=")


def write(out: Out, memory: Memory, chunks: Iterable[Array]) -> None:
    """Words as a coefficient file."""
    out.write("".join(f"{line}\n" for line in _HEAD).encode())
    for _, words, last in with_last(chunks, memory.words):
        text = rows(hex_digits(words, memory.word_bits), b",\n")
        out.write(text[:-2] + b";\n" if last else text)


def read(path: PathLike, memory: Memory) -> Iterator[Array]:
    """The words of a coefficient file of radix 16; FileError, with its line, for anything else."""
    grammar = CoeGrammar()
    for words in strictly(path, grammar, memory, HEXADECIMAL):
        if grammar.radix != HEXADECIMAL:
            raise FileError(f"{grammar.name}: has radix {grammar.radix}, needed {HEXADECIMAL}")
        yield words


@dataclass(eq=False)
class CoeGrammar(Grammar):
    """Keywords, then words up to a semicolon; lines that begin with a semicolon are comments."""

    _begun: bool = False
    _ended: bool = False

    def clean(self, block: bytes, line: int) -> bytes:
        """The words of the vector alone."""
        if not self._begun:
            block = _COMMENT.sub(b" ", block)
            found = _HEADER.match(block)
            if found is None:
                raise self.error(line, f"holds {shown(block[:40])[1:]}, needed {_HEAD[0]!r} and {_HEAD[1]!r}")
            self.radix = int(found[1] or 10)
            if self.radix not in (2, 10, 16):
                raise self.error(line, f"holds radix {self.radix}, needed 2, 10 or 16")
            self._begun = True
            block = blank(found) + block[found.end() :]
        end = 0 if self._ended else block.find(b";")
        if end < 0:
            return block
        after = block[end:].lstrip(b" ;\t\r\n") if not self._ended else block.strip()
        if after:
            place = len(block) - len(after)
            raise self.error(
                line + lines_before(block, place), f"holds {shown(after.strip()[:20])[1:]}, needed the end"
            )
        self._ended = True
        return block[:end] + b"\n" * block.count(b"\n", end)

    def end(self, line: int) -> None:
        """A vector that does not end is a habit; FileError where there is none."""
        if not self._begun:
            raise self.error(line, f"the file ends here, needed {_HEAD[1]!r}")
        if not self._ended:
            self.habit(line, "no semicolon at the end")
