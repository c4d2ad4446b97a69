"""A file is there as a whole or as it was before."""

import os
import signal
import subprocess
import sys

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


def leftover(folder, pid, where=None, old=False, directory=False):
    """What a process of that number left."""
    path = folder / f".model.h5.{where or whole_file._where()}{pid:08x}0a1b2c3d.part"
    if directory:
        path.mkdir()
        (path / "inside").write_bytes(b"x")
    else:
        path.write_bytes(b"half")
    if old:
        os.utime(path, (1, 1))
    return path


def ended():
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_killed_runs_are_removed_by_the_next_that_writes_there(tmp_path):
    gone = ended()
    left = [leftover(tmp_path, gone), leftover(tmp_path, gone + 2**22, directory=True)]
    left.append(leftover(tmp_path, os.getpid(), "01234567", old=True))
    (tmp_path / ".a.0123456789abcdef.part").write_bytes(b"of an earlier version")
    os.utime(tmp_path / ".a.0123456789abcdef.part", (1, 1))
    write_whole(tmp_path / "file", b"new", "file")
    assert not any(path.exists() for path in left)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_else_is_removed(tmp_path):
    kept = [
        leftover(tmp_path, os.getpid()),
        leftover(tmp_path, os.getppid(), directory=True),
        leftover(tmp_path, ended(), "01234567"),
    ]
    for name in (
        "a.part",
        ".b.part",
        ".c.0123.part",
        ".d.0123456789abcdeg.part",
        f".e.{'0' * 24}.old",
        f"f.{'0' * 24}.part",
    ):
        (tmp_path / name).write_bytes(b"mine")
        os.utime(tmp_path / name, (1, 1))
        kept.append(tmp_path / name)
    link = tmp_path / f".g.{'0' * 16}.part"
    link.symlink_to(tmp_path / "a.part")
    whole_file.remove_leftovers(tmp_path)
    assert all(os.path.lexists(path) for path in [*kept, link])


def test_a_run_that_is_killed_is_cleaned_up_after(tmp_path):
    code = (
        "import os, signal, pathlib\n"
        "from refengine.network import whole_file\n"
        "whole_file.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"whole_file.write_whole(pathlib.Path({str(tmp_path / 'file')!r}), b'half', 'file')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    write_whole(tmp_path / "file", b"whole", "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
