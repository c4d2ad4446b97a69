"""Reads a pickle that holds nothing but data: numbers, texts, lists, tuples, dicts and NumPy arrays of bytes.

A pickle is a program for a small stack machine, and its words GLOBAL and REDUCE call any function by name.  This
machine has no such words: it knows the codes that the pickles of data sets consist of (protocols 0 to 5), and the few
names by which NumPy writes an array, which it takes as words for "an array of bytes" and never looks up.  Every other
code or name is refused by its own name.

    code   operand on the tape       what it does to the stack
    U      length (1), bytes         push a text of Python 2, as bytes
    K      number (1)                push an integer
    ( .. l                           a mark; a list of everything above it
    q      place (1)                 remember the top
    ...    as Python's pickletools has them
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np

from ...errors import FileError, RefengineError
from ...text import printable, shown

MAX_OBJECTS = 1 << 22  # codes executed; the largest of these data sets needs half a million
MAX_BYTES = 1 << 28  # of one text
MAX_TOTAL = 1 << 30  # of all texts and what is made of them together
MAX_WIDE = 1 << 20  # of one text of characters beyond Latin-1, each of which takes up to 4 bytes
MAX_KEYS = 1 << 12  # of all dicts together: integers whose hashes collide make a larger dict take hours
MAX_LINE = 1 << 12

_BAD = (IndexError, KeyError, TypeError, ValueError, struct.error, OverflowError)
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.numeric", "_frombuffer"): "frombuffer",
    ("numpy._core.numeric", "_frombuffer"): "frombuffer",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # how Python 3 writes bytes for Python 2
}
_NAMES_OF_CODES = {code.code: code.name for code in pickletools.opcodes}
_MARK = object()
_BEYOND_LATIN = re.compile(rb"[\xc4-\xff]")


@dataclass(frozen=True)
class _Word:
    """One of the known names, on the stack."""

    means: str


class _Blank:
    """An array whose content follows."""


def read_plain_pickle(file: BinaryIO, place: str) -> Any:
    """The data of a pickle, texts of Python 2 as bytes; FileError for whatever is not plain data, by its name."""
    machine = _Machine(file, place)
    try:
        return machine.run()
    except RefengineError:
        raise
    except _BAD as error:
        raise FileError(f"{place}: is no pickle or a damaged one ({type(error).__name__} in it)") from error


class _Machine:
    """Stack, memory, and one method or lambda for each code."""

    def __init__(self, file: BinaryIO, place: str) -> None:
        self.file, self.place = file, place
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self._bytes_left, self._keys_left = MAX_TOTAL, MAX_KEYS

    def run(self) -> Any:
        for _ in range(MAX_OBJECTS):
            code = self._bytes(1)
            if code == b".":
                (result,) = self.stack
                return result
            if code not in _CODES:
                name = _NAMES_OF_CODES.get(code.decode("latin-1"), f"{code[0]}")
                raise FileError(f"{self.place}: has the pickle code {name}, which plain data do not need; not executed")
            _CODES[code](self)
        raise FileError(f"{self.place}: has more than {MAX_OBJECTS} pickle codes")

    # -- operands

    def _bytes(self, count: int) -> bytes:
        if not 0 <= count <= MAX_BYTES:
            raise FileError(f"{self.place}: has a text of {count} bytes, at most {MAX_BYTES} are read")
        self._charge(count)
        data = self.file.read(count)
        if len(data) != count:
            raise FileError(f"{self.place}: is truncated, {count} bytes were to follow and {len(data)} do")
        return data

    def _charge(self, count: int) -> None:
        """Count bytes that a value takes; FileError where all together are more than any data set has."""
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise FileError(f"{self.place}: makes more than {MAX_TOTAL} bytes of texts")

    def _number(self, layout: str) -> int:
        return struct.unpack(layout, self._bytes(struct.calcsize(layout)))[0]

    def _line(self) -> bytes:
        line = self.file.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise FileError(f"{self.place}: is truncated or has a line of more than {MAX_LINE} bytes")
        return line[:-1]

    # -- codes

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def text(self, layout: str) -> bytes:
        return self._bytes(self._number(layout))

    def wide_text(self, layout: str) -> str:
        """A text of Python 3, from UTF-8."""
        data = self.text(layout)
        self._charge(len(data))
        if len(data) > MAX_WIDE and _BEYOND_LATIN.search(data):
            raise FileError(f"{self.place}: has a text of {len(data)} bytes with characters beyond Latin-1")
        return data.decode("utf-8", "surrogatepass")

    def quoted(self) -> bytes:
        """A text of protocol 0 between quotes."""
        line = self._line()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1] or b"\\" in line:
            raise FileError(f"{self.place}: has the text {shown(line)}, only quoted ones without escapes are read")
        return line[1:-1]

    def integer(self) -> int:
        """Decimal; 00 and 01 are False and True."""
        return int(self._line().removesuffix(b"L"))

    def pop_mark(self) -> list[Any]:
        """What stands above the last mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:  # from the top, so that each value is looked at once in its life
            at -= 1
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        found = self.stack[-count:]
        del self.stack[-count:]
        return found

    def extend(self, values: list[Any]) -> None:
        self._top(list).extend(values)

    def update(self, values: list[Any]) -> None:
        target = self._top(dict)
        target.update(self.pairs(values))

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError
        return self.stack[-1]

    def pairs(self, values: list[Any]) -> dict[Any, Any]:
        """Keys and values in turn; a key is a text or an integer, because to hash a deep tuple may crash."""
        keys = values[::2]
        if any(type(key) not in (bytes, str, int) for key in keys):
            raise TypeError
        self._keys_left -= len(keys)
        if self._keys_left < 0:
            raise FileError(f"{self.place}: has more than {MAX_KEYS} keys")
        return dict(zip(keys, values[1::2], strict=True))

    def remember(self, place: int) -> None:
        if not 0 <= place < MAX_OBJECTS:
            raise FileError(f"{self.place}: remembers a value under {shown(place)}, needed 0..{MAX_OBJECTS - 1}")
        self.memory[place] = self.stack[-1]

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError
        if (module, name) not in _NAMES:
            called = f"{printable(module)}.{printable(name)}"[:200]
            raise FileError(f"{self.place}: asks for {called}, which plain data do not need; nothing was executed")
        self.push(_Word(_NAMES[module, name]))

    def reduce(self) -> None:
        """The three calls that make an array of bytes, and the one that makes bytes of a text."""
        word, operands = self.pop(2)
        match word, operands:
            case _Word("array"), (_Word("ndarray"), (0,), b"b" | "b"):
                self.push(_Blank())
            case _Word("frombuffer"), (bytes() as data, _Word("u1"), tuple() as shape, "C" | "F" as order):
                self.push(self.array(data, shape, order))
            case _Word("dtype"), (b"u1" | "u1", *_):
                self.push(_Word("u1"))
            case _Word("encode"), (str() as text, b"latin1" | "latin1"):
                self._charge(len(text))
                self.push(text.encode("latin-1"))
            case _:
                raise FileError(f"{self.place}: calls something that is no array of bytes; nothing was executed")

    def array(self, data: bytes, shape: tuple[Any, ...], order: Literal["C", "F"]) -> np.ndarray[Any, Any]:
        """Bytes in a shape, if they fill it."""
        if len(shape) > 4 or any(type(size) is not int or not 0 <= size <= MAX_BYTES for size in shape):
            raise ValueError
        if math.prod(shape) != len(data):
            raise FileError(f"{self.place}: has an array of {shape} in {len(data)} bytes")
        return np.frombuffer(data, np.uint8).reshape(shape, order=order)

    def build(self) -> None:
        """The content of an array: (version, shape, type, whether in Fortran order, bytes)."""
        target, state = self.pop(2)
        match target, state:
            case _Blank(), (1, tuple() as shape, _Word("u1"), bool() | 0 | 1 as fortran, bytes() as data):
                self.push(self.array(data, shape, "F" if fortran else "C"))
            case _Word("u1"), tuple():
                self.push(target)
            case _:
                raise FileError(f"{self.place}: has something that is no array of bytes")


_CODES: dict[bytes, Any] = {
    b"\x80": lambda m: m._number("B"),
    b"(": lambda m: m.push(_MARK),
    b"}": lambda m: m.push({}),
    b"d": lambda m: m.push(m.pairs(m.pop_mark())),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.pop_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_mark())),
    b"\x85": lambda m: m.push(tuple(m.pop(1))),
    b"\x86": lambda m: m.push(tuple(m.pop(2))),
    b"\x87": lambda m: m.push(tuple(m.pop(3))),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(m.integer()),
    b"L": lambda m: m.push(m.integer()),
    b"J": lambda m: m.push(m._number("<i")),
    b"K": lambda m: m.push(m._number("B")),
    b"M": lambda m: m.push(m._number("<H")),
    b"S": lambda m: m.push(m.quoted()),
    b"T": lambda m: m.push(m.text("<i")),
    b"U": lambda m: m.push(m.text("B")),
    b"B": lambda m: m.push(m.text("<I")),
    b"C": lambda m: m.push(m.text("B")),
    b"V": lambda m: m.push(m._line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(m.wide_text("<I")),
    b"a": lambda m: m.extend(m.pop(1)),
    b"e": lambda m: m.extend(m.pop_mark()),
    b"s": lambda m: m.update(m.pop(2)),
    b"u": lambda m: m.update(m.pop_mark()),
    b"p": lambda m: m.remember(m.integer()),
    b"q": lambda m: m.remember(m._number("B")),
    b"r": lambda m: m.remember(m._number("<I")),
    b"g": lambda m: m.push(m.memory[m.integer()]),
    b"h": lambda m: m.push(m.memory[m._number("B")]),
    b"j": lambda m: m.push(m.memory[m._number("<I")]),
    b"c": lambda m: m.name(m._line().decode(), m._line().decode()),
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
    # protocols 4 and 5
    b"\x95": lambda m: m._number("<Q"),  # how much follows, for who reads ahead
    b"\x94": lambda m: m.remember(len(m.memory)),
    b"\x8c": lambda m: m.push(m.wide_text("B")),
    b"\x8d": lambda m: m.push(m.wide_text("<Q")),
    b"\x8e": lambda m: m.push(m.text("<Q")),
    b"\x96": lambda m: m.push(m.text("<Q")),
    b"\x93": lambda m: m.name(*m.pop(2)),
}
