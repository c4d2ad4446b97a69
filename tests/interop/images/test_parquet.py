"""Parquet files of images: which columns, which split, which rows; and what is refused."""

import contextlib
import json

import h5py
import numpy as np
import pytest
from data_sets import as_lists, colours, ppm
from hypothesis import given
from hypothesis import strategies as st

from refengine import optional
from refengine.errors import FileError, RefengineError
from refengine.interop.images import parquet
from refengine.interop.images.datasets import Reading, convert_images, open_image_set
from refengine.interop.images.decode_image import Preparation
from refengine.interop.images.parquet import open_parquet, parquet_files

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (refengine[parquet])")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (refengine[parquet])")
pytest.importorskip("PIL", reason="Pillow is not installed (refengine[images])")

NAMES = ["ant", "bee", "cat"]


def write(path, count=5, seed=0, columns=None, names=NAMES, rows=2, called=("image", "label")):
    """A file as the library datasets writes it -> pixels, labels; ``columns`` stand instead of those made."""
    pixels = [colours(4, 5, seed + number) for number in range(count)]
    labels = [(number * 7 + seed) % 3 for number in range(count)]
    files = [{"bytes": ppm(one), "path": f"{number}.ppm"} for number, one in enumerate(pixels)]
    table = pa.table({called[0]: files, called[1]: labels, **(columns or {})})
    features = {called[0]: {"_type": "Image"}, called[1]: {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=rows)
    return pixels, labels


def read(path, chosen=None, how=None, **options):
    images = open_parquet(path, how or Preparation(), **options)
    return images, *as_lists(images, chosen)


def refusal(path, **options):
    with pytest.raises(RefengineError) as caught:
        read(path, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


@given(st.sets(st.integers(0, 8), min_size=1), st.integers(1, 4))
def test_the_chosen_rows_of_all_files_in_order(tmp_path_factory, chosen, rows):
    folder = tmp_path_factory.mktemp("set")
    one, two = (write(folder / f"train-0000{n}-of-00002.parquet", n + 4, n, rows=rows) for n in range(2))
    chosen = sorted(chosen)
    images, files, pixels, labels = read(folder, chosen)
    assert (images.count, images.class_names) == (9, tuple(NAMES))
    assert images.what == f"Parquet, {folder.name}, train"
    assert pixels == [[*one[0], *two[0]][number] for number in chosen]
    assert labels == [[*one[1], *two[1]][number] for number in chosen]
    places = [(0, number) if number < 4 else (1, number - 4) for number in chosen]
    assert files == [f"train-0000{file}-of-00002.parquet:{row}" for file, row in places]


def test_splits_are_the_names_of_the_files(tmp_path):
    write(tmp_path / "data" / "train-00000-of-00001.parquet", 3)
    write(tmp_path / "data" / "test.parquet", 2, 5)
    write(tmp_path / "data" / ".hidden.parquet", 2)
    assert len(parquet_files(tmp_path)) == 2
    assert "has the splits train and test, needed --split with one of them" in refusal(tmp_path)
    assert read(tmp_path, split="test")[0].count == 2
    assert read(tmp_path / "data" / "train-00000-of-00001.parquet")[0].count == 3
    assert "has no file of the split validation, there is train and test" in refusal(tmp_path, split="validation")
    write(tmp_path / "data" / "0000.parquet")
    assert "has the splits train and test and none (0000.parquet)" in refusal(tmp_path)
    assert "has no file of the split test, there is none by name" in refusal(
        tmp_path / "data" / "0000.parquet", split="test"
    )


def test_columns_of_other_names(tmp_path):
    """CIFAR-100's two kinds of labels, bytes without a structure around them, no labels."""
    pixels, fine = write(
        tmp_path / "a.parquet", columns={"coarse_label": [5, 4, 3, 2, 1]}, called=("img", "fine_label")
    )
    assert read(tmp_path / "a.parquet")[2:] == (pixels, fine)
    images, _, _, labels = read(tmp_path / "a.parquet", coarse=True)
    assert (labels, images.class_names) == ([5, 4, 3, 2, 1], None)
    pq.write_table(pa.table({"x": [1, 2], "scan": [ppm(one) for one in pixels[:2]]}), tmp_path / "b.parquet")
    images, _, found, labels = read(tmp_path / "b.parquet")
    assert (found, labels, images.class_names) == (pixels[:2], None, None)
    assert images.notes == (f"{tmp_path / 'b.parquet'}: no column is called label or labels or fine_label: no labels",)
    assert "--coarse does not apply" in refusal(tmp_path / "b.parquet", coarse=True)


@pytest.mark.parametrize(
    ("more", "needle"),
    [
        ({"label": [0, 1, None, 0, 1]}, ": row 2: label is None, needed 0..1048575"),
        ({"label": [0, 1, 2, -1, 1]}, ": row 3: label is -1, needed 0..1048575"),
        ({"label": ["a"] * 5}, ": label is of type 'string', needed whole numbers"),
        ({"image": [{"bytes": None, "path": "a.png"}] * 5}, "needed one column of images as bytes"),
        ({"image": [None, *[{"bytes": b"x", "path": "a"}] * 4]}, ": row 0: image holds no bytes of an image"),
        ({"image": [{"bytes": b"none", "path": "a"}] * 5}, ": row 0: is damaged or no image ("),
        ({"image": ["text"] * 5}, "called image or img; there is image, label"),
    ],
)
def test_rows_and_columns_that_are_refused(tmp_path, more, needle):
    write(tmp_path / "a.parquet", columns=more)
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path / 'a.parquet'}: ")
    assert needle in message


def test_files_that_are_refused(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet")
    write(tmp_path / "b.parquet", names=["x", "y", "z"])
    assert "b.parquet: has other columns or classes than " in refusal(tmp_path)
    (tmp_path / "b.parquet").unlink()
    (tmp_path / "none").mkdir()
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "none" / "a.parquet")
    assert "has no rows" in refusal(tmp_path / "none")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "none" / "a.parquet").write_bytes(whole[:-9])
    assert "a.parquet: cannot be read (" in refusal(tmp_path / "none")
    table = pa.table({"image": [b"x"]}).replace_schema_metadata({"huggingface": "[1]"})
    pq.write_table(table, tmp_path / "none" / "a.parquet")
    assert "its metadata huggingface is not that" in refusal(tmp_path / "none")
    monkeypatch.setattr(parquet, "MAX_GROUP", 10)
    assert "rows 0 to 1 have " in refusal(tmp_path)


@given(st.data())
def test_changed_bytes_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("set")
    write(folder / "a.parquet")
    content = bytearray((folder / "a.parquet").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "a.parquet").write_bytes(content)
    with contextlib.suppress(FileError):
        read(folder)


def test_damaged_images_may_be_left_out(tmp_path):
    pixels, labels = write(tmp_path / "a.parquet")
    images = [{"bytes": ppm(one), "path": None} for one in pixels]
    images[1]["bytes"] = b"none"
    write(tmp_path / "a.parquet", columns={"image": images})
    (block,) = open_parquet(tmp_path, Preparation(), skip_damaged=True).blocks(np.arange(5))
    assert block.damaged == ("a.parquet:1",)
    assert block.labels.tolist() == [labels[n] for n in (0, 2, 3, 4)]


def test_convert_recognises_it(tmp_path):
    write(tmp_path / "in" / "train-0.parquet", 6)
    with open_image_set(tmp_path / "in", Reading(size=(2, 2))) as images:
        assert next(images.blocks(np.arange(3))).pixels.shape == (3, 2, 2, 3)
    with (
        pytest.raises(RefengineError, match=r"--labels does not apply: .* is Parquet"),
        open_image_set(tmp_path / "in", Reading(labels="x.csv")),
    ):
        pass
    convert_images(tmp_path / "in" / "train-0.parquet", tmp_path / "out.h5", Reading(gray=True), evenly=3)
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["images"].shape == (3, 4, 5, 1)
        assert [name.decode() for name in file["class_names"]] == NAMES
        assert [name.decode() for name in file["files"]] == [f"train-0.parquet:{row}" for row in (0, 2, 4)]


def test_without_pyarrow_one_line_says_what_to_install(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    write(tmp_path / "a.parquet")
    monkeypatch.setattr(optional, "import_module", missing)
    assert 'needed: pip install "refengine[parquet]"' in refusal(tmp_path)
