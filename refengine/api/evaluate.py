"""evaluate: how many labelled images an integer network classifies correctly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..accuracy.evaluate import Counting, Evaluation
from ..accuracy.evaluate import evaluate as evaluated
from ..errors import RangeError
from ..network.batches import cores
from ..network.float_network import FloatNetwork
from ..network.images import LabelledImages
from ..network.int_network import IntNetwork
from ..text import PathLike
from . import given
from .image_file import ImageFile

Progress = Callable[[int, int], None]
Array = np.ndarray[Any, Any]
Labelled = ImageFile | LabelledImages | PathLike | tuple[Array, Sequence[int] | Array]
"""A file of labelled images, opened or not or by its path, or a pair of uint8 images (N, H, W, C) and N labels."""


def evaluate(
    model: IntNetwork | PathLike,
    images: Labelled,
    *,
    float_network: FloatNetwork | PathLike | None = None,
    limit: int | None = None,
    batch: int | None = None,
    backend: str = "fast",
    threads: int | None = None,
    progress: Progress | None = None,
    elsewhere: Counting | None = None,
) -> Evaluation:
    """Count the labelled images that an integer network classifies correctly, and every value that was clipped.

    ``images``: a file with labels, its path, or a pair of images uint8 (N, H, W, C) and labels (N).  ``float_network``
    is counted beside it, image by image.  ``limit``: only the first so many images; ``batch``: images at a time.
    ``backend``, ``threads`` and ``progress`` are those of ``run``.  ``elsewhere``: who counts instead of this process
    (``accuracy.dask_jobs.counting``).  RangeError for images without labels or labels that are no class.

        >>> import refengine as re
        >>> images = re.load("weights/fashion-calibration-1000.h5")
        >>> model = re.quantize("weights/resnet20-fashion.h5", images[:8], method="paper")
        >>> found = re.evaluate(model, (images[8:10], [3, 3]))
        >>> found.count, found.correct <= 2
        (2, True)
    """
    network = given.int_network(model)
    beside = None if float_network is None else given.float_network(float_network)
    options: dict[str, Any] = {"backend": backend, "batch": batch, "limit": limit, "progress": progress}
    options |= {"threads": cores() if threads is None else threads, "elsewhere": elsewhere, "float_network": beside}
    if isinstance(images, tuple):
        pixels, labels = images
        return evaluated(network, (pixels, np.asarray(labels)), **options)
    with given.opened_images(images) as file:
        if not isinstance(file, LabelledImages):
            raise RangeError("images are an array without labels, needed a pair of images and labels, or a file")
        return evaluated(network, file, **options)
