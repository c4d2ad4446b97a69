"""Predictors: every backend gives the same logits, the same events and shows the same layers, to several threads."""

import networks
import numpy as np
import plans
import pytest

from refengine.engine.events import Events
from refengine.engine.fast.plan import Plan
from refengine.errors import NetworkError, RangeError
from refengine.network.batches import image_batches, map_batches
from refengine.runs.predict import BACKENDS, backend_for, images_a_batch, predictor


def test_there_are_three_backends():
    assert BACKENDS == ("fast", "reference", "kernels")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rounding", ["half_up", "stochastic"])
def test_every_backend_gives_the_same_logits_and_events(backend, threads, rounding):
    """Events of batches add up to those of the whole."""
    network = networks.every_op(rounding)
    pixels = networks.random_images(network, 11, 1)
    logits, found = plans.defined(network, pixels)
    predict = predictor(network, backend, 2, counted=True)
    parts = list(map_batches(lambda part: predict(part[1], part[0], None), image_batches(pixels, 2), threads))
    np.testing.assert_array_equal(np.concatenate([part.logits for part in parts]), logits)
    sums = dict.fromkeys(parts[0].events, Events())
    for part in parts:
        sums = {name: sums[name] + events for name, events in part.events.items()}
    assert sums == plans.events_of(found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_backend_shows_the_observed_layers(backend, threads):
    network = networks.every_op("stochastic")
    pixels = networks.random_images(network, 3, 1)
    observed = [layer.name for layer in network.layers][::2]
    logits, wanted = plans.defined(network, pixels, first_image=4)
    predict = predictor(network, backend, 3, threads=threads, observed=observed)
    prediction, found = plans.seen(lambda observe: predict(pixels, 4, observe))
    np.testing.assert_array_equal(prediction.logits, logits)
    assert list(found) == observed
    for name in observed:
        plans.assert_same(name, found[name], wanted[name])


@pytest.mark.parametrize("backend", BACKENDS)
def test_events_are_counted_where_they_are_asked_for(backend):
    network = networks.small()
    pixels = networks.random_images(network, 2)
    assert predictor(network, backend, 2)(pixels, 0, None).events == {}
    assert list(predictor(network, backend, 2, counted=True)(pixels, 0, None).events) == [
        "000_input",
        "001_conv",
        "002_fc",
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_refused_batch_leaves_the_predictor_usable(backend):
    network = networks.small()
    pixels = networks.random_images(network, 2)
    predict = predictor(network, backend, 2)
    with pytest.raises(RangeError, match="the network reads uint8"):
        predict(pixels[:, :1], 0, None)
    np.testing.assert_array_equal(predict(pixels, 0, None).logits, plans.defined(network, pixels)[0])


def test_dynamic_exponents_are_computed_by_the_kernels():
    """The fast plan knows none: it is not made, reports say what computes, and the bits are the definition's."""
    network = networks.dynamic()
    pixels = networks.random_images(network, 7, 1)
    assert [backend_for(network, backend) for backend in BACKENDS] == ["kernels", "reference", "kernels"]
    assert [backend_for(networks.small(), backend) for backend in BACKENDS] == [*BACKENDS]
    logits, found = plans.defined(network, pixels)
    observed = [layer.name for layer in network.layers if layer.requantize is not None]
    predict = predictor(network, "fast", 7, threads=2, observed=observed, counted=True)
    prediction, shown = plans.seen(lambda observe: predict(pixels, 0, observe))
    np.testing.assert_array_equal(prediction.logits, logits)
    assert prediction.events == plans.events_of(found)
    for name in observed:
        plans.assert_same(name, shown[name], found[name])
    with pytest.raises(NetworkError, match="has a dynamic exponent, chosen for each image; the fast plan needs"):
        Plan(network, 7)


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(RangeError, match="backend 'slow' is unknown; available: fast, reference, kernels"):
        predictor(networks.small(), "slow", 1)


@pytest.mark.parametrize("images", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("most", [1, 16])
def test_batches_are_as_large_as_memory_and_threads_allow(images, threads, most):
    """No more than there may be, and batches for all threads if there are images for them."""
    size = images_a_batch(images, threads, most)
    assert 1 <= size <= most
    assert size == most or size * threads < images + threads


def test_sizes_that_are_none_are_left_to_those_who_refuse_them():
    """``image_batches`` names a batch of 0 images, ``map_batches`` 0 threads."""
    assert images_a_batch(5, 1, 0) == 0
    assert images_a_batch(5, 0, 64) == 5
    assert images_a_batch(0, 2, 64) == 1
