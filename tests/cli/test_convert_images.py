"""refengine convert with images: what it says and writes, and one line for whatever is wrong."""

import json

import h5py
import numpy as np
import pytest
from data_sets import cifar100, cifar_images, colours, gray_images, mnist, ppm, write_archive
from verbs import refengine, refusal

from refengine.network.images import open_images

IMAGES = cifar_images(20, 1, 100, 20)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An archive, the four files of MNIST, and a folder of two classes, in the current directory."""
    monkeypatch.chdir(tmp_path)
    write_archive(tmp_path / "hundred.tar.gz", cifar100(IMAGES, IMAGES[:9])[1])
    mnist(tmp_path / "digits", {"train": gray_images(12), "t10k": gray_images(7)})
    for number, name in enumerate(("ant/1", "ant/2", "bee/1")):
        path = tmp_path / "photos" / f"{name}.ppm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ppm(colours(6 + number, 9, number)))
    return tmp_path


def test_cifar_is_converted_with_its_options(folder):
    outcome = refengine(
        "convert", "hundred.tar.gz", "out.h5", "--split", "train", "--coarse", "--count", "7", "--first", "2"
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(
        "out.h5: 7 of 20 images, 32x32 RGB, CIFAR-100, Python, coarse, train\n20 classes, 0 to "
    )
    with open_images("out.h5") as images:
        assert images.labels.tolist() == [coarse for _, coarse, _ in IMAGES[2:9]]


def test_source_licence_and_figures_are_stored(folder):
    call = ("convert", "digits", "out.h5", "--split", "test", "--source", "pencil", "--licence", "mine", "--json")
    figures = refengine(*call, "-").json
    assert figures["images_of_class"] == np.bincount(gray_images(7)[1]).tolist()
    assert {name: figures[name] for name in ("report", "set", "of", "count", "shape", "damaged", "tilted")} == {
        "report": "convert",
        "set": "IDX, digits, test",
        "of": 7,
        "count": 7,
        "shape": [5, 4, 1],
        "damaged": [],
        "tilted": 0,
    }
    with h5py.File("out.h5") as file:
        assert (file.attrs["source"], file.attrs["licence"]) == ("pencil", "mine")
    assert refengine(*call, "figures.json").code == 0
    assert json.loads((folder / "figures.json").read_text()) == figures
    assert refengine("inspect", "out.h5", "--json", "-").json["shape"] == [5, 4, 1]


def test_photos_are_resized_and_damaged_ones_skipped_on_request(folder):
    pytest.importorskip("PIL", reason="Pillow is not installed (refengine[images])")
    (folder / "photos" / "bee" / "2.ppm").write_bytes(b"P6 9 9 255\n")
    (folder / "photos" / "readme").write_bytes(b"")
    call = ("convert", "photos", "out.h5", "--size", "4x5", "--resize", "6", "--filter", "bicubic", "--gray")
    assert "2.ppm: is damaged" in refusal(*call)
    outcome = refengine(*call, "--skip-damaged")
    assert outcome.out == "out.h5: 3 of 4 images, 4x5 gray, photos\n2 classes, 1 to 2 images of each\n"
    assert outcome.err == (
        "refengine: 1 files are no images by their names and left out, as readme\n"
        "refengine: 1 images are damaged and left out, as bee/2.ppm\n"
    )
    with open_images("out.h5") as images, h5py.File("out.h5") as file:
        assert (images.shape, images.class_names, images.labels.tolist()) == ((4, 5, 1), ("ant", "bee"), [0, 0, 1])
        assert file["files"][:].tolist() == [b"ant/1.ppm", b"ant/2.ppm", b"bee/1.ppm"]


def test_a_table_of_labels(folder):
    pytest.importorskip("PIL", reason="Pillow is not installed (refengine[images])")
    call = ("convert", "photos", "out.h5", "--labels", "labels.csv", "--size", "4x5")
    (folder / "labels.csv").write_text("file,label\nbee/1.ppm, 10\nant/2.ppm, 9\n")
    outcome = refengine(*call)
    assert (outcome.code, outcome.out.splitlines()[0]) == (0, "out.h5: 2 of 2 images, 4x5 RGB, photos")
    assert outcome.err == "refengine: 1 images are not in labels.csv and left out, as ant/1.ppm\n"
    with open_images("out.h5") as images:
        assert images.labels.tolist() == [10, 9]
    (folder / "labels.csv").write_text("bee/1.ppm,bee\nant/2.ppm,ant\nant/1.ppm,ant\n")
    assert refengine(*call).err == "refengine: labels.csv: the labels are texts, class 0 is ant, 1 is bee\n"
    (folder / "labels.csv").write_text("bee/1.ppm,1\nant/2.ppm,ant\n")
    assert "labels.csv: line 2: has the label 'ant', line 1 the number 1" in refusal(*call)


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (("hundred.tar.gz", "out.h5"), "needed --split"),
        (("nothing", "out.h5"), "nothing: cannot be read"),
        (("hundred.tar.gz", "hundred.tar.gz"), "is also read from"),
        (("digits", "digits/out.h5", "--split", "test"), "write to another folder"),
        (("digits", "none/out.h5", "--split", "test"), "there is no folder"),
        (("digits/t10k-images-idx3-ubyte.gz", "labels", "--labels", "labels"), "is also read from"),
        (("digits", "out.h5", "--split", "test", "--first", "7"), "has images 0..6, asked for 7"),
        (("digits", "out.h5", "--split", "test", "--size", "8x8"), "--size does not apply"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(folder, arguments, needle):
    before = sorted(folder.rglob("*"))
    assert needle in refusal("convert", *arguments)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("size", ["8", "8x", "x8", "0x8", "8x8x8", "-1x8", "٣x8", "9999999x1"])
def test_sizes_that_are_none(folder, size):
    outcome = refengine("convert", "photos", "out.h5", "--size", size)
    assert outcome.code == 2
    assert "is not HxW" in outcome.err


def test_damaged_archives_are_one_line(folder):
    content = (folder / "hundred.tar.gz").read_bytes()
    for damaged in (content[: len(content) // 2], content[:30], b"", b"\x1f\x8b", content[:-40] + bytes(40)):
        (folder / "bad.tar.gz").write_bytes(damaged)
        before = sorted(folder.iterdir())
        assert "bad.tar.gz" in refusal("convert", "bad.tar.gz", "out.h5", "--split", "train")
        assert sorted(folder.iterdir()) == before
