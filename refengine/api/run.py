"""run: images through an integer network, logits out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.run import check_images
from ..network.batches import batch_size, cores, image_count, map_batches
from ..network.images import LabelledImages, chosen_images
from ..network.int_network import IntNetwork
from ..runs.predict import images_a_batch, predictor
from ..text import PathLike
from .given import GivenImages, int_network, name_of, opened_images

Progress = Callable[[int, int], object]


def run(
    model: IntNetwork | PathLike,
    images: GivenImages,
    *,
    first: int = 0,
    count: int | None = None,
    backend: str = "fast",
    threads: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray[Any, Any]:
    """Run images through an integer network; uint8 (N, H, W, C) -> logits int32 (N, classes) (contract L).

    ``model``: an integer network or the path of one.  ``images``: an array, a file of images or its path; of those the
    ``count`` from number ``first`` on, or all.  ``backend``: ``fast``, ``kernels`` or ``reference``; ``threads``: None
    for one on each core; neither changes a number.  ``progress(done, total)`` is called after each batch.  FileError
    for files, RangeError for images that the network cannot read.

        >>> import refengine as re
        >>> images = re.load("weights/fashion-calibration-1000.h5")
        >>> model = re.quantize("weights/resnet20-fashion.h5", images[:8], method="paper")
        >>> logits = re.run(model, images, first=8, count=2)
        >>> logits.shape, logits.dtype
        ((2, 10), dtype('int32'))
    """
    network = int_network(model)
    threads = cores() if threads is None else threads
    with opened_images(images) as pixels:
        numbers = chosen_images(image_count(pixels), first, count, name_of(images))
        size = images_a_batch(len(numbers), threads, batch_size(network))
        predict = predictor(network, backend, size, threads=threads if len(numbers) == 1 else 1)

        def work(part: range) -> np.ndarray[Any, Any]:
            batch = _read(pixels, part)
            check_images(network, batch)
            return predict(batch, part.start, None).logits

        parts = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        found: list[np.ndarray[Any, Any]] = []
        for part, logits in zip(parts, map_batches(work, parts, threads), strict=True):
            found.append(logits)
            if progress is not None:
                progress(part.stop - numbers.start, len(numbers))
    return np.concatenate(found)


def _read(pixels: LabelledImages | np.ndarray[Any, Any], part: range) -> np.ndarray[Any, Any]:
    if isinstance(pixels, LabelledImages):
        return pixels.read(part.start, part.stop)
    return pixels[part.start : part.stop]
