"""Files of folders and archives: found by name, bounded, and refused where an archive tries anything."""

import gzip
import io
import os
import tarfile
from contextlib import suppress

import pytest
from data_sets import write_archive, write_folder
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError
from refengine.interop.images import archives
from refengine.interop.images.archives import Bounded, open_files

FILES = {"a.bin": b"first" * 700, "b.txt": b"", "c": bytes(range(256))}


def contents(path):
    with open_files(path) as files:
        return files.kind, {name: files.read(name, 1 << 20) for name in files.names}


def refusal(path):
    with pytest.raises(FileError) as caught:
        contents(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_is_its_folder(tmp_path, mode, form, monkeypatch):
    monkeypatch.setattr(tarfile.TarFile, "format", form)
    files = {**FILES, "n" * 90 + "é": b"long"}
    path = write_archive(tmp_path / "x.tar.gz", files, inside="one/two", mode=mode)
    assert contents(path) == ("archive", files)
    assert contents(write_folder(tmp_path / "folder", files)) == ("folder", files)


def test_one_file_packed_or_not(tmp_path):
    (tmp_path / "x").write_bytes(b"content")
    (tmp_path / "y").write_bytes(gzip.compress(b"content"))
    assert contents(tmp_path / "x") == ("file", {"x": b"content"})
    assert contents(tmp_path / "y") == ("file", {"y": b"content"})
    with open_files(tmp_path / "x") as one, open_files(tmp_path / "y") as other:
        assert (one.size("x"), other.size("y")) == (7, None)
        with pytest.raises(FileError, match="larger than the 6 bytes"):
            one.read("x", 6)


def tar_of(path, **fields):
    member = tarfile.TarInfo("good")
    for name, value in fields.items():
        setattr(member, name, value)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(member, io.BytesIO(b"123") if member.size else None)
    return path


@pytest.mark.parametrize(
    ("fields", "needle"),
    [
        ({"name": "../../evil"}, "leads out of the archive"),
        ({"name": "/etc/evil"}, "leads out of the archive"),
        ({"name": "a/../b"}, "leads out of the archive"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "is a link"),
        ({"type": tarfile.LNKTYPE, "linkname": "good"}, "is a link"),
        ({"type": tarfile.CHRTYPE}, "a device"),
        ({"type": tarfile.FIFOTYPE}, "a device"),
        ({"type": tarfile.GNUTYPE_SPARSE, "size": 3}, "sparse"),
    ],
)
def test_what_an_archive_may_not_hold(tmp_path, fields, needle):
    assert needle in refusal(tar_of(tmp_path / "x.tar.gz", **fields))
    assert os.listdir(tmp_path) == ["x.tar.gz"]


def test_two_files_of_one_name(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a/same"))
        archive.addfile(tarfile.TarInfo("b/same"))
    assert "holds same twice, as a/same and b/same" in refusal(path)


def test_bombs_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1 << 20)
    zeros = gzip.compress(bytes(3 << 20))
    (tmp_path / "z.gz").write_bytes(zeros)
    with open_files(tmp_path / "z.gz") as files, pytest.raises(FileError, match="unpacks to more than"):
        files.read("z.gz", 1 << 24)
    member = tarfile.TarInfo("big")
    member.size = 3 << 20
    (tmp_path / "t.tar.gz").write_bytes(gzip.compress(member.tobuf() + bytes(member.size + 1024)))
    assert "impossible size" in refusal(tmp_path / "t.tar.gz")
    member.type = tarfile.GNUTYPE_LONGNAME  # a name of 3 MiB, which tarfile reads as a whole
    (tmp_path / "n.tar.gz").write_bytes(gzip.compress(member.tobuf() + bytes(member.size + 1024)))
    assert "unpacks to more than" in refusal(tmp_path / "n.tar.gz")
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    assert "more than 2 members" in refusal(write_archive(tmp_path / "m.tar", FILES, mode="w"))


def test_a_bit_that_flipped_is_seen_by_the_checksum(tmp_path):
    path = write_archive(tmp_path / "x.tar.gz", {"a": b"a"})
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    assert "CRC" in refusal(path)


def test_a_stream_with_a_limit():
    stream = Bounded(io.BytesIO(b"ab\ncdef"), 5, "here")
    assert (stream.read(2), stream.readline(), stream.tell(), stream.seek(4)) == (b"ab", b"\n", 3, 4)
    assert (stream.read(1), stream.readline()) == (b"d", b"")
    for act in (lambda: stream.read(1), lambda: stream.read(), lambda: stream.seek(6), lambda: stream.read(1 << 40)):
        with pytest.raises(FileError, match=r"^here: "):
            act()


def test_missing_files_and_pipes_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    assert "neither a folder nor a regular file" in refusal(tmp_path / "pipe")


@given(st.data())
def test_a_damaged_archive_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    content = bytearray(write_archive(path, FILES, mode="w").read_bytes()[:9000])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(1, len(content)))])
    path.write_bytes(gzip.compress(content, 1) if data.draw(st.booleans()) else content)
    with suppress(FileError):  # nothing else may come out
        contents(path)
