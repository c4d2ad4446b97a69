"""A file appears whole, or nothing does."""

import os
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest
from hdf5_files import ONE, answer, make
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refengine.errors import FileError, NetworkError
from refengine.network import write_hdf5
from refengine.network.write_hdf5 import put_array, put_attributes, write_atomically


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some file.h5"


def test_the_file_appears_whole_and_alone(path, tmp_path):
    with write_atomically(path) as file:
        assert not path.exists()
        put_attributes(file, {"format": "test", "version": 2, "none": None, "pair": (1, 2), "half": 0.5})
        put_array(file, "x", ONE)
    assert os.listdir(tmp_path) == [path.name]
    assert answer(path, lambda root: root.array("x", np.float32)).tolist() == [1, 1, 1]
    assert answer(path, lambda root: (root.integers("pair", 2, 0, 9), root.real("half"))) == ((1, 2), 0.5)
    assert not answer(path, lambda root: root.has_attribute("none"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, NetworkError, SystemExit])
def test_nothing_is_left_of_an_interrupted_one(path, tmp_path, error):
    path.write_bytes(b"before")

    def interrupted():
        with write_atomically(path) as file:
            put_array(file, "x", ONE)
            raise error("stop")

    with pytest.raises(error):
        interrupted()
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"before"


def test_other_os_errors_become_file_errors(path, tmp_path):
    with pytest.raises(FileError, match="cannot be written"), write_atomically(path):
        raise OSError("disk on fire")
    assert os.listdir(tmp_path) == []


def test_disk_that_is_almost_full(path, monkeypatch):
    monkeypatch.setattr(
        write_hdf5.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(2**40, 2**40, 5_000_000)
    )
    with write_atomically(path) as file:
        put_array(file, "small", ONE)
    with pytest.raises(FileError, match="8000000 bytes may not fit"), write_atomically(path) as file:
        put_array(file, "large", np.zeros(1_000_000))


def test_an_input_is_never_overwritten(path, tmp_path):
    make(path)
    (tmp_path / "soft.h5").symlink_to(path)
    os.link(path, tmp_path / "hard.h5")
    for name in (path.name, "soft.h5", "hard.h5", f"../{tmp_path.name}/{path.name}"):
        with pytest.raises(FileError, match="is also read from"), write_atomically(tmp_path / name, ["none", path]):
            pass
    with pytest.raises(FileError, match="is also read from"), write_atomically(tmp_path / "new", [tmp_path / "new"]):
        pass


def test_places_that_cannot_be_written(path, tmp_path):
    with pytest.raises(FileError, match="there is no folder"), write_atomically(tmp_path / "no" / "x.h5"):
        pass
    with pytest.raises(FileError, match="not a regular file"), write_atomically(tmp_path):
        pass
    with pytest.raises(FileError, match="not a regular file"), write_atomically("/dev/null"):
        pass
    with pytest.raises(FileError, match="cannot be written"), write_atomically("a\0b"):
        pass


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    with write_atomically(link) as file:
        put_array(file, "x", ONE)
    assert link.is_symlink()
    assert path.is_file()


def test_same_content_same_bytes(tmp_path, monkeypatch):
    """In two processes, a second apart, for a clock that HDF5 would store in seconds."""
    program = """
import sys, time, numpy as np
from refengine.network.write_hdf5 import put_array, put_attributes, write_atomically
time.sleep(float(sys.argv[2]))
with write_atomically(sys.argv[1]) as file:
    put_attributes(file, {"format": "test", "version": 1, "text": "t" * 100, "list": [1.5, 2.5]})
    for name in "abcdefghij":
        group = file.create_group(name)
        put_attributes(group, {"number": 3})
        put_array(group, "large", np.arange(5000.0))
        put_array(group, "small", np.arange(5))
"""
    for name, wait in (("one", "0"), ("two", "1.1")):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name), wait], check=True, timeout=60)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@given(
    st.sampled_from(["i1", "u1", "<i2", ">i4", "<u8", "<f4", ">f8", "f2"]).flatmap(
        lambda kind: arrays(kind, st.sampled_from([(), (0,), (3,), (2, 3), (40, 7, 9)]), fill=st.just(0))
    )
)
def test_arrays_come_back(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("round") / "x.h5"
    with write_atomically(path) as file:
        put_attributes(file, {"format": "test", "version": 1})
        stored = put_array(file, "x", array)
        assert stored.dtype.byteorder != ">"
        assert (stored.compression == "gzip") == (array.nbytes >= 4096)
    found = answer(path, lambda root: root.array("x", array.dtype, array.shape, finite=False))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")


def test_put_array_refuses_what_is_no_number(path):
    with pytest.raises(FileError, match="only numbers"), write_atomically(path) as file:
        put_array(file, "x", np.array([b"a"]))
    with write_atomically(path) as file:
        assert put_array(file, "flags", np.array([True, False])).dtype == np.uint8
