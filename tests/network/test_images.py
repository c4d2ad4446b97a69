"""Image files: slices, choices and batches are the images that were written; damage is refused."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError, RangeError, RefengineError
from refengine.network.images import chosen_images, evenly_spaced, open_images, write_images

IMAGES = np.random.default_rng(1).integers(0, 256, (37, 9, 5, 3), np.uint8)  # large enough for chunks of 16 images
LABELS = np.arange(37) % 3
NAMES = ["ant", "Bär", "cat"]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "images.h5"
    write_images(path, IMAGES, LABELS, NAMES, "here", "none")
    return path


def refusal(path, **keywords):
    with pytest.raises(FileError) as caught, open_images(path, **keywords):
        pass
    assert str(caught.value).isprintable()
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_what_was_written_is_read(path):
    with open_images(path) as images:
        assert (images.count, images.shape, images.class_names) == (37, (9, 5, 3), tuple(NAMES))
        np.testing.assert_array_equal(images.labels, LABELS)
        np.testing.assert_array_equal(images.read(0, 37), IMAGES)
        np.testing.assert_array_equal(images.read(15, 18), IMAGES[15:18])
        for start, stop in ((-1, 3), (30, 38), (4, 3)):
            with pytest.raises(RefengineError):
                images.read(start, stop)


@given(st.lists(st.integers(0, 36), max_size=50))
def test_take_is_fancy_indexing(tmp_path_factory, indices):
    path = tmp_path_factory.getbasetemp() / "taken.h5"
    if not path.exists():
        write_images(path, IMAGES, None)
    with open_images(path, labels_required=False) as images:
        assert images.labels is None
        assert images._images.chunk_rows == 16
        np.testing.assert_array_equal(images.take(indices), IMAGES[np.array(indices, int)])


@pytest.mark.parametrize("indices", [[37], [-1], [0, 100]])
def test_take_of_images_that_do_not_exist(path, indices):
    with open_images(path) as images, pytest.raises(RangeError, match=r"has images 0\.\.36, asked for"):
        images.take(indices)


@given(size=st.integers(1, 40), limit=st.one_of(st.none(), st.integers(0, 50)))
def test_batches_cover_everything_once(tmp_path_factory, size, limit):
    path = tmp_path_factory.getbasetemp() / "batches.h5"
    if not path.exists():
        write_images(path, IMAGES, LABELS)
    end = 37 if limit is None else min(limit, 37)
    with open_images(path) as images:
        found = list(images.batches(size, limit))
    assert [start for start, _, _ in found] == list(range(0, end, size))
    assert all(1 <= len(batch) <= size for _, batch, _ in found)
    np.testing.assert_array_equal(np.concatenate([IMAGES[:0], *(batch for _, batch, _ in found)]), IMAGES[:end])
    np.testing.assert_array_equal(np.concatenate([LABELS[:0], *(labels for _, _, labels in found)]), LABELS[:end])


def test_a_batch_of_nothing_is_refused(path):
    with open_images(path) as images, pytest.raises(RangeError, match="needed at least 1"):
        next(images.batches(0))


def test_labels_may_be_missing_only_where_they_are_not_needed(path):
    with h5py.File(path, "r+") as file:
        del file["labels"]
    assert "has no 'labels'" in refusal(path)
    with open_images(path, labels_required=False) as images:
        assert [labels for _, _, labels in images.batches(30)] == [None, None]


@given(count=st.integers(1, 300), wanted=st.integers(1, 300))
def test_evenly_spaced_images_begin_at_0_and_spread(count, wanted):
    chosen = evenly_spaced(count, wanted)
    assert len(chosen) == min(count, wanted)
    assert chosen[0] == 0
    assert chosen[-1] < count
    gaps = np.diff([*chosen, count])
    assert set(gaps.tolist()) <= {count // len(chosen), -(-count // len(chosen))}
    assert (gaps >= 1).all()


@pytest.mark.parametrize(("count", "wanted"), [(0, 1), (1, 0), (5, -1)])
def test_evenly_spaced_needs_at_least_one_of_one(count, wanted):
    with pytest.raises(RangeError):
        evenly_spaced(count, wanted)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("images", IMAGES.astype(np.float32), "holds float32, needed uint8"),
        ("images", IMAGES.astype(np.int16) + 1, "cannot hold exactly"),
        ("images", IMAGES[0], "has shape (9, 5, 3), needed (any, any, any, any)"),
        ("images", IMAGES[:0], "needed at least one image"),
        ("images", IMAGES[..., :2], "1 or 3 channels"),
        ("images", None, "has no 'images'"),
        ("labels", LABELS[:5], "/labels: has shape (5,), needed (37)"),
        ("labels", LABELS.astype(float), "holds float64"),
        ("labels", LABELS - 1, "holds -1..1, needed class numbers in 0..2"),
        ("labels", LABELS + 1, "holds 1..3, needed class numbers in 0..2"),
        ("class_names", np.arange(3), "strings"),
        ("class_names", np.array([b"a", b"\xff", b"c"]), "'class_names'[1] is not UTF-8 text"),
    ],
)
def test_damaged_files_are_refused(path, name, value, words):
    with h5py.File(path, "r+") as file:
        del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(FileError) as caught, open_images(path) as images:
        images.read(0, images.count)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("keep", range(2, 100, 7))
def test_a_truncated_file_is_refused(path, keep):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * keep // 100])
    refusal(path)


def test_a_trillion_images_are_not_believed(path):
    with h5py.File(path, "r+") as file:
        del file["images"]
        file.create_dataset("images", (10**12, 224, 224, 3), "u1", chunks=(1, 224, 224, 3), compression="gzip")
    assert "claims 150528000000000000 bytes in 0 stored" in refusal(path)


def test_writer_refuses_what_no_reader_takes(tmp_path):
    path = tmp_path / "x.h5"
    for images in (IMAGES.astype(int), IMAGES[0], IMAGES[:0], IMAGES[..., :2]):
        with pytest.raises(FileError, match="needed uint8"):
            write_images(path, images, None)
    for labels in (LABELS[:3], LABELS + 0.5, LABELS - 1, LABELS + 2**31):
        with pytest.raises(FileError, match="labels are"):
            write_images(path, IMAGES, labels)
    with pytest.raises(FileError, match=r"integers in 0\.\.1"):
        write_images(path, IMAGES, LABELS, NAMES[:2])
    assert not path.exists()


def test_same_images_same_bytes(path, tmp_path):
    write_images(tmp_path / "again.h5", IMAGES, LABELS.tolist(), NAMES, "here", "none")
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("first", "wanted", "numbers"),
    [(0, None, range(0, 5)), (0, 2, range(0, 2)), (3, None, range(3, 5)), (3, 9, range(3, 5)), (4, 1, range(4, 5))],
)
def test_first_and_count_choose_the_images(first, wanted, numbers):
    assert chosen_images(5, first, wanted, "x.h5") == numbers


def test_an_image_that_is_not_there():
    with pytest.raises(RangeError, match=r"x\.h5: has images 0\.\.4, asked for 5"):
        chosen_images(5, 5, 1, "x.h5")
    with pytest.raises(RangeError, match=r"x\.h5: has images 0\.\.4, asked for -1"):
        chosen_images(5, -1, 1, "x.h5")
    with pytest.raises(RangeError, match=r"x\.h5: 0 images are asked for"):
        chosen_images(5, 0, 0, "x.h5")
