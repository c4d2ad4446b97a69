"""Which of the given images a network is calibrated on, and how many of them its largest tensors have room for."""

from collections.abc import Iterable
from math import prod

import numpy as np

from ..network.float_network import FloatNetwork, with_input_shape
from ..network.images import evenly_spaced
from ..ops.interface import Shape

USUAL = 1024
MOST_PIXELS = 2**25  # 668 images of 224x224
MOST_NUMBERS = 2**28  # 1 GiB of float32; up to four such tensors are alive at one time


def calibration_set(
    network: FloatNetwork, size: tuple[int, int], available: int, wanted: int | None = None
) -> np.ndarray:
    """Numbers of the images to take, int64, rising and evenly spaced over the ``available`` ones of (H, W) ``size``.

    As many as are ``wanted``, or else 1,024, fewer where these would have more than 2^25 pixels.  NetworkError if the
    network's layers do not fit images of that size.

    >>> from refengine.network.geometry import geometry
    >>> small, large = geometry("resnet20"), geometry("resnet50")
    >>> len(calibration_set(small, (32, 32), 5000)), len(calibration_set(large, (224, 224), 5000))
    (1024, 668)
    """
    with_input_shape(network, size)
    if wanted is None:
        wanted = min(USUAL, max(1, MOST_PIXELS // prod(size)))
    return evenly_spaced(available, wanted)


def room(tensors: Iterable[Shape]) -> int:
    """How many images' tensors of such shapes, 1 at least, have 2^28 numbers at most, each tensor by itself.

    >>> room([(112, 112, 64), (56, 56, 256)]), room([(7, 7, 2048)])
    (334, 2674)
    """
    return max(1, MOST_NUMBERS // max(map(prod, tensors)))


def those_with_room_first(images: np.ndarray, count: int) -> np.ndarray:
    """The images (N, ...), ``count`` evenly spaced ones before all others.

    >>> those_with_room_first(np.arange(6), 3)
    array([0, 2, 4, 1, 3, 5])
    """
    if count >= len(images):
        return images
    first = evenly_spaced(len(images), count)
    return np.concatenate([images[first], np.delete(images, first, axis=0)])
