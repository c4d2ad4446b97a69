"""Arrays of integers as static tables of C; weights packed into 32-bit words or a byte each.

bits(code)    2 ternary, 4 int4, 8 int8, two's complement
word k        codes 32/bits * k and after, the first in the lowest bits
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ...numbers.formats import INT4, INT8_WEIGHT, TERNARY

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

LOG2_BITS = {TERNARY.name: 1, INT4.name: 2, INT8_WEIGHT.name: 3}
_LINE = 112
_BYTES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "int32_t": 4, "uint32_t": 4}


@dataclass(frozen=True)
class Table:
    """A declaration, and how many bytes its numbers take in the compiled model."""

    text: str
    bytes: int


def table(ctype: str, name: str, values: Array) -> Table:
    """``static const ctype name[] = {...};`` with decimal numbers.

    >>> print(table("int8_t", "sign", np.array([1, -1], np.int8)).text)
    static const int8_t sign[] = {
        1, -1
    };
    """
    return _table(ctype, name, map(str, values.ravel().tolist()), values.size)


def packed_table(name: str, codes: Array, log2_bits: int) -> Table:
    """The same from weight codes, packed into words.

    >>> print(packed_table("weight", np.array([1, -1, 0, 1], np.int8), 1).text)
    static const uint32_t weight[] = {
        0x0000004d
    };
    """
    made = packed(codes, log2_bits)
    return _table("uint32_t", name, map("0x{:08x}".format, made.tolist()), made.size)


def packed(codes: Array, log2_bits: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint32]]:
    """int8 codes of any shape -> uint32 words, the last one filled up with code 0."""
    bits = 1 << log2_bits
    each = 32 // bits
    flat = codes.ravel()
    fields = np.zeros(-(-flat.size // each) * each, np.uint32)
    fields[: flat.size] = flat.astype(np.int64) & ((1 << bits) - 1)
    places = np.arange(each, dtype=np.uint32) * np.uint32(bits)
    return np.bitwise_or.reduce(fields.reshape(-1, each) << places, axis=1)


def _table(ctype: str, name: str, words: Iterable[str], count: int) -> Table:
    text = f"static const {ctype} {name}[] = {{\n" + ",\n".join(_rows(words)) + "\n};"
    return Table(text, _BYTES[ctype] * count)


def _rows(words: Iterable[str]) -> Iterator[str]:
    """Lines of words and commas, indented, none longer than it need be."""
    row: list[str] = []
    length = 4
    for word in words:
        if row and length + len(word) + 2 > _LINE:
            yield "    " + ", ".join(row)
            row, length = [], 4
        row.append(word)
        length += len(word) + 2
    yield "    " + ", ".join(row)
