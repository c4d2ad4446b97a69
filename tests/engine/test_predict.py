"""Predictors: every backend, the same logits, from several threads."""

import networks
import numpy as np
import pytest

from refengine.engine.predict import PREDICTORS, predictor
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.network.batches import image_batches, map_batches


@pytest.mark.parametrize("backend", PREDICTORS)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_backend_gives_the_same_logits(backend, threads):
    network = networks.every_op("stochastic")
    pixels = networks.random_images(network, 11, 1)
    predict = predictor(network, backend, 2)
    parts = map_batches(lambda part: predict(part[1], part[0]), image_batches(pixels, 2), threads)
    assert np.array_equal(np.concatenate(list(parts)), run(network, pixels, "reference"))


def test_an_unknown_backend():
    with pytest.raises(RangeError, match="available: reference, kernels, fast"):
        predictor(networks.small(), "slow", 1)
