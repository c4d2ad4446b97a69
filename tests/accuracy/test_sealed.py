"""Sealed JSON: read back as it was written, refused when a byte of its content changes."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.accuracy import sealed as module
from refengine.accuracy.sealed import check_types, sealed, typed, unsealed
from refengine.errors import FileError


@dataclass(frozen=True)
class Thing:
    name: str
    values: tuple[float, ...]
    count: int | None


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
def test_content_comes_back_and_its_seal_holds(content):
    content.pop("sha256", None)
    told = json.loads(sealed(content))
    seal = told.pop("sha256")
    assert told == content
    assert seal == module._seal(content)


def test_a_changed_file_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(sealed({"a": 1}))
    assert unsealed(path) == {"a": 1}
    path.write_bytes(sealed({"a": 1}).replace(b'"a": 1', b'"a": 2'))
    with pytest.raises(FileError, match="its SHA-256 is not that of its content"):
        unsealed(path)


def test_values_are_held_to_their_types(tmp_path):
    good = {"name": "x", "values": [0.5, 1.0], "count": None}
    assert typed(Thing, good, tmp_path) == Thing("x", (0.5, 1.0), None)
    for wrong in ({"name": 1}, {"values": ["x"]}, {"count": True}, {"more": 1}):
        with pytest.raises(FileError):
            typed(Thing, {**good, **wrong}, tmp_path)
    with pytest.raises(FileError, match="has not the fields of a Thing"):
        check_types(Thing, [], set(), tmp_path)
