"""A path is recognised by what it holds, and converted whole or not at all."""

import os

import h5py
import numpy as np
import pytest
from data_sets import TEN, cifar10, cifar100, cifar_images, gray_images, mnist, write_archive, write_folder

from refengine import optional
from refengine.errors import FileError, RangeError, RefengineError
from refengine.interop.images.datasets import Reading, convert_images, open_image_set
from refengine.network.images import open_images

IMAGES, OTHERS = cifar_images(30), cifar_images(8, 2)
FINE_IMAGES = cifar_images(6, 3, 100, 20)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """One source of each kind."""
    folder = tmp_path_factory.mktemp("sets")
    write_archive(folder / "ten.tar.gz", cifar10([IMAGES], OTHERS)[0])
    write_folder(folder / "hundred", cifar100(FINE_IMAGES, FINE_IMAGES)[1])
    mnist(folder / "mnist", {"train": gray_images(5), "t10k": gray_images(3, seed=4)})
    write_folder(folder / "archive", {})
    write_archive(folder / "other.tar.gz", {"a.png": b""})
    (folder / "text").write_bytes(b"nothing of the kind")
    (folder / "names").write_bytes("\ufeffé\nb\nc\nd\ne\nf\ng\nh\ni\nk\n\n".encode())
    return folder


def what_is(path, **fields):
    with open_image_set(path, Reading(**fields)) as images:
        return images.what, images.count


def test_sources_are_recognised(sets):
    assert what_is(sets / "ten.tar.gz", split="train") == ("CIFAR-10, binary, train", 30)
    assert what_is(sets / "hundred", split="test", coarse=True) == ("CIFAR-100, Python, coarse, test", 6)
    assert what_is(sets / "mnist", split="test") == ("IDX, mnist, test", 3)
    assert what_is(sets / "mnist" / "train-images-idx3-ubyte.gz") == ("IDX, train-images-idx3-ubyte.gz", 5)


@pytest.mark.parametrize(
    ("name", "fields", "needle"),
    [
        ("text", {}, "unrecognised dataset; supported"),
        ("other.tar.gz", {}, "unrecognised dataset; supported"),
        ("archive", {}, "unrecognised dataset: holds no images"),
        ("missing", {}, "No such file"),
        ("ten.tar.gz", {"split": "test", "size": (8, 8)}, "--size does not apply: "),
        ("ten.tar.gz", {"split": "test", "skip_damaged": True}, "--skip-damaged does not apply: "),
        ("mnist", {"split": "test", "coarse": True}, "--coarse does not apply: "),
        ("archive", {"split": "test"}, "--split does not apply: "),
        ("archive", {"resize": 8}, "need --size"),
        ("mnist", {"split": "test", "class_names": "missing"}, "No such file"),
    ],
)
def test_unrecognised_files_and_wrong_options_are_refused(sets, name, fields, needle):
    with pytest.raises(RefengineError, match=needle):
        what_is(sets / name, **fields)


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"a\na\n", b"\xff\n", b"x" * 70000])
def test_names_that_are_refused(sets, tmp_path, content):
    (tmp_path / "names").write_bytes(content)
    with pytest.raises(FileError):
        what_is(sets / "mnist", split="test", class_names=tmp_path / "names")


def test_converted_images_are_those_of_the_source(sets, tmp_path):
    output = tmp_path / "out.h5"
    images, written = convert_images(sets / "ten.tar.gz", output, Reading(split="train"), first=3, evenly=5)
    chosen = [3 + n * 27 // 5 for n in range(5)]
    assert (images.count, written.count) == (30, 5)
    with open_images(output) as made, h5py.File(output) as file:
        assert made.labels.tolist() == [IMAGES[n][0] for n in chosen]
        planes = np.frombuffer(b"".join(IMAGES[n][2] for n in chosen), np.uint8).reshape(5, 3, 32, 32)
        np.testing.assert_array_equal(made.read(0, 5), planes.transpose(0, 2, 3, 1))
        assert made.class_names == TEN
        assert (file.attrs["source"], file.attrs["licence"]) == ("CIFAR-10, binary, train", "")
    first = output.read_bytes()
    convert_images(sets / "ten.tar.gz", output, Reading(split="train"), first=3, evenly=5)
    assert output.read_bytes() == first


def test_names_of_classes_can_be_given(sets, tmp_path):
    convert_images(sets / "mnist", tmp_path / "out.h5", Reading(split="test", class_names=str(sets / "names")))
    with open_images(tmp_path / "out.h5") as made:
        assert made.class_names == tuple("ébcdefghik")
    (tmp_path / "two").write_text("a\nb\n")
    with pytest.raises(FileError, match=r"has label \d, needed 0\.\.1"):
        convert_images(sets / "mnist", tmp_path / "no.h5", Reading(split="test", class_names=str(tmp_path / "two")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "two"]


def test_outputs_that_are_refused(sets, tmp_path):
    before = sorted(os.listdir(sets))
    reading = Reading(split="test")
    for output, needle in (
        (sets / "ten.tar.gz", "is also read from"),
        (tmp_path, "is not a regular file"),
        (tmp_path / "none" / "out.h5", "there is no folder"),
    ):
        with pytest.raises(FileError, match=needle):
            convert_images(sets / "ten.tar.gz", output, reading)
    with pytest.raises(FileError, match="is read; write to another folder"):
        convert_images(sets / "mnist", sets / "mnist" / "out.h5", reading)
    with pytest.raises(RangeError, match=r"has images 0\.\.7, asked for 8"):
        convert_images(sets / "ten.tar.gz", tmp_path / "out.h5", reading, first=8)
    assert sorted(os.listdir(sets)) == before
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_images_without_pillow(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optional, "import_module", missing)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(RefengineError, match=r'needed: pip install "refengine\[images\]"'):
        what_is(tmp_path)
