"""Waves of a simulation (VCD, FST): the words that passed a handshake, sampled as a flip-flop samples them.

At every rising edge of the clock all signals have the values that they had before the instant of the edge: what changes
in the same instant, as everything does that the edge itself drives, is seen at the next edge.  A word passes where
``valid``, and ``ready`` where there is one, are 1 then.  Signals are named as in the file, TOP.INSTANCE.SIGNAL, the
first names left out where one signal alone can be meant.

VCD is read by pyvcd, FST by pylibfst, both of the extra ``waves``; what a signal does not do is never looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...optional import package
from ...text import printable, reason_of, shown
from .fst import EXTRA, changes_of, signals_of
from .word_sources import HeldWords

ENDINGS = (".vcd", ".fst")
_RANGE = re.compile(r"\s*\[[-0-9:]+\]$")
_UNITS = {0: "s", -3: "ms", -6: "us", -9: "ns", -12: "ps", -15: "fs"}
_KNOWN = {"0": 0, "1": 1, "l": 0, "h": 1}

Value = tuple[int, int]  # bits that are 1, and bits that are neither 0 nor 1
Change = tuple[int, str, Value]


@dataclass(frozen=True)
class Handshake:
    """Names of signals: a word of each of ``data`` (stage -> signal) passes at a rising clock where valid and ready."""

    clock: str
    data: Mapping[str, str]
    valid: str | None = None
    ready: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all signals."""
        return (*(one for one in (self.clock, self.valid, self.ready) if one is not None), *self.data.values())


@dataclass(frozen=True)
class Signal:
    """handle: how changes name it.  bits: its width."""

    name: str
    handle: str
    bits: int


@dataclass(frozen=True)
class Waves:
    """signals: by their full names.  changes: of some handles, times rising.  unit: what a time is counted in."""

    place: str
    signals: Mapping[str, Signal]
    unit: tuple[int, str]
    changes: Callable[[Sequence[str]], Iterator[Change]]

    def signal(self, name: str) -> Signal:
        """A signal by its name, or by the end of it; RangeError, with the nearest name, where there is none."""
        plain = _RANGE.sub("", name)
        found = [full for full in self.signals if full == plain] or [
            full for full in self.signals if full.endswith(f".{plain}")
        ]
        if len({self.signals[full].handle for full in found}) == 1:
            return self.signals[found[0]]
        if found:
            raise RangeError(f"{self.place}: {shown(name)} may be {_some(found)}")
        like = get_close_matches(plain, [*self.signals], 1, 0.3) or get_close_matches(
            plain.rpartition(".")[2], [full.rpartition(".")[2] for full in self.signals], 1, 0.3
        )
        nearest = next(
            (full for full in self.signals if like and (full == like[0] or full.endswith(f".{like[0]}"))), ""
        )
        proposed = f"; the nearest is {shown(nearest)}" if nearest else f"; it has {_some([*self.signals])}"
        raise RangeError(f"{self.place}: has no signal {shown(name)}{proposed}")

    def time(self, time: int) -> str:
        """A time with its unit."""
        magnitude, unit = self.unit
        return f"time {time * magnitude} {unit}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return printable(", ".join(names[:6])) + more


def is_waves(path: Path) -> bool:
    """Whether a file's name says that it holds waves."""
    return path.suffix.lower() in ENDINGS


def open_waves(path: Path) -> Waves:
    """The signals of a file of waves; FileError where it is none."""
    place = printable(os.fspath(path))
    if not path.is_file():
        raise FileError(f"{place}: cannot be opened (No such file)")
    return _fst(path, place) if path.suffix.lower() == ".fst" else _vcd(path, place)


def sampled(waves: Waves, handshake: Handshake) -> tuple[dict[str, HeldWords], list[str]]:
    """stage -> the words that passed, in the order of time, and what is to be said of them."""
    clock = waves.signal(handshake.clock)
    gates = [waves.signal(name) for name in (handshake.valid, handshake.ready) if name is not None]
    data = {stage: waves.signal(name) for stage, name in handshake.data.items()}
    if clock.bits != 1 or any(gate.bits != 1 for gate in gates):
        wide = next(one for one in (clock, *gates) if one.bits != 1)
        raise RangeError(f"{waves.place}: {shown(wide.name)} has {wide.bits} bits, needed one")
    handles = [one.handle for one in (clock, *gates, *data.values())]
    taken: dict[str, list[Value]] = {stage: [] for stage in data}
    times: list[int] = []
    doubtful: list[int] = []
    edges = 0
    for time, values in _edges(waves.changes([*dict.fromkeys(handles)]), clock.handle):
        edges += 1
        ready = [values.get(gate.handle, (0, 1)) for gate in gates]
        if all(bits == (1, 0) for bits in ready):
            times.append(time)
            for stage, signal in data.items():
                taken[stage].append(values.get(signal.handle, (0, (1 << signal.bits) - 1)))
        elif any(unknown for _, unknown in ready) and not any(bits == (0, 0) for bits in ready):
            doubtful.append(time)
    if not times:
        raise FileError(f"{waves.place}: no word passed at {edges} rising edges of {shown(clock.name)}")
    notes = [f"{waves.place}: {len(times)} words passed at {edges} rising edges, {waves.time(times[0])} the first"]
    if doubtful:
        gate = " and ".join(shown(one.name) for one in gates)
        notes.append(
            f"{waves.place}: {gate} had unknown bits at {len(doubtful)} edges, {waves.time(doubtful[0])} the first: "
            "no word was taken there"
        )
    place = waves.place
    return {
        stage: _held(f"{place} {data[stage].name}", taken[stage], data[stage].bits, times, waves) for stage in data
    }, notes


def _held(place: str, values: Sequence[Value], bits: int, times: Sequence[int], waves: Waves) -> HeldWords:
    size = -(-bits // 8)
    words, masks = (
        np.frombuffer(b"".join(value[part].to_bytes(size, "little") for value in values), np.uint8).reshape(-1, size)
        for part in (0, 1)
    )

    def where(word: int) -> str:
        return f"word {word}, {waves.time(times[word])}"

    return HeldWords(place, words, False, False, bits, masks if masks.any() else None, None, where)


def _edges(changes: Iterator[Change], clock: str) -> Iterator[tuple[int, Mapping[str, Value]]]:
    """(time, the values before it) for each rising edge of the clock."""
    before: dict[str, Value] = {}
    now: dict[str, Value] = {}
    time = None
    for at, handle, value in changes:
        if at != time:
            if time is not None and before.get(clock) == (0, 0) and now.get(clock) == (1, 0):
                yield time, before
            before.update(now)
            now, time = {}, at
        now[handle] = value
    if time is not None and before.get(clock) == (0, 0) and now.get(clock) == (1, 0):
        yield time, before


def value_of(text: str) -> Value:
    """Bits as text, the highest first, as (ones, unknown bits).

    >>> value_of("01x1"), value_of("U")
    ((5, 2), (0, 1))
    """
    lower = text.lower()
    if not set(lower) - {"0", "1"}:
        return int(lower, 2) if lower else 0, 0
    ones = "".join(str(_KNOWN.get(bit, 0)) for bit in lower)
    unknown = "".join("0" if bit in _KNOWN else "1" for bit in lower)
    return int(ones, 2), int(unknown, 2)


# ------------------------------------------------------------------------------------------------------------------ VCD


def _vcd(path: Path, place: str) -> Waves:
    reader = package("vcd.reader", EXTRA)
    kinds = reader.TokenKind
    signals: dict[str, Signal] = {}
    scopes: list[str] = []
    unit = (1, "steps")
    for token in _tokens(path, place, reader):
        if token.kind is kinds.SCOPE:
            scopes.append(token.scope.ident)
        elif token.kind is kinds.UPSCOPE and scopes:
            scopes.pop()
        elif token.kind is kinds.TIMESCALE:
            magnitude = token.timescale.magnitude  # an enumeration before pyvcd 0.5
            unit = (int(getattr(magnitude, "value", magnitude)), token.timescale.unit.value)
        elif token.kind is kinds.VAR:
            bit = f"[{token.var.bit_index}]" if isinstance(token.var.bit_index, int) else ""
            name = ".".join([*scopes, token.var.reference]) + bit
            signals[name] = Signal(name, token.var.id_code, token.var.size)
        elif token.kind is kinds.ENDDEFINITIONS:
            break
    if not signals:
        raise FileError(f"{place}: declares no signal, is no VCD")
    bits = {signal.handle: signal.bits for signal in signals.values()}

    def changes(handles: Sequence[str]) -> Iterator[Change]:
        wanted, time = {*handles}, 0
        for token in _tokens(path, place, reader):
            if token.kind is kinds.CHANGE_TIME:
                if token.time_change < time:
                    raise FileError(f"{place}: line {token.span.start.line} goes back in time")
                time = token.time_change
            elif token.kind is kinds.CHANGE_SCALAR and token.scalar_change.id_code in wanted:
                yield time, token.scalar_change.id_code, value_of(token.scalar_change.value)
            elif token.kind is kinds.CHANGE_VECTOR and token.vector_change.id_code in wanted:
                handle, value = token.vector_change.id_code, token.vector_change.value
                found = (value, 0) if isinstance(value, int) else value_of(_extended(value, bits[handle]))
                if max(found) >> bits[handle]:
                    line = token.span.start.line
                    raise FileError(f"{place}: line {line} has more than the {bits[handle]} bits of its signal")
                yield time, handle, found

    return Waves(place, signals, unit, changes)


def _extended(value: str, bits: int) -> str:
    """Digits that a VCD leaves out at the left: x and z are repeated."""
    return value.rjust(bits, value[0] if value[:1].lower() in "xz" else "0")


def _tokens(path: Path, place: str, reader: Any) -> Iterator[Any]:
    try:
        with open(path, "rb") as file:
            yield from reader.tokenize(file)
    except (
        reader.VCDParseError,
        ValueError,
        LookupError,
        StopIteration,
        RuntimeError,
        OSError,
        AssertionError,
    ) as error:
        if isinstance(error, FileError | RangeError):
            raise
        raise FileError(f"{place}: is no VCD that can be read ({reason_of(error)})") from error


# ------------------------------------------------------------------------------------------------------------------ FST


def _fst(path: Path, place: str) -> Waves:
    scale, found = signals_of(path, place)
    if not found:
        raise FileError(f"{place}: declares no signal")
    signals = {}
    for full, handle, bits in found:
        name = _RANGE.sub("", full).lstrip(".")
        signals[name] = Signal(name, handle, bits)
    exponent = 3 * (scale // 3)
    unit = (10 ** (scale - exponent), _UNITS[exponent]) if exponent in _UNITS else (1, "steps")
    widths = {signal.handle: signal.bits for signal in signals.values()}

    def changes(handles: Sequence[str]) -> Iterator[Change]:
        last = 0
        for time, handle, text in changes_of(path, place, handles):
            if time < last or len(text) != widths.get(handle, 0):
                raise FileError(f"{place}: is damaged: time {time} after {last}, or a value of another width")
            last = time
            yield time, handle, value_of(text)

    return Waves(place, signals, unit, changes)
