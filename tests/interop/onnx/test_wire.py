"""Protocol buffers: fields as the format has them, damage in one line, and no more work than a file may ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError
from refengine.interop.onnx import wire
from refengine.interop.onnx.wire import Wire


def varint(value):
    """By the definition: seven bits a byte, the lowest first."""
    value %= 2**64
    groups = [value >> shift & 127 for shift in range(0, 70, 7)]
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def field(number, kind, content):
    return varint(number << 3 | kind) + content


def packed(number, content):
    return field(number, 2, varint(len(content)) + content)


def message(data):
    return Wire("a file").message(memoryview(data))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_integers_one_by_one_and_packed(values):
    single = b"".join(field(3, 0, varint(value)) for value in values)
    together = packed(3, b"".join(map(varint, values)))
    assert message(single).integers(3) == message(together).integers(3) == values
    assert message(single).integer(3) == values[-1]


def test_texts_floats_and_messages():
    data = (
        packed(1, b"name") + field(2, 5, b"\x6f\x12\x83\x3a") + packed(4, field(1, 0, b"\x05")) + field(9, 1, b"8" * 8)
    )
    found = message(data)
    assert (found.text(1), found.real(2), found.message(4).integer(1)) == ("name", 0.001, 5)
    assert (found.text(7), found.integer(7, 3), found.has(7), found.data(7)) == ("", 3, False, None)
    assert message(packed(1, b"\0\0\x80?") + field(1, 5, b"\0\0\0@")).reals(1).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("data", "read", "complaint"),
    [
        (b"\x80" * 11, None, "an integer does not end"),
        (b"\x0a\x05abc", None, "claims 5 bytes where 3 are left"),
        (b"\x0b", None, "a field of unknown kind"),
        (b"\x02\x00", None, "a field of unknown kind"),
        (packed(1, b"\xff"), lambda m: m.text(1), "not UTF-8"),
        (packed(1, b"x" * 5000), lambda m: m.text(1), "a name of 5000 bytes"),
        (field(1, 0, b"\x01"), lambda m: m.text(1), "holds an integer, needed bytes"),
        (packed(1, b"abc"), lambda m: m.reals(1), "no number of whole floats"),
        (field(1, 0, b"\x01"), lambda m: m.reals(1), "needed floats"),
        (field(1, 5, b"1234"), lambda m: m.integers(1), "needed numbers"),
    ],
)
def test_damage_is_one_line(data, read, complaint):
    with pytest.raises(FileError, match=complaint) as caught:
        read(message(data))
    assert str(caught.value).startswith("a file: ")


def test_no_file_has_more_fields_than_are_looked_at(monkeypatch):
    monkeypatch.setattr(wire, "MAX_FIELDS", 100)
    assert len(message(field(1, 0, b"\x01") * 100).integers(1)) == 100
    for data in (field(1, 0, b"\x01") * 101, packed(1, b"\x01" * 101)):
        with pytest.raises(FileError, match="more than 100 fields"):
            message(data).integers(1)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    try:
        found = message(data)
        for number in range(1, 16):
            for read in (found.integers, found.reals, found.text, found.message):
                try:
                    read(number)
                except FileError:
                    continue
    except FileError:
        return


def test_field_numbers_end_where_protocol_buffers_end():
    """Integers of any size as keys could be chosen so that they collide."""
    for number, good in ((2**29 - 1, True), (2**29, False), (2**60, False)):
        data = memoryview(wire._put_varint(number << 3) + b"\x01")
        if good:
            assert Wire("x").message(data).integer(number) == 1
        else:
            with pytest.raises(FileError, match="field of unknown kind"):
                Wire("x").message(data)
