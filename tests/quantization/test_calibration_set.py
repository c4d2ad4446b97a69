"""How many images a network is calibrated on, and which."""

from math import prod

import float_networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
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


@pytest.mark.parametrize(("size", "count"), [((32, 32), USUAL), ((224, 224), 668), ((1500, 3000), 7)])
def test_large_images_are_fewer(size, count):
    chosen = calibration_set(geometry("resnet50"), size, 100_000)
    assert len(chosen) == count
    assert np.all(np.diff(chosen) >= 100_000 // USUAL)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)), min_size=1), st.integers(1, 2000))
def test_as_many_images_have_room_as_the_largest_tensor_allows(tensors, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_NUMBERS", most)
        count = module.room(tensors)
    assert count == 1 or all(count * prod(shape) <= most for shape in tensors)
    assert any((count + 1) * prod(shape) > most for shape in tensors)


@given(st.integers(1, 40), st.integers(1, 40))
def test_images_with_room_come_first_and_none_is_lost(available, count):
    images = np.arange(available)
    found = module.those_with_room_first(images, count).tolist()
    assert sorted(found) == images.tolist()
    assert found[:count] == calibration_set(geometry("resnet20"), (32, 32), available, count).tolist()
    assert found[count:] == sorted(found[count:])


def test_images_that_do_not_fit():
    with pytest.raises(NetworkError):
        calibration_set(float_networks.every_op(), (1, 1), 50)
