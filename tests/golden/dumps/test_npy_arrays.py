"""Arrays in NumPy's format: every integer type comes back row by row, and errors of the libraries are one line."""

import io
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, byte_string_dtypes, integer_dtypes

from refengine.errors import FileError
from refengine.golden.dumps.npy_arrays import Reopened, guarded, npy_array


def stored(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    size = file.tell()
    file.seek(0)
    return file, size


@given(st.data())
def test_any_rows_of_any_integers(data):
    dtype = data.draw(integer_dtypes(endianness="?"))
    array = np.ascontiguousarray(data.draw(arrays(dtype, array_shapes(min_dims=1, max_dims=4, max_side=4))))
    file, size = stored(array)
    found = npy_array(file, "a.npy", size)
    assert (found.shape, found.dtype) == (array.shape, array.dtype.newbyteorder("="))
    start = data.draw(st.integers(0, len(array)))
    stop = data.draw(st.integers(start, len(array)))
    np.testing.assert_array_equal(found.read(start, stop), array[start:stop])


@given(arrays(byte_string_dtypes(min_len=1), (2, 2)))
def test_other_types_are_refused(array):
    file, size = stored(array)
    with pytest.raises(FileError, match=r"a\.npy: holds .*, needed integers"):
        npy_array(file, "a.npy", size)


def test_a_truncated_file_says_so():
    file, size = stored(np.zeros((20, 30), np.uint8))
    with pytest.raises(FileError, match=r"a\.npy: is truncated: claims 600 bytes of numbers and has 599"):
        npy_array(file, "a.npy", size - 1)
    file.seek(0)
    with pytest.raises(FileError, match=r"a\.npy: claims 600 bytes of numbers and has 601"):
        npy_array(file, "a.npy", size + 1)


@pytest.mark.parametrize(
    "error", [OSError("x\ny"), ValueError("x"), zlib.error("x"), zipfile.BadZipFile("x"), EOFError(), MemoryError()]
)
def test_errors_of_the_libraries_are_one_line(error):
    with pytest.raises(FileError, match=r"a\.npy: cannot be read") as caught, guarded("a.npy"):
        raise error
    assert "\n" not in str(caught.value)


def test_a_file_is_open_only_while_it_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"abcdef")
    with Reopened(tmp_path / "a") as file:
        assert (file.readable(), file.seekable()) == (True, True)
        assert (file.read(2), file.tell(), file.read()) == (b"ab", 2, b"cdef")
        assert (file.seek(1), file.seek(2, 1), file.read(1)) == (1, 3, b"d")
        (tmp_path / "a").unlink()
        with pytest.raises(FileNotFoundError):
            file.read()
