"""IDX files: MNIST's four in a folder, or one of images with one of labels; Fashion-MNIST is what ships."""

import gzip
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from data_sets import gray_images, idx, mnist
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError, RefengineError
from refengine.interop.images.archives import open_files
from refengine.interop.images.idx import is_idx, open_idx

ROOT = Path(__file__).resolve().parents[3]
FASHION = Path("/usr/share/datasets/fashion-mnist")
TRAIN, TEST = gray_images(9), gray_images(4, seed=8)


def read(path, split=None, labels=None, chosen=None):
    with open_files(path) as files:
        assert is_idx(files)
        images = open_idx(files, split, labels)
        blocks = list(images.blocks(np.arange(images.count) if chosen is None else np.array(chosen)))
    pixels = np.concatenate([block.pixels for block in blocks])
    found = [block.labels for block in blocks]
    return pixels, None if found[0] is None else np.concatenate(found)


def refusal(path, *arguments):
    with pytest.raises(FileError) as caught:
        read(path, *arguments)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_is_read_by_split(tmp_path, packed):
    folder = mnist(tmp_path / "set", {"train": TRAIN, "t10k": TEST}, packed)
    for split, (images, labels) in (("train", TRAIN), ("test", TEST)):
        pixels, found = read(folder, split)
        assert pixels[..., 0].tolist() == images
        assert found.tolist() == labels
    assert read(folder, "train", chosen=[2, 7])[1].tolist() == [TRAIN[1][2], TRAIN[1][7]]
    assert "needed --split" in refusal(folder)


def test_many_images_come_in_blocks(tmp_path):
    images, labels = gray_images(700, 2, 3)
    pixels, found = read(mnist(tmp_path / "set", {"train": (images, labels)}))
    assert pixels[..., 0].tolist() == images
    assert found.tolist() == labels


def test_one_file_with_and_without_labels(tmp_path):
    mnist(tmp_path / "set", {"train": TRAIN})
    images, labels = (tmp_path / "set" / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1"))
    pixels, found = read(images, None, labels)
    assert pixels[..., 0].tolist() == TRAIN[0]
    assert found.tolist() == TRAIN[1]
    assert read(images)[1] is None
    assert "splits are those of a folder" in refusal(images, "test")
    assert "is for one file" in refusal(tmp_path / "set", "train", labels)


def test_a_split_that_is_not_whole(tmp_path):
    folder = mnist(tmp_path / "set", {"train": TRAIN, "t10k": TEST})
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "has no labels of the split test" in refusal(folder, "test")
    (folder / "train-images-idx3-ubyte").write_bytes(b"")
    assert "has both train-images-idx3-ubyte and train-images-idx3-ubyte.gz" in refusal(folder, "train")


@pytest.mark.parametrize("kind", [9, 11, 12, 13, 14])
def test_other_types_of_values_are_named(tmp_path, kind):
    (tmp_path / "images").write_bytes(idx((2, 1, 1), range(8), kind))
    assert f"is IDX of type {kind} and rank 3, needed images (N, H, W): type 8" in refusal(tmp_path / "images")


@pytest.mark.parametrize(
    ("content", "plain", "packed"),
    [
        (b"", "is no IDX file, it begins with nothing", None),
        (b"\0\0\x08", "is no IDX file, it begins with 00 00 08", None),
        (b"\x89PNG....", "is no IDX file, it begins with 89 50 4e 47", None),
        (idx((2, 3), range(6)), "type 8 and rank 2, needed images (N, H, W): type 8, rank 3", None),
        (idx((1, 1, 1), range(2), kind=0x0B), "type 11 and rank 3", None),
        (idx((2, 2, 2), range(7)), "claims 8 values of one byte and has 7", "is truncated, 8 bytes were to follow"),
        (idx((2, 2, 2), range(9)), "claims 8 values of one byte and has 9", "goes on behind the last value"),
        (idx((0, 2, 2), ()), "needed at least one image", None),
        (idx((2, 0, 2), ()), "needed at least one image", None),
        (idx((2**32 - 1,) * 3, ()), "of a possible size", None),
        (idx((2**32 - 1, 28, 28), ()), "claims 3367254359280 values of one byte and has 0", "of a possible size"),
        (idx((4, 2, 2), ())[:9], "is truncated, 12 bytes were to follow and 5 do", None),
        (idx((3, 2, 2), range(12)), "has 3 images, there are 2 labels", None),
    ],
)
def test_damaged_images_are_refused(tmp_path, content, plain, packed):
    for is_packed, needle in ((False, plain), (True, packed or plain)):
        folder = mnist(tmp_path / f"packed {is_packed}", {"train": gray_images(2, 2, 2)}, is_packed)
        path = next(folder.glob("*images*"))
        path.write_bytes(gzip.compress(content) if is_packed else content)
        message = refusal(folder)
        assert message.startswith(f"{folder}: {path.name}: ")
        assert needle in message


def test_damaged_labels_are_refused(tmp_path):
    folder = mnist(tmp_path / "set", {"train": TRAIN}, packed=False)
    path = folder / "train-labels-idx1-ubyte"
    for content, needle in (
        (idx((9,), range(8)), "claims 9 values of one byte and has 8"),
        (idx((8,), range(8)), "has 9 images, there are 8 labels"),
        (idx((9, 1), range(9)), "needed labels (N): type 8, rank 1"),
    ):
        path.write_bytes(content)
        assert needle in refusal(folder)


@given(st.data())
def test_damage_is_read_or_refused(tmp_path_factory, data):
    content = bytearray(idx((3, 4, 5), range(60)))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, 20))] = data.draw(st.integers(0, 255))
    content = bytearray(bytes(content[: data.draw(st.integers(0, len(content)))]))
    if data.draw(st.booleans()):
        content = bytearray(gzip.compress(content, 1))
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "images"
    path.write_bytes(content)
    with suppress(RefengineError), open_files(path) as files:  # nothing else may come out
        if is_idx(files):
            images = open_idx(files)
            list(images.blocks(np.arange(images.count)))


@pytest.mark.skipif(not FASHION.is_dir(), reason="Fashion-MNIST is not installed (Debian: dataset-fashion-mnist)")
def test_fashion_mnist_is_what_ships():
    pixels, labels = read(FASHION, "test")
    with h5py.File(ROOT / "weights" / "fashion-test-10000.h5") as file:
        np.testing.assert_array_equal(pixels, file["images"])
        np.testing.assert_array_equal(labels, file["labels"])
