"""Protocol buffers, as far as ONNX files need them: messages as fields, without the schema and without believing them.

A message is a sequence of fields, each a number, a kind and a value: a varint (kind 0), 8 bytes (1), a length and that
many bytes (2), or 4 bytes (5).  Bytes are given as views of the file, so that a file of any content costs no more
memory than its size and what ``MAX_FIELDS`` fields take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...errors import FileError
from ...text import printable, shown

MAX_FIELDS = 1 << 20  # of one file: ten times what large networks have
MAX_TEXT = 1 << 12  # bytes of one name

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
_KINDS = {VARINT: "an integer", EIGHT: "8 bytes", BYTES: "bytes", FOUR: "4 bytes"}
_LONGEST_VARINT = 10
_MOST_FIELD = 2**29 - 1  # as protocol buffers have it

Field = tuple[int, int, Any]
Array = np.ndarray[Any, Any]


class Wire:
    """The fields of one file's messages; every method raises FileError, which names the file, and nothing else."""

    def __init__(self, file: str) -> None:
        self.file = printable(file)
        self._left = MAX_FIELDS

    def error(self, what: str) -> FileError:
        """A FileError for the caller to raise."""
        return FileError(f"{self.file}: {what}")

    def message(self, data: memoryview) -> Message:
        """A message's fields by their numbers."""
        fields: dict[int, list[tuple[int, Any]]] = {}
        for number, kind, value in self._fields(data):
            fields.setdefault(number, []).append((kind, value))
        return Message(self, fields)

    def _fields(self, data: memoryview) -> Iterator[Field]:
        at, end = 0, len(data)
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise self.error(f"has more than {MAX_FIELDS} fields, no network has")
            tag, at = self._varint(data, at)
            number, kind = tag >> 3, tag & 7
            if kind == VARINT and 0 < number <= _MOST_FIELD:
                value, at = self._varint(data, at)
                yield number, kind, value
                continue
            if kind not in _KINDS or not 0 < number <= _MOST_FIELD:
                raise self.error("is not an ONNX file, or damaged (a field of unknown kind)")
            size = {EIGHT: 8, FOUR: 4}.get(kind, 0)
            if kind == BYTES:
                size, at = self._varint(data, at)
            if size > end - at:
                raise self.error(f"is truncated or damaged: a field claims {size} bytes where {end - at} are left")
            yield number, kind, data[at : at + size]
            at += size

    def _varint(self, data: memoryview, at: int) -> tuple[int, int]:
        """Seven bits a byte, the lowest first, the highest bit set in all bytes but the last; and where it ends."""
        value = 0
        for shift, byte in enumerate(data[at : at + _LONGEST_VARINT]):
            value |= (byte & 127) << (7 * shift)
            if byte < 128:
                return value & (2**64 - 1), at + shift + 1
        raise self.error("is truncated or damaged (an integer does not end)")

    def varints(self, data: memoryview) -> list[int]:
        """A packed sequence of signed integers."""
        found, at = [], 0
        self._left -= len(data)
        if self._left < 0:
            raise self.error(f"has more than {MAX_FIELDS} fields, no network has")
        while at < len(data):
            value, at = self._varint(data, at)
            found.append(_signed(value))
        return found


class Message:
    """A message whose fields are asked for by number; of a field that may come once, the last one counts."""

    def __init__(self, wire: Wire, fields: dict[int, list[tuple[int, Any]]]) -> None:
        self.wire, self._fields = wire, fields

    def has(self, number: int) -> bool:
        """Whether the field is there."""
        return number in self._fields

    def _values(self, number: int, kind: int) -> list[Any]:
        found = self._fields.get(number, [])
        for other, _ in found:
            if other != kind:
                raise self.wire.error(f"is damaged: field {number} holds {_KINDS[other]}, needed {_KINDS[kind]}")
        return [value for _, value in found]

    def integer(self, number: int, default: int = 0) -> int:
        """A signed integer."""
        values = self._values(number, VARINT)
        return _signed(values[-1]) if values else default

    def integers(self, number: int) -> list[int]:
        """Signed integers, packed or one by one."""
        found: list[int] = []
        for kind, value in self._fields.get(number, []):
            found += [_signed(value)] if kind == VARINT else self.wire.varints(self._bytes(number, kind, value))
        return found

    def _bytes(self, number: int, kind: int, value: Any) -> memoryview:
        if kind != BYTES:
            raise self.wire.error(f"is damaged: field {number} holds {_KINDS[kind]}, needed numbers")
        return value

    def real(self, number: int, default: float = 0.0) -> float:
        """A float of 4 bytes, as the shortest decimal that it stands for: 0.001, not 0.0010000000474974513."""
        values = self._values(number, FOUR)
        return float(str(np.frombuffer(values[-1], "<f4")[0])) if values else default

    def reals(self, number: int, dtype: str = "<f4") -> Array:
        """Floats, packed or one by one."""
        found = self._fields.get(number, [])
        if any(kind == VARINT for kind, _ in found):
            raise self.wire.error(f"is damaged: field {number} holds an integer, needed floats")
        data = found[0][1] if len(found) == 1 else b"".join(value for _, value in found)
        if len(data) % np.dtype(dtype).itemsize:
            raise self.wire.error(f"is damaged: field {number} holds {len(data)} bytes, no number of whole floats")
        return np.frombuffer(data, dtype)

    def data(self, number: int) -> memoryview | None:
        """Bytes as they are; None where there are none."""
        values = self._values(number, BYTES)
        return values[-1] if values else None

    def text(self, number: int) -> str:
        """A text of UTF-8, empty where there is none."""
        values = self._values(number, BYTES)
        return self._decoded(values[-1]) if values else ""

    def texts(self, number: int) -> tuple[str, ...]:
        """All texts of a field."""
        return tuple(self._decoded(value) for value in self._values(number, BYTES))

    def _decoded(self, data: memoryview) -> str:
        if len(data) > MAX_TEXT:
            raise self.wire.error(f"has a name of {len(data)} bytes, at most {MAX_TEXT} are read")
        try:
            return bytes(data).decode()
        except UnicodeDecodeError:
            raise self.wire.error(f"has the name {shown(bytes(data))}, which is not UTF-8 text") from None

    def message(self, number: int) -> Message:
        """The message in a field, empty where there is none."""
        return self.wire.message(self.data(number) or memoryview(b""))

    def messages(self, number: int) -> Iterator[Message]:
        """All messages of a field, each read when its turn comes."""
        for value in self._values(number, BYTES):
            yield self.wire.message(value)


def put(number: int, content: bytes) -> bytes:
    """A field of bytes, to be written; behind a message it adds to what the message has."""
    return _put_varint(number << 3 | BYTES) + _put_varint(len(content)) + content


def _put_varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _put_varint(value >> 7)


def _signed(value: int) -> int:
    """Two's complement of 64 bits."""
    return value - 2**64 if value >= 2**63 else value
