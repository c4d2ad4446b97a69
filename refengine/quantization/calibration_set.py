"""Which of the given images a network is calibrated on."""

from math import prod

import numpy as np

from ..network.float_network import FloatNetwork, shapes, with_input_shape
from ..network.images import evenly_spaced

USUAL = 1024
MOST_NUMBERS = 2**28  # 1 GiB of float32; up to four such tensors are alive at one time


def calibration_set(
    network: FloatNetwork, size: tuple[int, int], available: int, wanted: int | None = None
) -> np.ndarray:
    """Numbers of the images to take, int64, rising and evenly spaced over the ``available`` ones of (H, W) ``size``.

    As many as are ``wanted``, or else 1,024, fewer where the largest tensor of the float network would exceed 2^28
    numbers, all images together.  NetworkError if the network's layers do not fit images of that size.

    >>> from refengine.network.geometry import geometry
    >>> small, large = geometry("resnet20"), geometry("resnet50")
    >>> len(calibration_set(small, (32, 32), 5000)), len(calibration_set(large, (224, 224), 5000))
    (1024, 334)
    """
    if wanted is None:
        largest = max(map(prod, shapes(with_input_shape(network, size)).values()))
        wanted = min(USUAL, max(1, MOST_NUMBERS // largest))
    return evenly_spaced(available, wanted)
