"""Datasets of HDF5 files: types, storage and sizes that are refused, and rows that are read back."""

import h5py
import numpy as np
import pytest
from hdf5_files import FORMATS, ONE, answer, make, refusal

from refengine.errors import FileError
from refengine.network import hdf5_dataset, read_hdf5
from refengine.network.read_hdf5 import open_checked


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some file.h5"


@pytest.mark.parametrize("stored", ["<f4", ">f4", "<f2", "<f8"])
def test_floats_of_any_width_keep_their_value(path, stored):
    make(path, lambda f: f.create_dataset("x", data=np.array([[0.5, -3.0]], stored)))
    found = answer(path, lambda root: root.array("x", np.float32, (1, None)))
    assert found.dtype == np.float32
    assert found.dtype.isnative
    assert found.tolist() == [[0.5, -3.0]]


@pytest.mark.parametrize(
    ("stored", "wanted", "words"),
    [
        (np.array([0.1]), np.float32, "cannot hold exactly"),
        (np.array([1e300]), np.float32, "cannot hold exactly"),
        (np.array([300]), np.uint8, "cannot hold exactly"),
        (np.array([2**64 - 1], np.uint64), np.int64, "cannot hold exactly"),
        (np.array([-1], np.int8), np.uint64, "cannot hold exactly"),
        (np.array([1]), np.float32, "holds int64, needed float32"),
        (np.array([1.0]), np.int32, "holds float64, needed int32"),
        (np.array([1j]), np.float32, "holds complex128"),
        (np.array([b"a"]), np.float32, "holds |S1"),
        (np.zeros(2, [("a", "f4")]), np.float32, "needed float32"),
        (np.zeros(2, np.longdouble), np.float64, "needed float64"),
        (np.array([1.0, np.nan]), np.float64, "holds nan at [1]"),
        (np.array([[1.0], [-np.inf]], np.float32), np.float32, "holds -inf at [1, 0]"),
        (np.array(np.inf, np.float32), np.float32, "holds inf at []"),
    ],
)
def test_wrong_types_and_values(path, stored, wanted, words):
    make(path, lambda f: f.create_dataset("x", data=stored))
    assert words in refusal(path, lambda root: root.array("x", wanted))


def test_finite_can_be_waived(path):
    make(path, lambda f: f.create_dataset("x", data=np.array([np.nan, np.inf, 1])))
    assert np.isnan(answer(path, lambda root: root.array("x", np.float32, finite=False))[0])


def test_arrays_of_another_shape_are_refused(path):
    make(path, lambda f: f.create_dataset("x", data=np.zeros((2, 3), np.float32)))
    assert answer(path, lambda root: root.array("x", np.float32, (None, 3))).shape == (2, 3)
    for shape in [(2,), (3, 2), (2, 3, None), ()]:
        assert "has shape (2, 3), needed (" in refusal(path, lambda root, s=shape: root.array("x", np.float32, s))


def exabytes(file):
    file.create_dataset("x", (1 << 60,), "f8", chunks=(1024,), compression="gzip")


def one_written_chunk_of_exabytes(file):
    file.create_dataset("x", (1 << 60,), "f4", chunks=(1024,), compression="gzip")[:1024] = 0


def negative_looking_size(file):
    file.create_dataset("x", (1 << 32, 1 << 31), "f4", chunks=(1 << 10, 1 << 10))


def never_written(file):
    file.create_dataset("x", (10,), "f4")


def half_written(file):
    file.create_dataset("x", (100,), "f4", chunks=(10,), compression="gzip")[:50] = 1


def external_storage(file):
    file.create_dataset("x", (2,), "f4", external=[(__file__, 0, 8)])


def virtual(file):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(file.filename, "real", (3,))
    file["real"] = ONE
    file.create_virtual_dataset("x", layout)


def other_filter(file):
    file.create_dataset("x", data=np.zeros(1000, "f4"), compression="lzf")


def lossy_filter(file):
    file.create_dataset("x", data=np.zeros(1000, "f4"), scaleoffset=3)


def gzip_twice(file):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((1000,))
    plan.set_deflate(9)
    plan.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
    made = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((1000,)), plan)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(1000, "f4"))


def no_array(file):
    file["x"] = h5py.Empty("f4")


STORAGE = [
    (exabytes, "claims 9223372036854775808 bytes in 0 stored"),
    (one_written_chunk_of_exabytes, "claims 4611686018427387904 bytes in"),
    (negative_looking_size, "claims 36893488147419103232 bytes in 0 stored"),
    (never_written, "claims 40 bytes in 0 stored"),
    (half_written, "has 5 of its 10 chunks"),
    (external_storage, "in another file"),
    (virtual, "virtual"),
    (other_filter, "filters"),
    (lossy_filter, "filters"),
    (gzip_twice, "each once"),
    (no_array, "is empty"),
]


@pytest.mark.parametrize(("build", "words"), STORAGE, ids=[build.__name__ for build, _ in STORAGE])
def test_storage_that_is_refused(path, build, words):
    make(path, build)
    assert words in refusal(path, lambda root: root.array("x", np.float32))
    assert words in refusal(path, lambda root: root.dataset("x", np.float32))
    assert words in refusal(path, lambda root: root.texts("x"))


def test_arrays_beyond_the_limits_are_refused(path, monkeypatch):
    make(path, lambda f: f.create_dataset("x", data=np.zeros((8, 100), "f4"), chunks=(8, 100), compression="gzip"))
    with monkeypatch.context() as patch:
        patch.setattr(read_hdf5, "MAX_ARRAY_BYTES", 3000)
        patch.setattr(hdf5_dataset, "MAX_ARRAY_BYTES", 3000)
        assert "claims 3200 bytes, at most 3000" in refusal(path, lambda root: root.array("x", np.float32))
        assert "8 rows are 3200 bytes" in refusal(path, lambda root: root.dataset("x", np.float32)[:])
        assert answer(path, lambda root: root.dataset("x", np.float32)[:7]).shape == (7, 100)
    with monkeypatch.context() as patch:
        patch.setattr(hdf5_dataset, "MAX_CHUNK_BYTES", 3000)
        assert "has chunks of 3200 bytes" in refusal(path, lambda root: root.array("x", np.float32))

    def again_and_again(root):
        root._source.left = 10_000
        for _ in range(4):
            root.array("x", np.float32)

    assert "arrays larger than" in refusal(path, again_and_again)


def test_rows_of_a_dataset(path):
    rows = np.arange(30, dtype=np.uint8).reshape(10, 3)
    make(path, lambda f: f.create_dataset("x", data=rows, chunks=(4, 3), compression="gzip", fletcher32=True))
    with open_checked(path, FORMATS) as root:
        found = root.dataset("x", np.uint8, (None, 3))
        assert (len(found), found.shape, found.chunk_rows) == (10, (10, 3), 4)
        np.testing.assert_array_equal(found[3:8], rows[3:8])
        np.testing.assert_array_equal(found[8:99], rows[8:])
        assert found[4:4].shape == (0, 3)
        for start, stop in [(-1, 2), (3, 2), (5, 11)]:
            with pytest.raises(FileError, match=r"has rows 0\.\.9"):
                found.read(start, stop)
        with pytest.raises(FileError, match="steps of 1"):
            found[::2]


def test_damaged_chunk_is_a_file_error(path):
    rows = np.random.default_rng(0).integers(0, 256, (64, 100), np.uint8)
    make(path, lambda f: f.create_dataset("x", data=rows, chunks=(8, 100), fletcher32=True, compression="gzip"))
    with h5py.File(path) as file:
        where = file["x"].id.get_chunk_info(5).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[where + 400] ^= 1
    path.write_bytes(damaged)
    assert "/x: cannot be read (" in refusal(path, lambda root: root.array("x", np.uint8))
    assert "/x: cannot be read (" in refusal(path, lambda root: root.dataset("x", np.uint8)[40:48])
    assert (answer(path, lambda root: root.dataset("x", np.uint8)[:40]) == rows[:40]).all()
