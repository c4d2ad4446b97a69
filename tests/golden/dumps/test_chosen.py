"""What is read of a dump: patterns leave out by file, array, layer and stage, and nothing is passed over in silence."""

import os

import pytest

from refengine.errors import FileError
from refengine.golden.dumps import chosen as module
from refengine.golden.dumps.chosen import NO_READER, Chosen, begins_with, files_below


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("conv.code.npy", True),
        ("sub/conv.code.npy", True),
        ("conv", True),
        ("conv.code", True),
        ("conv/code", True),
        ("c?nv", True),
        ("conv.total", False),
        ("conv1", False),
        ("code", False),
    ],
)
def test_a_pattern_means_a_file_an_array_or_a_layer(pattern, left_out):
    chosen = Chosen("dump", (pattern,), True)
    assert chosen.takes("sub/conv.code.npy", "conv.code") is not left_out
    assert chosen.known["ignored"] == (("sub/conv.code.npy",) if left_out else ())


def test_what_is_passed_over_is_named_unless_a_pattern_means_it():
    chosen = Chosen("dump", ("*.png",), True)
    chosen.pass_over("a.png", NO_READER)
    chosen.pass_over("a.pdf", NO_READER)
    assert chosen.known == {"passed_over": {"a.pdf": NO_READER}, "ignored": ("a.png",)}


def test_files_below_a_folder_with_links_by_name(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "d.npy").touch()
    (tmp_path / "a.npy").touch()
    os.symlink(tmp_path / "b", tmp_path / "loop")
    assert [*files_below(tmp_path, "dump")] == ["a.npy", "loop", "b/c/d.npy"]


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_CHILDREN", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(FileError, match="dump: has more than 2 files"):
        [*files_below(tmp_path, "dump")]


def test_the_first_bytes_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"PK\x03\x04 and more")
    assert begins_with(tmp_path / "a", b"\x89HDF", b"PK\x03\x04")
    assert not begins_with(tmp_path / "a", b"\x89HDF")
    assert not begins_with(tmp_path / "nowhere", b"PK\x03\x04")
