"""A file is there as a whole or as it was before."""

import pytest

from refengine.errors import FileError
from refengine.network import whole_file
from refengine.network.whole_file import beside, write_whole


def test_what_is_written_is_there_alone(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"first", "file")
    write_whole(path, b"second", "file")
    assert path.read_bytes() == b"second"
    assert [*tmp_path.iterdir()] == [path]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"before")
    monkeypatch.setattr(whole_file.os, "replace", full)
    with pytest.raises(FileError, match=r"^the name: cannot be written \(No space left on device\)$"):
        write_whole(path, b"after", "the name")
    assert path.read_bytes() == b"before"
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(FileError, match="No such file"):
        write_whole(tmp_path / "nowhere" / "file", b"", "file")


def test_temporary_names_are_hidden_different_and_short(tmp_path):
    names = {beside(tmp_path / ("n" * 250)) for _ in range(9)}
    assert len(names) == 9
    assert all(name.parent == tmp_path and name.name.startswith(".n") and len(name.name) < 120 for name in names)
