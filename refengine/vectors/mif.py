"""Memory initialization files (.mif) of Intel's Quartus: width, depth, then ``address : word;``, all hexadecimal.

``MifGrammar`` takes the vendor's whole grammar: comments, four radices, ``address : word word;``, ``[a..b] : word;``.
The reader of packs demands the width, the depth and the words of its memory, hexadecimal and in order.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import FileError
from ..text import PathLike, shown
from .memory import HEXADECIMAL, Array, Memory, Out, hex_digits, numbered, rows, with_last
from .readmem import strictly
from .word_text import Grammar, lines_before

_RADICES = {b"BIN": 2, b"DEC": 10, b"UNS": 10, b"HEX": 16}
_KEY = re.compile(rb"(\w+)\s*=\s*(\w+)\s*;")
_BEGIN = re.compile(rb"\bCONTENT\s+BEGIN\b", re.IGNORECASE)
_LAST_WORD = re.compile(rb"\bEND\s*;", re.IGNORECASE)
_COMMENT = re.compile(rb"--[^\n]*|%[^%]*%")
_RANGE = re.compile(rb"\[\s*(\w+)\s*\.\.\s*(\w+)\s*\]\s*:\s*([^;]*);")
_PLACE = re.compile(rb"(\w+)\s*:")
_MOST_DEPTH = 1 << 28

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
    grammar = MifGrammar()
    for words in strictly(path, grammar, memory, HEXADECIMAL):
        found = (grammar.width, grammar.depth, grammar.radix)
        if found != (memory.word_bits, memory.words, HEXADECIMAL):
            raise FileError(f"{grammar.name}: has width, depth and radix {found}, needed {', '.join(_head(memory))}")
        yield words


@dataclass(eq=False)
class MifGrammar(Grammar):
    """Keys, then ``address : words;`` between CONTENT BEGIN and END, which become ``@address words``."""

    _begun: bool = False
    _ended: bool = False

    def clean(self, block: bytes, line: int) -> bytes:
        """The addresses and words of the content alone."""
        if b"--" in block or b"%" in block:
            block = _COMMENT.sub(lambda match: b"\n" * match[0].count(b"\n") or b" ", block)
        if not self._begun:
            block = self._without_head(block, line)
        end = None if self._ended else _LAST_WORD.search(block)
        rest = block if self._ended else block[end.end() :] if end is not None else b""
        if rest.strip():
            place = len(block) - len(rest.lstrip())
            raise self.error(line + lines_before(block, place), f"holds {shown(rest.strip()[:20])[1:]}, needed the end")
        if end is not None or self._ended:
            stop = 0 if end is None else end.start()
            block, self._ended = block[:stop] + b"\n" * block.count(b"\n", stop), True
        if b"[" in block:
            block = _RANGE.sub(self._repeated, block)
        block = _PLACE.sub(rb"@\1 ", block)
        stray = next((one for one in (b":", b"[", b"]") if one in block), None)
        if stray is not None:
            place = block.index(stray)
            raise self.error(line + lines_before(block, place), f"holds {stray.decode()!r}, needed address : word;")
        return block

    def _without_head(self, block: bytes, line: int) -> bytes:
        begin = _BEGIN.search(block)
        head = block[: begin.start()] if begin is not None else block[:80]
        found = [(key.upper(), value.upper()) for key, value in _KEY.findall(head)]
        keys = dict(found)
        if len(found) > len(keys):
            raise self.error(line, f"holds {shown(head[:60])[1:]}, needed each key once")
        if begin is None or not {b"WIDTH", b"DEPTH"} <= {*keys} or _KEY.sub(b"", head).strip():
            raise self.error(line, f"holds {shown(head[:40])[1:]}, needed WIDTH, DEPTH and CONTENT BEGIN")
        radices = [keys.get(key, b"HEX") for key in (b"ADDRESS_RADIX", b"DATA_RADIX")]
        numbers = [keys[key] for key in (b"WIDTH", b"DEPTH")]
        if not {*radices} <= {*_RADICES} or not all(number.isdigit() and len(number) < 10 for number in numbers):
            raise self.error(
                line, f"holds {shown(head[:60])[1:]}, needed radices {', '.join(map(bytes.decode, _RADICES))}"
            )
        self.address_radix, self.radix = (_RADICES[radix] for radix in radices)
        for key in {b"ADDRESS_RADIX", b"DATA_RADIX"} - {*keys}:
            self.habit(line, f"no {key.decode()}, taken for HEX,")
        self.width, self.depth = map(int, numbers)
        self._begun = True
        return b"\n" * block.count(b"\n", 0, begin.end()) + b" " + block[begin.end() :]

    def _repeated(self, match: "re.Match[bytes]") -> bytes:
        """``[a..b] : words;`` written out."""
        try:
            first, last = (int(match[group], self.address_radix) for group in (1, 2))
        except ValueError:
            return match[0]
        words = match[3].split()
        if not words or not 0 <= last - first < min(self.depth or 0, _MOST_DEPTH):
            return match[0]
        times = -(-(last - first + 1) // len(words))
        return b"@%s %s %s" % (match[1], b" ".join((words * times)[: last - first + 1]), b"\n" * match[0].count(b"\n"))

    def end(self, line: int) -> None:
        """FileError where the content does not end; a file without END is one that was cut."""
        if not self._ended:
            raise self.error(line, "the file ends here, needed 'END;'")


def _head(memory: Memory) -> tuple[str, ...]:
    radix = ("ADDRESS_RADIX = HEX;", "DATA_RADIX = HEX;")
    return f"WIDTH = {memory.word_bits};", f"DEPTH = {memory.words};", *radix, "CONTENT BEGIN"


def _address_digits(memory: Memory) -> int:
    return len(f"{max(0, memory.words - 1):x}")
