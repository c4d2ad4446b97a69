"""weights/pack_images.py: from the original IDX files to labelled images."""

import gzip
import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "weights" / "pack_images.py"


@pytest.fixture(scope="module")
def script():
    """The module weights/pack_images.py, loaded from its path."""
    spec = importlib.util.spec_from_file_location("weights_pack_images", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_idx(path, array):
    """One gzipped IDX file of unsigned bytes: 0, 0, type 8, rank, the axes as big-endian uint32, the values."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_read_split(script, tmp_path):
    random = np.random.default_rng(1)
    images, labels = random.integers(0, 256, (7, 28, 28), np.uint8), np.arange(7, dtype=np.uint8)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", images)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", labels)
    read_images, read_labels = script.read_split(tmp_path, "t10k")
    np.testing.assert_array_equal(read_images, images[..., np.newaxis])
    np.testing.assert_array_equal(read_labels, labels)


def test_a_file_that_is_not_idx_is_refused_by_name(script, tmp_path):
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(SystemExit, match=r"train-labels-idx1-ubyte\.gz: not an IDX file"):
        script.read_idx(path)


def test_calibration_choice_is_every_sixtieth_of_a_class(script):
    labels = np.random.default_rng(2).permutation(np.repeat(np.arange(10), 6000))
    chosen = script.calibration_choice(labels)
    assert np.all(np.diff(chosen) > 0)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        np.testing.assert_array_equal(chosen[labels[chosen] == label], members[0:6000:60])


def test_images_are_written_with_their_source(script, tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (5, 28, 28, 1), np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    script.write_images(tmp_path / "few.h5", images, labels, "somewhere")
    with h5py.File(tmp_path / "few.h5") as file:
        np.testing.assert_array_equal(file["images"], images)
        np.testing.assert_array_equal(file["labels"], labels)
        assert file["labels"].dtype == np.int32
        assert file.attrs["source"] == "somewhere"
