"""Folders of image files: which images, in which order, of which class; and what is refused."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from data_sets import as_lists, colours, ppm
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError
from refengine.interop.images import image_set
from refengine.interop.images.decode_image import Preparation
from refengine.interop.images.image_folder import open_image_folder

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
    return images, *as_lists(images, chosen)


def refusal(folder, **keywords):
    with pytest.raises(FileError) as caught:
        read(folder, **keywords)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_folders_are_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(image_set, "BLOCK_IMAGES", 2)
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
        ("file, label\na2/Z.png, 10\na10/2.png,\t2 \n", None, [10, 2], None),
        ("a2/Z.png, dog\na10/2.png, cat", None, [1, 0], ("cat", "dog")),
        ("a2/Z.png,3.0\na10/2.png,3", ("3", "3.0"), [1, 0], ("3", "3.0")),
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
        (b"a2/Z.png,99999999999999999999999\n", "line 1: has the label 9999"),
        (b"file,label\na2/Z.png,1\na10/2.png,\n", "line 3: has an empty label"),
        (b"a2/Z.png,cat\na10/2.png, \n", "line 2: has an empty label"),
        (b"a2/Z.png,1\na10/2.png,-1\n", "line 2: has the label '-1', needed a whole number from 0 on, or a text"),
        (b"a2/Z.png,3.0\na10/2.png,10.0\n", "line 1: has the label '3.0', needed a whole number"),
        (b"a2/Z.png,.5e1\n", "line 1: has the label '.5e1', needed a whole number"),
        ("a2/Z.png,\u0663\n".encode(), "line 1: has the label '\u0663', needed a whole number"),
        (b"a2/Z.png,7\na10/2.png,dog\n", "line 2: has the label 'dog', line 1 the number 7; needed numbers alone"),
        (b"a2/Z.png,dog\na10/2.png,7\n", "line 1: has the label 'dog', line 2 the number 7; needed numbers alone"),
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
    assert "line 1: has the label 'wolf', which is not among" in message


def test_labels_that_are_texts_and_images_without_a_label_are_said(tmp_path):
    fill(tmp_path / "in")
    (tmp_path / "in" / ".hidden.png").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_bytes(b"")
    table = tmp_path / "labels.csv"
    table.write_text("a10/2.png,7\na2/./Z.png,0\n")
    images, files, _, labels = read(tmp_path / "in", labels=table)
    assert (files, labels) == (["a10/2.png", "a2/Z.png"], [7, 0])
    assert images.notes == (f"4 images are not in {table} and left out, as a10/b/1.png",)
    table.write_text("".join(f"{path},{name}\n" for path, name in zip(PATHS, "dcabdd", strict=True)))
    images, _, _, labels = read(tmp_path / "in", labels=table)
    assert labels == [3, 2, 0, 1, 3, 3]
    assert images.notes == (f"{table}: the labels are texts, class 0 is a, 1 is b, 2 is c, ...",)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6), st.data())
def test_whole_numbers_are_labels_as_they_are_and_nothing_else_is_mistaken_for_them(labels, data):
    """Blanks change nothing; one label of another kind among them is refused, in its own line or the first."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        fill(place, PATHS[: len(labels)])
        blanks = st.text(" \t", max_size=2)
        lines = [f"{PATHS[n]},{data.draw(blanks)}{label}{data.draw(blanks)}" for n, label in enumerate(labels)]
        table = place / "labels.csv"
        table.write_text("\n".join(lines))
        assert read(place, labels=table)[3] == labels
        stranger = data.draw(st.sampled_from(["", "-1", "+1", "3.0", "1e3", "dog", "7up"]))
        line = data.draw(st.integers(0, len(lines) - 1))
        lines[line] = f"{PATHS[line]},{stranger}"
        table.write_text("\n".join(lines))
        if len(lines) > 1 or stranger not in ("dog", "7up"):
            assert f"line {line + 1}: " in refusal(place, labels=table)


def test_folders_that_are_refused(tmp_path):
    assert "unrecognised dataset: holds no images" in refusal(tmp_path)
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


def test_mixed_sizes_are_refused(tmp_path):
    fill(tmp_path)
    (tmp_path / "a2" / "a.png").write_bytes(ppm(colours(5, 4)))
    message = refusal(tmp_path)
    assert message.startswith(
        f"{tmp_path / 'a2' / 'a.png'}: is 5x4, needed 4x5 as {tmp_path / 'a10' / '2.png'}; --size"
    )
    assert np.shape(read(tmp_path, how=Preparation(size=(3, 3)))[2]) == (6, 3, 3, 3)


def test_damaged_images_are_refused_or_counted(tmp_path):
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
