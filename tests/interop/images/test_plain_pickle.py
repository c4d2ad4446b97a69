"""A pickle is read as data: equal to what Python's own pickle gives, and nothing in it is ever called."""

import io
import os
import pickle
import pickletools
from contextlib import suppress

import numpy as np
import pytest
from data_sets import array, listed, number, python2, text
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError
from refengine.interop.images import plain_pickle
from refengine.interop.images.plain_pickle import read_plain_pickle


def read(content):
    return read_plain_pickle(io.BytesIO(content), "here")


def refusal(content):
    with pytest.raises(FileError) as caught:
        read(content)
    assert str(caught.value).startswith("here: ")
    assert str(caught.value).isprintable()
    return str(caught.value)


keys = st.one_of(st.text(max_size=4), st.integers(-(2**31), 2**31 - 1))
plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**31), 2**31 - 1),
        st.text(max_size=6),
        st.binary(min_size=1, max_size=6),
    ),  # empty bytes are a call in protocol 2
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.lists(inner, max_size=5).map(tuple), st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain, st.integers(2, 5))
def test_plain_data_are_what_pickle_gives(value, protocol):
    assert read(pickle.dumps(value, protocol)) == value


def test_shared_parts_are_shared():
    one = ["a"]
    first, second = read(pickle.dumps((one, one), 2))
    assert first == one
    assert first is second


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_bytes_are_read_in_either_order(protocol, order):
    pixels = np.asarray(np.arange(24, dtype=np.uint8).reshape(4, 6), order=order)
    np.testing.assert_array_equal(read(pickle.dumps({"data": pixels}, protocol))["data"], pixels)


def test_an_array_of_python_2():
    made = read(python2([("data", array(2, 300, bytes(range(200)) * 3)), ("n", listed([number(3), number(300)]))]))
    assert made[b"n"] == [3, 300]
    assert made[b"data"].tolist() == [[*range(200), *range(100)], [*range(100, 200), *range(200)]]


def test_texts_of_protocol_0():
    assert read(b"(dp1\nS'names'\np2\n(lp3\nS\"a b\"\np4\naI01\naVc\\u00e9\nas.") == {b"names": [b"a b", 1, "cé"]}
    assert "without escapes" in refusal(b"S'a\\x00'\n.")


class Calls:
    """Pickled, it is a call of any function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [os.mkdir, os.system, eval])
def test_nothing_is_ever_called(function, protocol, tmp_path):
    planted = tmp_path / "planted"
    argument = {
        os.mkdir: f"{planted}",
        os.system: f"touch {planted}",
        eval: f"__import__('os').mkdir({str(planted)!r})",
    }
    content = pickle.dumps({"data": Calls(function, argument[function])}, protocol)
    message = refusal(content)
    assert not planted.exists()
    assert "executed" in message
    assert f".{function.__name__}," in message
    pickle.loads(content)  # that it would have worked
    assert planted.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [np.arange(3.0), np.array([1], np.int64), np.array([object]), np.float64(1), {1, 2}, complex(1), 1.5, b"".join],
)
def test_what_is_not_plain_is_refused(value, protocol):
    refusal(pickle.dumps([value], protocol))


def test_the_known_names_make_nothing_but_arrays_of_bytes():
    reconstruct, ndarray = b"cnumpy.core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n"
    assert "is no array of bytes" in refusal(reconstruct + ndarray + b"\x85R.")
    assert "is no array of bytes" in refusal(b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R.")
    assert "asks for numpy.load" in refusal(b"cnumpy\nload\n.")
    assert "is no array of bytes" in refusal(b"}}b.")
    frombuffer, u1 = b"cnumpy.core.numeric\n_frombuffer\n", b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85R"
    assert "2 bytes" in refusal(frombuffer + b"(C\x02ab" + u1 + b"K\x03\x85X\x01\x00\x00\x00CtR.")
    assert "is no array of bytes" in refusal(frombuffer + b"(C\x02ab" + u1 + b"K\x02\x85X\x01\x00\x00\x00AtR.")
    assert "asks for numpy.load" in refusal(b"\x8c\x05numpy\x8c\x04load\x93.")
    assert "TypeError" in refusal(b"\x8c\x05numpyK\x01\x93.")
    assert "2 bytes" in refusal(python2([("data", array(1, 3, b"ab"))]))


def test_every_other_code_is_refused_by_its_name():
    for code in pickletools.opcodes:
        if code.code.encode("latin-1") not in {*plain_pickle._CODES, b"."}:
            assert f"pickle code {code.name}," in refusal(code.code.encode("latin-1"))
    assert "pickle code 255," in refusal(b"\xff")


def test_bombs_are_bounded(monkeypatch):
    assert "at most" in refusal(b"T\xff\xff\xff\x7f")
    assert "at most" in refusal(b"T\xff\xff\xff\xff")
    assert "is truncated" in refusal(b"T\xff\xff\xff\x0f")
    assert "at most" in refusal(b"\x96" + b"\xff" * 8)
    assert "is truncated" in refusal(b"I" + b"1" * 5000)
    assert "TypeError" in refusal(b"}" + b")" + b"\x85" * 100_000 + b"Ns.")  # hashing it would end the process
    monkeypatch.setattr(plain_pickle, "MAX_OBJECTS", 1000)
    assert "more than 1000 pickle codes" in refusal(b"]" * 2000)


GOOD = python2([("labels", listed([number(3), number(300)])), ("data", array(1, 4, b"abcd")), ("x", text("y" * 300))])


@given(st.data())
def test_damage_is_data_or_one_line(data):
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(FileError):  # nothing else may come out
        read(bytes(content[: data.draw(st.integers(0, len(content)))]))


@given(st.lists(st.sampled_from([*plain_pickle._CODES, b".", b"\x00", b"1\n"]), max_size=40))
def test_any_program_of_known_codes_ends_well(codes):
    with suppress(FileError):  # nothing else may come out
        read(b"".join(codes))


def test_what_a_text_is_made_into_is_counted(monkeypatch):
    """A text that is remembered once and encoded again and again: 12 bytes of pickle for each copy."""
    monkeypatch.setattr(plain_pickle, "MAX_TOTAL", 5000)
    body = b"X" + (1000).to_bytes(4, "little") + b"a" * 1000 + b"q\x010c_codecs\nencode\nq\x020".replace(b"0", b"")
    once = b"h\x02h\x01X\x06\0\0\0latin1\x86R"
    assert read_plain_pickle(io.BytesIO(b"](" + body + once * 2 + b"e."), "x")[-1] == b"a" * 1000
    assert "makes more than 5000 bytes" in refusal(b"](" + body + once * 9 + b"e.")


@pytest.mark.parametrize("keys", ["d", "u", "s"])
def test_keys_that_collide_are_refused_by_their_number(keys):
    """k * (2**61 - 1) has the hash 0 for every k: a dict of n of them takes n**2 steps."""
    entries = [f"I{k * (2**61 - 1)}\nN".encode() for k in range(plain_pickle.MAX_KEYS + 1)]
    content = {
        "d": b"(" + b"".join(entries) + b"d.",
        "u": b"}(" + b"".join(entries) + b"u.",
        "s": b"}" + b"s".join(entries) + b"s.",
    }[keys]
    assert f"has more than {plain_pickle.MAX_KEYS} keys" in refusal(content)


def test_places_to_remember_are_those_of_a_small_memory():
    assert "remembers a value under 2305843009213693951" in refusal(b"Np2305843009213693951\n.")
    assert "remembers a value under -1" in refusal(b"Np-1\n.")


def test_large_texts_are_of_one_byte_a_character(monkeypatch):
    monkeypatch.setattr(plain_pickle, "MAX_WIDE", 10)
    latin, wide = "ÿ" * 20, "a" * 20 + "\u0100"
    for text_of, good in ((latin, True), (wide, False)):
        data = text_of.encode()
        content = b"X" + len(data).to_bytes(4, "little") + data + b"."
        if good:
            assert read_plain_pickle(io.BytesIO(content), "x") == text_of
        else:
            assert "beyond Latin-1" in refusal(content)
