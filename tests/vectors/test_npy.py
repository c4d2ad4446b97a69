"""NumPy's files: numpy.load reads them, and nothing but the array that is needed is accepted."""

import io

import numpy as np
import pytest

from refengine.errors import FileError
from refengine.vectors import npy

ARRAY = np.random.default_rng(3).integers(-128, 128, (5, 3, 2)).astype(np.int32)


@pytest.fixture
def path(tmp_path):
    with open(tmp_path / "a.npy", "wb") as file:
        npy.write(file, "int32", ARRAY.shape, [ARRAY[:2], ARRAY[2:]])
    return tmp_path / "a.npy"


def test_numpy_reads_it(path):
    found = np.load(path, allow_pickle=False)
    assert found.dtype == np.dtype("<i4")
    np.testing.assert_array_equal(found, ARRAY)


def test_rows_are_read_alone(path):
    for start, stop in [(0, 5), (2, 4), (5, 5)]:
        np.testing.assert_array_equal(npy.read(path, "int32", ARRAY.shape, start, stop), ARRAY[start:stop])


def saved(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        (lambda good: b"", "cannot be read"),
        (lambda good: good[:50], "cannot be read"),
        (lambda good: good[:-1], "bytes, needed"),
        (lambda good: good + b"\0", "bytes, needed"),
        (lambda good: b"\x93NUMPY\x03\x00" + good[8:], "version 3.0, needed 1.0"),
        (lambda good: saved(ARRAY.astype(np.int64)), "holds int64 (5, 3, 2), needed int32 (5, 3, 2)"),
        (lambda good: saved(ARRAY.astype(">i4")), "holds >i4"),
        (lambda good: saved(np.asfortranarray(ARRAY)), "in Fortran order"),
        (lambda good: saved(ARRAY[:4]), "holds int32 (4, 3, 2), needed"),
        (lambda good: good.replace(b"(5, 3, 2)", b"(5, 3, x)"), "cannot be read"),
        (lambda good: good.replace(b"(5, 3, 2)", b"(5, 3, 2("), "cannot be read"),
    ],
)
def test_changed_files_are_refused(path, change, needle):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(FileError) as refusal:
        npy.read(path, "int32", ARRAY.shape, 0, 5)
    assert str(refusal.value).startswith(str(path))
    assert needle in str(refusal.value)


@pytest.mark.parametrize(("start", "stop"), [(0, 6), (-1, 2), (3, 2)])
def test_rows_that_do_not_exist(path, start, stop):
    with pytest.raises(FileError, match=r"has rows 0\.\.4, asked for"):
        npy.read(path, "int32", ARRAY.shape, start, stop)
