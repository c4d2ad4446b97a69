"""What is written block by block is what ``open_images`` reads, however the blocks were cut."""

from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError
from refengine.interop.images.image_file import write_image_set
from refengine.interop.images.image_set import Block, ImageSet
from refengine.network import write_hdf5
from refengine.network.images import open_images

PIXELS = np.random.default_rng(1).integers(0, 256, (50, 3, 4, 3), np.uint8)
LABELS = np.arange(50) % 3
ORIGIN = {"source": "here", "licence": "none"}


def image_set(blocks, names=("a", "b", "c"), count=50):
    return ImageSet("set", count, names, lambda _: iter(blocks))


def cut(sizes):
    """The 50 images in blocks."""
    edges = [0, *np.cumsum(sizes).tolist(), 50]
    return [Block(PIXELS[a:b], LABELS[a:b], tuple(f"é{n}" for n in range(a, b))) for a, b in pairwise(edges) if a < b]


@given(st.lists(st.integers(0, 20), max_size=6).filter(lambda sizes: sum(sizes) <= 50))
def test_blocks_of_any_size_give_the_same_bytes(tmp_path_factory, sizes):
    path, whole = (tmp_path_factory.getbasetemp() / name for name in ("blocks.h5", "whole.h5"))
    steps = []
    written = write_image_set(
        path, image_set(cut(sizes)), np.arange(50), ORIGIN, progress=lambda done, total: steps.append((done, total))
    )
    if not whole.exists():
        write_image_set(whole, image_set(cut([])), np.arange(50), ORIGIN)
    assert path.read_bytes() == whole.read_bytes()
    assert (written.count, written.shape, written.classes) == (50, (3, 4, 3), (17, 17, 16))
    assert steps == sorted(steps)
    assert steps[-1] == (50, 50)
    with open_images(path) as images, h5py.File(path) as file:
        np.testing.assert_array_equal(images.read(0, 50), PIXELS)
        np.testing.assert_array_equal(images.labels, LABELS)
        assert images.class_names == ("a", "b", "c")
        assert [name.decode() for name in file["files"]] == [f"é{n}" for n in range(50)]
        assert (file.attrs["source"], file.attrs["licence"]) == ("here", "none")


@pytest.mark.parametrize("kept", [1, 15, 16, 17, 33])
def test_damaged_images_leave_no_gap(tmp_path, kept):
    blocks = [
        Block(PIXELS[:0], LABELS[:0], (), ("x",)),
        Block(PIXELS[:kept], None, damaged=("y",) * (49 - kept), tilted=2),
    ]
    written = write_image_set(tmp_path / "x.h5", image_set(blocks, None), np.arange(50), ORIGIN)
    assert (written.count, len(written.damaged), written.tilted, written.classes) == (kept, 50 - kept, 2, None)
    with open_images(tmp_path / "x.h5", labels_required=False) as images:
        assert images.labels is None
        np.testing.assert_array_equal(images.read(0, images.count), PIXELS[:kept])


def broken():
    yield cut([])[0]
    raise FileError("broken")


@pytest.mark.parametrize(
    ("blocks", "names", "needle"),
    [
        ([Block(PIXELS[:0], None, damaged=("x", "y"))], None, "x: is damaged, and so are all of 2 images"),
        (cut([]), ("a", "b"), r"/x\.h5: image 2 has label 2, needed 0\.\.1"),
        ([*cut([])[:1], Block(PIXELS[:1], np.array([3]))], ("a", "b", "c"), r"image 50 has label 3, needed 0\.\.2"),
        (broken(), None, "broken"),
    ],
)
def test_nothing_is_left_behind(tmp_path, blocks, names, needle):
    with pytest.raises(FileError, match=needle):
        write_image_set(tmp_path / "x.h5", image_set(blocks, names), np.arange(50), ORIGIN)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_said_beforehand(tmp_path, monkeypatch):
    usage = write_hdf5.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        write_hdf5.shutil, "disk_usage", lambda _: usage._replace(free=write_hdf5.SPARE_BYTES + 50 * 36 - 1)
    )
    with pytest.raises(FileError, match=r"/x\.h5: cannot be written, 1800 bytes may not fit"):
        write_image_set(tmp_path / "x.h5", image_set(cut([])), np.arange(50), ORIGIN)
    assert list(tmp_path.iterdir()) == []
