"""Scoreboard: what a DUT streams out, compared with the golden as it comes.

    with open_dump("vectors") as golden:
        scoreboard = Scoreboard(golden, "003_layer1.0.conv2", "code", elements=4)
        scoreboard.push(word)      # as often as the DUT gives one
        scoreboard.check()         # everything came, and everything was right

A scoreboard needs no simulator.  ``monitor`` feeds one from cocotb, as a coroutine beside the test; cocotb is an extra,
``pip install refengine[hdl]``, and imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import RangeError, RefengineError
from ...text import printable
from ..dumps.difference import Element
from ..dumps.dump import Dump
from .text_report import element_sentence, place

_AXES = {4: "nhwc", 2: "nc", 5: "nhwcg", 3: "ncg"}
_MAX_BITS = 64


@dataclass(frozen=True)
class Mismatch:
    """A value that is not the golden's.  got: the number, or its bits as text where one of them is neither 0 nor 1."""

    layer: str
    stage: str
    index: tuple[int, ...]
    wanted: int
    got: int | str
    bits: int

    def __str__(self) -> str:
        if isinstance(self.got, int):
            where = element_sentence(Element(self.index, self.wanted, self.got, self.bits))
        else:
            where = f"{place(self.index)}: golden {self.wanted}, got bits {printable(self.got)}"
        return f"{printable(self.layer)} {self.stage}: {where}"


class Scoreboard:
    """The values of one stage of one layer, in the order in which a DUT gives them.

    ``golden``: an open dump.  ``order``: its axes as the DUT streams, the fastest last, n first; None: as in the dump.
    ``elements``: values in a word, the first one in its low bits (``first="high"``: in its high bits).  ``bits`` of a
    value; None: as many as the dump's type.  ``strict``: raise at the first value that differs, not at ``check``.
    RangeError for an order, a number of bits or of elements that cannot be; FileError for a layer that is not there.
    """

    def __init__(
        self,
        golden: Dump,
        layer: str,
        stage: str = "code",
        *,
        order: str | None = None,
        elements: int = 1,
        bits: int | None = None,
        first: str = "low",
        strict: bool = False,
    ) -> None:
        self._values = golden.values(layer, stage)
        shape, dtype = self._values.shape, self._values.dtype
        self.layer, self.stage = layer, stage
        self.bits = 8 * dtype.itemsize if bits is None else bits
        self.total = int(np.prod(shape))
        self.count = self.different = self.beyond = 0
        self.first: Mismatch | None = None
        self._signed = dtype.kind == "i"
        self._axes = _permutation(order, _AXES.get(len(shape), ""))
        self._sizes = tuple(shape[axis] for axis in self._axes)
        if not 1 <= self.bits <= _MAX_BITS or elements < 1:
            raise RangeError(f"words of {elements} values of {self.bits} bits, needed 1 or more of 1..{_MAX_BITS}")
        if first not in ("low", "high"):
            raise RangeError(f"first element {first!r} is unknown; available: low, high")
        self._elements, self._low, self._strict = elements, first == "low", strict
        self._image: int | None = None
        self._wanted = np.zeros(0, np.int64)

    @property
    def complete(self) -> bool:
        """Whether as many values came as the golden has."""
        return self.count >= self.total

    @property
    def next_index(self) -> tuple[int, ...] | None:
        """Where the next value belongs, in the golden's axes; None behind the last one."""
        if self.complete:
            return None
        streamed = np.unravel_index(self.count, self._sizes)
        return tuple(int(streamed[self._axes.index(axis)]) for axis in range(len(self._sizes)))

    def push(self, word: int | str) -> None:
        """One word: a number, or its bits as text, the highest first, as simulators show them.

        A word of one element may be the number itself, with its sign.  After the last value of an image whose size the
        words do not divide, the rest of the word is passed over.  RangeError for a number that no such word can be.
        """
        for value in self._split(word):
            self._compare(value)
            if self.count % (self.total // self._sizes[0]) == 0:
                break

    def check(self) -> None:
        """RefengineError, with the report, unless every value came and was right."""
        if self.different or self.beyond or not self.complete:
            raise RefengineError(self.report())

    def report(self) -> str:
        """What came and what was wrong, in one line."""
        name = f"{printable(self.layer)} {self.stage}"
        if self.beyond:
            return f"{name}: {self.beyond} values came after the last of {self.total}; {self._counted()}"
        if not self.complete:
            return f"{name}: {self.count} of {self.total} values came; {self._counted()}"
        return f"{name}: {self._counted()}"

    def _counted(self) -> str:
        if self.first is None:
            return f"all {self.count} are right"
        return f"{self.different} of {self.count} differ, first {str(self.first).split(': ', 1)[1]}"

    def _split(self, word: int | str) -> list[int | str]:
        """The elements of a word, in the order of the stream."""
        width = self.bits * self._elements
        if isinstance(word, str):
            digits = word.replace("_", "")
            if len(digits) != width:
                raise RangeError(f"a word has {len(digits)} bits, needed {width}: {printable(word)}")
        else:
            low = -(1 << (width - 1)) if self._elements == 1 and self._signed else 0
            if not low <= word < 1 << width:
                raise RangeError(f"a word is {word}, which {width} bits do not hold")
            digits = f"{word & ((1 << width) - 1):0{width}b}"
        parts = [digits[start : start + self.bits] for start in range(0, width, self.bits)]
        return [self._number(part) for part in (reversed(parts) if self._low else parts)]

    def _number(self, digits: str) -> int | str:
        if not {*digits} <= {"0", "1"}:
            return digits
        number = int(digits, 2)
        return number - (1 << self.bits) if self._signed and digits[0] == "1" else number

    def _compare(self, got: int | str) -> None:
        index = self.next_index
        if index is None:
            self.beyond += 1
            if self._strict:
                raise RefengineError(self.report())
            return
        wanted = self._golden(index[0])[self.count % (self.total // self._sizes[0])]
        self.count += 1
        if got == wanted:
            return
        self.different += 1
        if self.first is None:
            self.first = Mismatch(self.layer, self.stage, index, int(wanted), got, self.bits)
        if self._strict:
            raise RefengineError(str(Mismatch(self.layer, self.stage, index, int(wanted), got, self.bits)))

    def _golden(self, image: int) -> np.ndarray:
        """The values of one image in the order of the stream; one image is kept."""
        if image != self._image:
            values = self._values.read(image, image + 1)
            self._wanted, self._image = values.transpose(self._axes).reshape(-1), image
        return self._wanted


def _permutation(order: str | None, axes: str) -> tuple[int, ...]:
    """Which axis lies at each place of the order.

    >>> _permutation("nchw", "nhwc")
    (0, 3, 1, 2)
    """
    if not axes:
        raise RangeError("a scoreboard needs a layer of 2 to 5 dimensions")
    wanted = axes if order is None else order
    if sorted(wanted) != sorted(axes) or wanted[0] != "n":
        raise RangeError(f"order is {order!r}, needed n and then the others of {axes} in any order")
    return tuple(axes.index(axis) for axis in wanted)


async def monitor(clock: Any, valid: Any, data: Any, scoreboard: Scoreboard) -> None:
    """A coroutine for cocotb: at each rising edge push ``data`` if ``valid`` is 1, until the scoreboard is complete."""
    from cocotb.triggers import RisingEdge

    while not scoreboard.complete:
        await RisingEdge(clock)
        if str(valid.value) == "1":
            scoreboard.push(str(data.value))
