"""How many images a network is calibrated on, and which."""

from math import prod

import float_networks
import numpy as np
import pytest

from refengine.errors import NetworkError
from refengine.network.float_network import shapes, with_input_shape
from refengine.network.geometry import geometry
from refengine.quantization import calibration_set as module
from refengine.quantization.calibration_set import USUAL, calibration_set


def test_a_wanted_count_is_used():
    network = geometry("resnet20")
    assert len(calibration_set(network, (32, 32), 5000, 7)) == 7
    assert len(calibration_set(network, (32, 32), 5000, 4000)) == 4000
    assert calibration_set(network, (32, 32), 5, 7).tolist() == [0, 1, 2, 3, 4]


def test_by_default_1024_images_are_used():
    network = geometry("resnet20")
    assert len(calibration_set(network, (32, 32), 5000)) == USUAL
    assert len(calibration_set(network, (32, 32), 300)) == 300


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (96, 128)])
def test_the_largest_tensor_is_bounded(size, monkeypatch):
    monkeypatch.setattr(module, "MOST_NUMBERS", 10_000_000)
    network = geometry("resnet50")
    largest = max(prod(shape) for shape in shapes(with_input_shape(network, size)).values())
    chosen = calibration_set(network, size, 100_000)
    assert len(chosen) == min(USUAL, 10_000_000 // largest)
    assert np.all(np.diff(chosen) >= 100_000 // USUAL)


def test_one_image_at_least(monkeypatch):
    monkeypatch.setattr(module, "MOST_NUMBERS", 10)
    assert calibration_set(geometry("resnet50"), (224, 224), 50).size == 1


def test_images_that_do_not_fit():
    with pytest.raises(NetworkError):
        calibration_set(float_networks.every_op(), (1, 1), 50)
