"""run: the logits are those of the definitions, in whatever form model and images come."""

import networks
import numpy as np
import pytest
from everyday import everyday

import refengine
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.runs.predict import BACKENDS


@pytest.fixture
def logits(files):
    return run(refengine.load("model.h5"), refengine.load("images.h5")[:], "reference")


def test_model_and_images_in_every_form(files, logits):
    images = refengine.load("images.h5")
    for model in ("model.h5", refengine.load("model.h5")):
        for form in ("images.h5", images, images[:]):
            found = refengine.run(model, form)
            assert found.dtype == np.int32
            np.testing.assert_array_equal(found, logits)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("first", "count", "threads"), everyday([(0, None, 3), (0, 1, 1), (5, 2, 3), (11, None, 1), (3, 99, 1)], 2)
)
def test_a_part_of_the_images(files, logits, backend, first, count, threads):
    end = None if count is None else first + count
    for form in ("images.h5", refengine.load("images.h5")[:]):
        found = refengine.run("model.h5", form, first=first, count=count, backend=backend, threads=threads)
        np.testing.assert_array_equal(found, logits[first:end])


def test_an_image_s_number_is_its_place_in_the_images():
    """Which stochastic rounding looks at."""
    network = networks.every_op("stochastic")
    images = networks.random_images(network, 4)
    whole = run(network, images, "reference")
    np.testing.assert_array_equal(refengine.run(network, images, first=2, count=1), whole[2:3])
    assert not np.array_equal(refengine.run(network, images[2:3]), whole[2:3])


def test_progress_counts_the_images(files):
    seen = []
    refengine.run("model.h5", "images.h5", first=2, threads=2, progress=lambda *row: seen.append(row))
    assert seen[-1] == (10, 10)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        ({"first": 12}, r"images\.h5: has images 0\.\.11, asked for 12"),
        ({"first": -1}, "asked for -1"),
        ({"count": 0}, "0 images are asked for"),
        ({"backend": "gpu"}, "backend 'gpu' is unknown"),
        ({"threads": 0}, "0 threads, needed at least 1"),
    ],
)
def test_bad_options_are_refused(files, options, needle):
    with pytest.raises(RangeError, match=needle):
        refengine.run("model.h5", "images.h5", **options)


@pytest.mark.parametrize(
    "images", [np.zeros((2, 5, 5, 3), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)]
)
def test_images_that_the_network_cannot_read(files, images):
    with pytest.raises(RangeError, match="the network reads uint8 of shape"):
        refengine.run("model.h5", images)
