"""Arrays with names, in folders and archives: nothing hostile gets through, and the others are read."""

import io
import os
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from dumps import as_archive, as_folder

from refengine.errors import FileError
from refengine.golden.dumps.dump import Damaged
from refengine.golden.dumps.open_dump import open_dump

STAGES = {"1.conv": {"code": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "total": np.arange(4).reshape(2, 2)}}


def test_big_endian_and_npz_in_blocks(tmp_path):
    stages = {"a": {"total": np.arange(60, dtype=">i8").reshape(10, 6)}}
    for path in (as_folder(tmp_path / "folder", stages), as_archive(tmp_path / "a.npz", stages, compressed=True)):
        with open_dump(path) as dump:
            assert dump.dtype("a", "total") == np.dtype(np.int64)
            for start in (4, 0, 7):  # backwards too
                block = dump.read("a", "total", start, start + 2)
                np.testing.assert_array_equal(block, stages["a"]["total"][start : start + 2])


def npy(array=None, **header):
    """The bytes of an .npy, with the header's fields as given."""
    file = io.BytesIO()
    if header:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2, 3), **header})
        file.write(bytes(6))
    else:
        np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


HOSTILE = {
    "empty": (b"", "is empty"),
    "text": (b"hello, world\n" * 20, "cannot be read"),
    "magic alone": (b"\x93NUMPY\x01\x00", "cannot be read"),
    "version 9": (b"\x93NUMPY\x09\x00" + bytes(100), "version 9.0"),
    "version 3": (b"\x93NUMPY\x03\x00" + bytes(100), "version 3.0"),
    "huge header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31 - 1) + b"{}", "cannot be read"),
    "code for a header": (b"\x93NUMPY\x01\x00" + struct.pack("<H", 30) + b"__import__('os').abort()".ljust(30), "read"),
    "objects": (npy(np.array([[print], [print]], object)), "holds object, needed integers"),
    "floats": (npy(np.array([[np.nan, 1.0]])), "holds float64, needed integers"),
    "booleans": (npy(np.array([[True]])), "holds bool, needed integers"),
    "texts": (npy(np.array([["a"]])), "needed integers"),
    "records": (npy(np.zeros((2, 2), [("a", "u1")])), "needed integers"),
    "no images": (npy(np.zeros((0, 3), np.uint8)), "none of them 0"),
    "a number": (npy(np.array(3)), "needed (images, ...)"),
    "fortran": (npy(np.asfortranarray(np.zeros((2, 3), np.uint8))), "Fortran order"),
    "truncated": (npy(np.zeros((20, 30), np.uint8))[:-7], "claims 600 bytes of numbers and has 593"),
    "more than it says": (npy(np.zeros((2, 3), np.uint8)) + b"xx", "claims 6 bytes of numbers and has 8"),
    "absurd": (npy(shape=(2**40, 2**40)), "claims 1208925819614629174706176 bytes"),
    "negative": (npy(shape=(-2, 3)), "none of them 0"),
    "70 axes": (npy(shape=(2,) + (1,) * 69), "its shape has 70 axes, needed at most 32"),
    "33 axes": (npy(shape=(2,) + (1,) * 32), "its shape has 33 axes"),
    "nested signs": (npy(np.zeros((2, 3), np.uint8)).replace(b"False", b"-----"), "cannot be read"),
    "an open bracket": (npy(np.zeros((2, 3), np.uint8)).replace(b"3)", b"3("), "cannot be read"),
    "not a shape": (npy(shape=(2.5, 3)), "cannot be read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_array_is_damaged_and_the_others_are_read(tmp_path, name):
    content, needle = HOSTILE[name]
    (tmp_path / "dump").mkdir()
    for member, data in (("conv", content), ("fc", npy(np.ones((2, 3), np.uint8)))):
        (tmp_path / "dump" / f"{member}.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "dump.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv.npy", content)
        archive.writestr("fc.npy", npy(np.ones((2, 3), np.uint8)))
    for path in ("dump", "dump.npz"):
        with open_dump(tmp_path / path) as dump:
            damaged = dump.values("conv", "result")
            assert isinstance(damaged, Damaged)
            assert "conv.npy" in damaged.why
            assert needle in damaged.why
            assert "\n" not in damaged.why
            with pytest.raises(FileError, match=r"conv\.npy"):
                damaged.read(0, 0)
            assert dump.read("fc", "result", 0, 2).all()


def test_damaged_images_are_noted(tmp_path):
    path = as_folder(tmp_path / "dump", STAGES, np.zeros((2, 3, 3, 1), np.float32))
    with open_dump(path) as dump:
        assert dump.images is None
        assert "images.npy: holds float32, needed integers" in dump.passed_over["images"]


def test_links_and_pipes_are_damaged_arrays(tmp_path):
    path = as_folder(tmp_path / "dump", STAGES)
    os.symlink(tmp_path / "nowhere", path / "a.npy")
    os.mkfifo(path / "b.npy")
    with open_dump(path) as dump:
        assert "No such file" in dump.values("a", "result").why
        assert "is not a regular file" in dump.values("b", "result").why
        assert {*dump.files} == {("1.conv", "code"), ("1.conv", "total")}


def test_a_pickle_never_runs(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Bomb.explode, ())

        @staticmethod
        def explode():
            raise AssertionError("the pickle ran")

    path = tmp_path / "dump"
    path.mkdir()
    np.save(path / "conv.npy", np.array([[1, 2]], object))
    (path / "conv.npy").write_bytes((path / "conv.npy").read_bytes().replace(b"K\x01", b"K\x02"))
    with open_dump(path) as dump:
        assert "object" in dump.values("conv", "result").why


def test_a_file_that_shrinks_while_it_is_open(tmp_path):
    path = as_folder(tmp_path / "dump", STAGES)
    with open_dump(path) as dump:
        target = path / "1.conv.code.npy"
        target.write_bytes(target.read_bytes()[:-5])
        with pytest.raises(FileError, match="is truncated, image 1 is not there"):
            dump.read("1.conv", "code", 0, 2)


def test_odd_names(tmp_path):
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("a\nb.npy", npy(np.zeros((2, 3), np.uint8)))
    with pytest.raises(FileError, match="names must be printable text") as caught, open_dump(tmp_path / "odd.npz"):
        pass
    assert "\n" not in str(caught.value)
    stages = {"größe <x> & 'y'": {"code": np.zeros((1, 2), np.uint8)}}
    with open_dump(as_folder(tmp_path / "good", stages)) as dump:
        assert dump.layers == tuple(stages)


def test_two_arrays_for_one_stage(tmp_path):
    path = as_folder(tmp_path / "dump", STAGES)
    (path / "1.conv").mkdir()
    np.save(path / "1.conv" / "code.npy", STAGES["1.conv"]["code"])
    with pytest.raises(FileError, match="two arrays for stage code"), open_dump(path):
        pass


def test_a_member_that_is_there_twice_is_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", npy(np.zeros((2, 3), np.uint8)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy(np.ones((2, 3), np.uint8)))
    with pytest.raises(FileError, match="is there twice"), open_dump(tmp_path / "a.npz"):
        pass


def test_an_archive_that_hides_a_member(tmp_path):
    """The comment of one member, by its length, takes in the record of the next."""
    as_archive(tmp_path / "a.npz", STAGES)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(b"PK\x01\x02") + 32] = len(content) - 22 - content.rindex(b"PK\x01\x02")
    (tmp_path / "a.npz").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert len(archive.namelist()) == 1
    with pytest.raises(FileError, match="says that it has 2 members, and 1 are found"), open_dump(tmp_path / "a.npz"):
        pass


def test_a_zip_bomb_is_damaged_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros((2, 3), np.uint8)))
    content = bytearray((tmp_path / "bomb.npz").read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", 2**32 - 2)
    (tmp_path / "bomb.npz").write_bytes(content)
    with open_dump(tmp_path / "bomb.npz") as dump:
        assert "claims 4294967294 bytes in" in dump.values("a", "result").why


@pytest.mark.parametrize("cut", [3, 30, 90, 150])
def test_a_damaged_archive_is_refused_or_read_in_part(tmp_path, cut):
    as_archive(tmp_path / "a.npz", STAGES, compressed=True)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    for damaged in (bytes(content[:-cut]), bytes(content[:cut]) + bytes(20) + bytes(content[cut + 20 :])):
        (tmp_path / "b.npz").write_bytes(damaged)
        with suppress(FileError), open_dump(tmp_path / "b.npz") as dump:  # nothing else may come out
            for layer in dump.layers:
                for stage in dump.stages(layer):
                    if not isinstance(dump.values(layer, stage), Damaged):
                        np.testing.assert_array_equal(dump.read(layer, stage, 0, 2), STAGES[layer][stage])
