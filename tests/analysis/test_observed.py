"""A run that looks at layers sees every image once, in order, whatever the batches."""

import networks
import numpy as np
import pytest

from refengine.analysis.observed import observed
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.network.images import open_images, write_images

NETWORK = networks.every_op()
IMAGES = networks.random_images(NETWORK, 5)
LAYERS = NETWORK.layers[1:3]


def codes(layer, operands, result):
    return result.result


@pytest.mark.parametrize("batch", [1, 2, 5, None])
@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_every_image_is_seen_once_and_in_order(batch, backend):
    batches = [*observed(NETWORK, IMAGES, LAYERS, codes, backend=backend, batch=batch, threads=2)]
    assert [number for one in batches for number in one.numbers] == [*range(5)]
    wanted = {}
    run(NETWORK, IMAGES, observe=lambda layer, _, result: wanted.setdefault(layer.name, result.result))
    for layer in LAYERS:
        np.testing.assert_array_equal(np.concatenate([one.found[layer.name] for one in batches]), wanted[layer.name])
        assert all(layer.name in one.events for one in batches)


def test_a_part_of_a_file_is_read_where_it_lies(tmp_path):
    write_images(tmp_path / "images.h5", IMAGES, None)
    with open_images(tmp_path / "images.h5", labels_required=False) as file:
        batches = [*observed(NETWORK, file, LAYERS, codes, only=range(2, 4), first_image=2, batch=1)]
    whole = next(observed(NETWORK, IMAGES, LAYERS, codes, batch=5)).found[LAYERS[0].name]
    assert [one.numbers for one in batches] == [range(2, 3), range(3, 4)]
    np.testing.assert_array_equal(np.concatenate([one.found[LAYERS[0].name] for one in batches]), whole[2:4])


def test_progress_counts_images():
    seen = []
    _ = [*observed(NETWORK, IMAGES, LAYERS, codes, batch=2, progress=lambda *counts: seen.append(counts))]
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_no_images_and_images_of_another_size_are_refused():
    with pytest.raises(RangeError, match="0 images"):
        next(observed(NETWORK, IMAGES[:0], LAYERS, codes))
    with pytest.raises(RangeError, match="images are uint8 of shape"):
        next(observed(NETWORK, IMAGES[:, 1:], LAYERS, codes))
