"""Folders appear whole or not at all, and nothing that is not ours is lost."""

import os

import pytest

from refengine.errors import FileError
from refengine.vectors.whole_folder import check_folder, write_folder


def ours(folder):
    """Refuses a folder without the file 'mine'."""
    if not (folder / "mine").exists():
        raise FileError(f"{folder}: is not mine")


def entries(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_an_empty_folder(tmp_path, exists):
    target = tmp_path / "pack"
    if exists:
        target.mkdir()
    with write_folder(target) as folder:
        (folder / "a").write_text("x")
        assert entries(target) == []
    assert entries(tmp_path) == ["pack", "pack/a"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_of_what_fails(tmp_path, error):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "mine").write_text("old")

    def fail():
        with write_folder(tmp_path / "pack", replaceable=ours) as folder:
            (folder / "a").write_text("x")
            raise error

    with pytest.raises(error):
        fail()
    assert entries(tmp_path) == ["pack", "pack/mine"]


def test_no_space_is_one_line(tmp_path):
    with pytest.raises(FileError, match=r"pack: cannot be written \(No space left"), write_folder(tmp_path / "pack"):
        raise OSError(28, "No space left on device")
    assert entries(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "pack"
    target.mkdir()
    (target / "mine").write_text("old")
    with pytest.raises(FileError, match="pack: is not empty, a new or an empty folder was needed"):
        check_folder(target)
    with write_folder(target, replaceable=ours) as folder:
        (folder / "new").write_text("x")
    assert entries(tmp_path) == ["pack", "pack/new"]
    with pytest.raises(FileError, match="is not mine"), write_folder(target, replaceable=ours):
        pass
    assert entries(tmp_path) == ["pack", "pack/new"]


def test_the_old_folder_comes_back(tmp_path, monkeypatch):
    """Where the new one cannot take its place at the last moment."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "mine").write_text("old")
    rename = os.rename

    def failing(source, target):
        if os.path.exists(os.path.join(source, "new")):
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with (
        pytest.raises(FileError, match="Input/output error"),
        write_folder(tmp_path / "pack", replaceable=ours) as folder,
    ):
        (folder / "new").write_text("x")
    assert entries(tmp_path) == ["pack", "pack/mine"]


def test_files_and_folders_of_others_are_not_replaced(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "mine").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "pack")
    for target, inputs, needle in [
        ("file", [], "file: is not a folder and is not replaced"),
        ("none/pack", [], "there is no folder"),
        ("pack", ["pack/mine"], "mine is read from, write to another folder"),
        ("link", ["pack/mine"], "mine is read from, write to another folder"),
        ("a\0b", [], "cannot be written"),
    ]:
        with pytest.raises(FileError, match=needle):
            check_folder(tmp_path / target, [tmp_path / name for name in inputs], ours)
    assert entries(tmp_path) == ["file", "link", "pack", "pack/mine"]
