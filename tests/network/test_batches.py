"""Batches over threads: in order, few at a time, and errors come out."""

import os
import threading

import networks
import numpy as np
import pytest

from refengine.errors import FileError, RangeError
from refengine.network.batches import batch_size, cores, image_batches, image_count, map_batches
from refengine.network.images import open_images, write_images


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_answers_come_in_the_order_of_the_batches(threads):
    """The first batch is the last to finish, and still comes first."""
    first_may_end = threading.Event()

    def work(number):
        if number == 0 and threads > 1:
            first_may_end.wait(10)
        if number == 1:
            first_may_end.set()
        return number * number

    assert list(map_batches(work, range(20), threads)) == [n * n for n in range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_few_batches_are_in_flight(threads):
    """A batch is taken only when at most ``threads`` others wait for their answers to be fetched."""
    taken = []

    def batches():
        for number in range(50):
            taken.append(number)
            yield number

    for fetched, _ in enumerate(map_batches(str, batches(), threads)):
        assert len(taken) <= fetched + threads + 1
    assert len(taken) == 50


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_out(threads):
    def work(number):
        if number == 3:
            raise FileError("damaged")
        return number

    answers = map_batches(work, range(9), threads)
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FileError, match="damaged"):
        list(answers)


def test_an_error_of_the_batches_comes_out():
    def batches():
        yield 1
        raise FileError("damaged")

    with pytest.raises(FileError, match="damaged"):
        list(map_batches(str, batches(), 2))


def test_no_batches_give_no_results():
    assert list(map_batches(str, [], 2)) == []


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_at_least_one(threads):
    with pytest.raises(RangeError, match=f"spread over {threads} threads"):
        list(map_batches(str, [1], threads))


def test_batch_size_follows_the_widest_layer():
    """64 images of a small network; one of a network that fills the memory by itself; between them, 256 MB."""
    assert batch_size(networks.small()) == 64
    assert batch_size(networks.with_fc_on((1024, 1024, 1))) == 16
    assert batch_size(networks.with_fc_on((8192, 8192, 1))) == 1


@pytest.fixture(params=["array", "file"])
def images(request, tmp_path):
    """Ten images, in memory or in a file."""
    pixels = networks.random_images(networks.small(), 10)
    if request.param == "array":
        yield pixels, pixels
        return
    path = tmp_path / "images.h5"
    write_images(path, pixels, None)
    with open_images(path, labels_required=False) as opened:
        yield pixels, opened


@pytest.mark.parametrize(
    ("size", "limit", "starts"),
    [(4, None, [0, 4, 8]), (4, 8, [0, 4]), (4, 5, [0, 4]), (10, 99, [0]), (99, None, [0]), (1, 2, [0, 1])],
)
def test_images_in_batches(images, size, limit, starts):
    """Numbered by their first image, whole but for the last."""
    pixels, source = images
    assert image_count(source) == 10
    found = list(image_batches(source, size, limit))
    assert [first for first, _ in found] == starts
    end = 10 if limit is None else min(limit, 10)
    np.testing.assert_array_equal(np.concatenate([part for _, part in found]), pixels[:end])
    assert all(len(part) == size for _, part in found[:-1])


def test_no_images_and_no_size(images):
    _, source = images
    with pytest.raises(RangeError, match="a batch has 0 images, needed at least 1"):
        list(image_batches(source, 0))
    for limit in (0, -3):
        with pytest.raises(RangeError, match=f"{limit} images are to be run, needed at least 1"):
            list(image_batches(source, 4, limit))
    with pytest.raises(RangeError, match="0 images are to be run"):
        list(image_batches(np.zeros((0, 2, 2, 1), np.uint8), 4))


def test_cores_are_at_most_those_of_the_machine():
    assert 1 <= cores() <= os.cpu_count()


def test_cores_where_the_system_does_not_tell_which(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1
