"""Networks that were made for normalised images are known by their first batch norm, others say nothing."""

import dataclasses

import numpy as np
import pytest
from calibrated import folded

from refengine.interop.onnx.expectation import expected_std
from refengine.network.float_network import FloatNetwork


def fitting(mean, std):
    """A network whose first batch norm fits images that are normalised so."""
    made = folded([1.0] * 8, mean=0.0)
    weight = made.layers[1].constants["weight"]
    variance = np.square(weight).sum(axis=(1, 2, 3)) * np.float32((60 / std) ** 2)
    constants = {**made.layers[2].constants, "var": variance.astype(np.float32)}
    layers = [*made.layers]
    layers[2] = dataclasses.replace(layers[2], constants=constants)
    return FloatNetwork("made", (24, 24, 3), 2, (0.0,) * 3, (1.0,) * 3, "RGB", tuple(_on_images(layers)))


def _on_images(layers):
    """The fc behind a mean over the image."""
    pool = type(layers[0])("003_pool", "global_avgpool", (layers[2].name,))
    return [*layers[:3], pool, dataclasses.replace(layers[3], name="004_fc", inputs=(pool.name,))]


@pytest.mark.parametrize("std", [58.0, 127.5, 255.0])
def test_what_pixels_had_to_be_divided_by_is_found(std):
    assert std / 2 < expected_std(fitting(120.0, std)) < std * 2


def test_pixels_that_fit_say_nothing():
    assert expected_std(fitting(0.0, 1.0)) is None
    normalised = dataclasses.replace(fitting(120.0, 58.0), mean=(120.0,) * 3, std=(58.0,) * 3)
    assert expected_std(normalised) is None


def test_without_a_batch_norm_nothing_tells():
    network = fitting(120.0, 58.0)
    bare = [
        *network.layers[:2],
        dataclasses.replace(network.layers[3], inputs=(network.layers[1].name,)),
        network.layers[4],
    ]
    assert expected_std(dataclasses.replace(network, layers=tuple(bare))) is None
