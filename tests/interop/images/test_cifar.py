"""CIFAR in its four versions, as folders and archives: pixel by pixel what the bytes say, or one line."""

import gzip
from contextlib import suppress

import numpy as np
import pytest
from data_sets import (
    COARSE,
    FINE,
    TEN,
    array,
    binary,
    cifar10,
    cifar100,
    cifar_images,
    listed,
    number,
    pickled,
    pixels_of,
    python2,
    text,
    write_archive,
    write_folder,
)
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError, RefengineError
from refengine.interop.images import cifar
from refengine.interop.images.archives import open_files
from refengine.interop.images.cifar import is_cifar, open_cifar

BATCHES = [cifar_images(count, seed) for seed, count in enumerate((5, 3, 4))]
TEST = cifar_images(6, 9)
TRAIN_100, TEST_100 = cifar_images(7, 1, 100, 20), cifar_images(5, 2, 100, 20)


def read(path, split=None, coarse=False, chosen=None):
    """(what, class names, pixels, labels) of a source."""
    with open_files(path) as files:
        assert is_cifar(files)
        images = open_cifar(files, split, coarse)
        blocks = list(images.blocks(np.arange(images.count) if chosen is None else np.array(chosen)))
    pixels = np.concatenate([block.pixels for block in blocks]).tolist()
    return images.what, images.class_names, pixels, np.concatenate([block.labels for block in blocks]).tolist()


def refusal(path, *arguments):
    with pytest.raises(FileError) as caught:
        read(path, *arguments)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()
    return str(caught.value)


def sources(tmp_path, versions):
    """Each version as a folder, an archive, and an archive that is not packed."""
    for n, version in enumerate(versions):
        yield write_folder(tmp_path / f"folder{n}", version)
        yield write_archive(tmp_path / f"{n}.tar.gz", version)
        yield write_archive(tmp_path / f"{n}.tar", version, mode="w")


def test_cifar_10_is_read_in_every_form(tmp_path):
    for source in sources(tmp_path, cifar10(BATCHES, TEST)):
        for split, images in (("train", [image for batch in BATCHES for image in batch]), ("test", TEST)):
            what, names, pixels, labels = read(source, split)
            assert what in (f"CIFAR-10, binary, {split}", f"CIFAR-10, Python, {split}")
            assert names == TEN
            assert pixels == [pixels_of(data) for _, _, data in images]
            assert labels == [label for label, _, _ in images]


@pytest.mark.parametrize("coarse", [False, True])
def test_cifar_100_is_read_in_every_form(tmp_path, coarse):
    for source in sources(tmp_path, cifar100(TRAIN_100, TEST_100)):
        for split, images in (("train", TRAIN_100), ("test", TEST_100)):
            _, names, pixels, labels = read(source, split, coarse)
            assert names == (COARSE if coarse else FINE)
            assert pixels == [pixels_of(data) for _, _, data in images]
            assert labels == [image[coarse] for image in images]


def test_a_choice_across_batches(tmp_path):
    everything = [image for batch in BATCHES for image in batch]
    for source in sources(tmp_path, cifar10(BATCHES, TEST)):
        assert read(source, "train", chosen=[0, 4, 5, 11])[3] == [everything[n][0] for n in (0, 4, 5, 11)]


def test_one_file_alone_is_read(tmp_path):
    write_folder(tmp_path, {"data_batch_2.bin": binary(BATCHES[1]), "test": pickled(TEST_100)})
    what, names, _, labels = read(tmp_path / "data_batch_2.bin")
    assert (what, names, labels) == ("CIFAR-10, binary, train", None, [label for label, _, _ in BATCHES[1]])
    assert read(tmp_path / "test", None, True)[3] == [coarse for _, coarse, _ in TEST_100]


def test_many_images_come_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "ROWS", 4)
    images = cifar_images(9)
    for source in sources(tmp_path, cifar10([images], TEST)):
        assert read(source, "train")[3] == [label for label, _, _ in images]


def test_batches_are_in_the_order_of_their_numbers(tmp_path):
    images = cifar_images(11)
    for source in sources(tmp_path, cifar10([[image] for image in images], TEST)):
        assert read(source, "train")[3] == [label for label, _, _ in images]


def test_a_set_of_both_splits_needs_the_choice(tmp_path):
    plain, _ = cifar10(BATCHES, TEST)
    both = write_folder(tmp_path / "both", plain)
    assert "needed --split" in refusal(both)
    (both / "test_batch.bin").unlink()
    assert read(both)[0] == "CIFAR-10, binary, train"
    assert "has no complete split test, there is train" in refusal(both, "test")
    (both / "data_batch_2.bin").unlink()
    assert "has no data_batch_2 but a data_batch_3" in refusal(both)


def test_two_versions_in_one_folder(tmp_path):
    for version in cifar10(BATCHES, TEST):
        write_folder(tmp_path, version)
    assert "holds CIFAR-10, binary and CIFAR-10, Python" in refusal(tmp_path)


def test_coarse_labels_are_those_of_cifar_100(tmp_path):
    assert "coarse" in refusal(write_folder(tmp_path, cifar10(BATCHES, TEST)[0]), "test", True)


@pytest.mark.parametrize("content", [b"", bytes(3072), bytes(3074), binary(TEST)[:-1]])
def test_binary_files_of_a_wrong_size(tmp_path, content):
    assert "needed a multiple of 3073" in refusal(write_folder(tmp_path, {"test_batch.bin": content}))


def test_labels_out_of_range_name_the_image(tmp_path):
    images = [*TEST, (10, None, bytes(3072))]
    assert "image 6 has label 10, needed 0..9" in refusal(write_folder(tmp_path, {"test_batch.bin": binary(images)}))
    (tmp_path / "test_batch.bin").unlink()
    assert "not numbers in 0..9" in refusal(write_folder(tmp_path, {"test_batch": pickled(images)}))


def test_a_file_that_is_packed_by_itself(tmp_path):
    assert "gzipped by itself" in refusal(write_folder(tmp_path, {"test_batch.bin": gzip.compress(binary(TEST))}))


@pytest.mark.parametrize(
    ("entries", "needle"),
    [
        ([], "has no 'data'"),
        ([("data", array(1, 3072, bytes(3072)))], "needed 1 'labels', there is none"),
        ([("data", array(2, 1536, bytes(3072)))], "has no 'data'"),
        ([("data", array(1, 3072, bytes(3072))), ("labels", listed([number(1)] * 2))], "there is 2 of them"),
        ([("data", array(1, 3072, bytes(3072))), ("labels", listed([text("1")]))], "not numbers in 0..9"),
        ([("data", listed([])), ("labels", listed([]))], "has no 'data'"),
    ],
)
def test_pickles_of_something_else(tmp_path, entries, needle):
    assert needle in refusal(write_folder(tmp_path, {"test_batch": python2(entries)}))


def test_names_of_classes_must_be_as_many(tmp_path):
    plain, python = cifar10(BATCHES, TEST)
    message = refusal(write_folder(tmp_path / "a", {**plain, "batches.meta.txt": b"one\ntwo\n"}), "test")
    assert message.endswith("batches.meta.txt: has 2 names of classes, needed 10")
    assert "needed a dict" in refusal(write_folder(tmp_path / "b", {**python, "batches.meta": b"]."}), "test")


@given(st.data())
def test_damage_is_read_or_refused(tmp_path_factory, data):
    name, content = data.draw(
        st.sampled_from(
            [("data_batch_1.bin", binary(TEST)), ("test_batch", pickled(TEST)), ("meta", b"}."), ("test", b"")]
        )
    )
    content = bytearray(content)
    edge = min(len(content), 400)  # where a pickle's words are
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        place = data.draw(st.one_of(st.integers(0, edge - 1), st.integers(len(content) - edge, len(content) - 1)))
        content[place] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    write_folder(folder, {name: bytes(content[: data.draw(st.integers(0, len(content)))])})
    with suppress(RefengineError), open_files(folder / name) as files:  # nothing else may come out
        if is_cifar(files):
            images = open_cifar(files)
            list(images.blocks(np.arange(images.count)))
