"""Folders of image files: which images, in which order, of which class; and what is refused."""

import os

import numpy as np
import pytest
from data_sets import colours, ppm

from refengine.errors import FileError
from refengine.interop import image_folder
from refengine.interop.decode_image import Preparation
from refengine.interop.image_folder import open_image_folder

pytest.importorskip("PIL", reason="Pillow is not installed (refengine[images])")

PATHS = ("a10/2.png", "a10/b/1.png", "a2/1.JPG", "a2/Z.png", "a2/a.png", "é/1.png")


def fill(folder, paths=PATHS):
    """An image file for each path (PPM by its content, as names do not matter) -> path: pixels."""
    made = {path: colours(4, 5, seed) for seed, path in enumerate(paths)}
    for path, pixels in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(ppm(pixels))
    return made


def read(folder, chosen=None, how=None, **keywords):
    images = open_image_folder(folder, how or Preparation(), **keywords)
    blocks = list(images.blocks(np.arange(images.count) if chosen is None else np.array(chosen)))
    pixels = [image.tolist() for block in blocks for image in block.pixels]
    labels = None if blocks[0].labels is None else [int(label) for block in blocks for label in block.labels]
    return images, [name for block in blocks for name in block.files], pixels, labels


def refusal(folder, **keywords):
    with pytest.raises(FileError) as caught:
        read(folder, **keywords)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_folders_are_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "BLOCK_IMAGES", 2)
    made = fill(tmp_path)
    (tmp_path / "a2" / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "a2" / "notes.txt").write_bytes(b"no image")
    images, files, pixels, labels = read(tmp_path)
    assert images.class_names == ("a10", "a2", "é")
    assert files == list(PATHS)
    assert pixels == list(made.values())
    assert labels == [0, 0, 1, 1, 1, 2]
    assert images.notes == ("1 files are no images by their names and left out, as a2/notes.txt",)
    assert read(tmp_path, [1, 4])[1:] == ([PATHS[1], PATHS[4]], [made[PATHS[1]], made[PATHS[4]]], [0, 1])


def test_images_alone_have_no_labels(tmp_path):
    made = fill(tmp_path, ("b.png", "a.png"))
    images, files, pixels, labels = read(tmp_path)
    assert (images.class_names, files, labels) == (None, ["a.png", "b.png"], None)
    assert pixels == [made["a.png"], made["b.png"]]


@pytest.mark.parametrize(
    ("rows", "names", "wanted", "classes"),
    [
        ("file,label\na2/Z.png,7\na10/2.png,0\n", None, [7, 0], None),
        ("a2/Z.png,dog\r\n\r\na10/2.png,cat\r\n", None, [1, 0], ("cat", "dog")),
        ('"a2/Z.png","a dog"\na10/2.png,cat', ("cat", "a dog", "x"), [1, 0], ("cat", "a dog", "x")),
    ],
)
def test_a_table_of_labels(tmp_path, rows, names, wanted, classes):
    made = fill(tmp_path / "in")
    table = tmp_path / "labels.csv"
    table.write_bytes(rows.encode())
    images, files, pixels, labels = read(tmp_path / "in", labels=table, class_names=names)
    assert (images.class_names, files, labels) == (classes, ["a2/Z.png", "a10/2.png"], wanted)
    assert pixels == [made[name] for name in files]


@pytest.mark.parametrize(
    ("rows", "needle"),
    [
        (b"", "lists no images"),
        (b"file,label\n", "lists no images"),
        (b"a2/Z.png\n", "line 1: has 1 fields, needed file,label"),
        (b"a2/Z.png,1,2\n", "has 3 fields"),
        (b"a2/Z.png,1\na2/./Z.png,2\n", "line 2: names 'a2/./Z.png' again, it is in line 1"),
        (b"../labels.csv,1\n", "leads out of the folder"),
        (b"/etc/passwd,1\n", "leads out of the folder"),
        (b"a2/none.png,1\n", "is no file in"),
        (b"a2,1\n", "is no file in"),
        (b"a2/Z.png,99999999999999999999999\n", "has the label 9999"),
        (b"a2/Z.png,\xff\n", "cannot be read"),
        (b'"a2/Z.png,1\n', "cannot be read"),
    ],
)
def test_tables_that_are_refused(tmp_path, rows, needle):
    fill(tmp_path / "in")
    (tmp_path / "labels.csv").write_bytes(rows)
    message = refusal(tmp_path / "in", labels=tmp_path / "labels.csv")
    assert message.startswith(f"{tmp_path / 'labels.csv'}: ")
    assert needle in message


def test_a_label_that_is_no_given_class(tmp_path):
    fill(tmp_path / "in")
    (tmp_path / "labels.csv").write_bytes(b"a2/Z.png,wolf\n")
    message = refusal(tmp_path / "in", labels=tmp_path / "labels.csv", class_names=("cat", "dog"))
    assert "the label 'wolf', which is not among" in message


def test_folders_that_are_refused(tmp_path):
    assert "holds no data set that is known" in refusal(tmp_path)
    fill(tmp_path)
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path) == f"{tmp_path}: has no image of class empty"
    (tmp_path / "empty").rmdir()
    (tmp_path / "x.png").write_bytes(b"")
    assert "has images, as x.png, beside folders of classes, as a10" in refusal(tmp_path)
    (tmp_path / "x.png").unlink()
    (tmp_path / "loop").symlink_to("loop")
    assert "Too many levels of symbolic links" in refusal(tmp_path)
    (tmp_path / "loop").unlink()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert "loop: is a link to a folder" in refusal(tmp_path)
    (tmp_path / "loop").unlink()
    deep = tmp_path / "a2" / "/".join("d" * 20)
    deep.mkdir(parents=True)
    assert "lies deeper than 16 folders" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    fill(tmp_path)
    (tmp_path / "a2").chmod(0)
    assert "Permission denied" in refusal(tmp_path)


def test_mixed_sizes(tmp_path):
    fill(tmp_path)
    (tmp_path / "a2" / "a.png").write_bytes(ppm(colours(5, 4)))
    message = refusal(tmp_path)
    assert message.startswith(
        f"{tmp_path / 'a2' / 'a.png'}: is 5x4, needed 4x5 as {tmp_path / 'a10' / '2.png'}; --size"
    )
    assert np.shape(read(tmp_path, how=Preparation(size=(3, 3)))[2]) == (6, 3, 3, 3)


def test_damaged_images(tmp_path):
    made = fill(tmp_path)
    for name in (PATHS[0], PATHS[3]):
        (tmp_path / name).write_bytes(ppm(made[name])[:-3])
    assert refusal(tmp_path).startswith(f"{tmp_path / PATHS[0]}: is damaged or no image (")
    images = open_image_folder(tmp_path, Preparation(), skip_damaged=True)
    (block,) = images.blocks(np.arange(6))
    assert block.damaged == (PATHS[0], PATHS[3])
    assert block.files == (PATHS[1], PATHS[2], PATHS[4], PATHS[5])
    assert block.pixels.tolist() == [made[name] for name in block.files]
    assert block.labels.tolist() == [0, 1, 1, 2]
