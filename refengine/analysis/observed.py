"""Runs that look at layers: one function of each layer's operands and result, batch after batch, on any backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from ..engine.events import Events
from ..engine.run import Result, check_images
from ..errors import RangeError
from ..network.batches import Images, batch_size, image_count, map_batches
from ..network.images import LabelledImages
from ..network.int_network import IntLayer, IntNetwork
from ..runs.predict import images_a_batch, predictor

Array = np.ndarray[Any, Any]
Found = TypeVar("Found")
Look = Callable[[IntLayer, Sequence[Array], Result], Found]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Batch(Generic[Found]):
    """Images ``numbers`` of a run: what was found in each chosen layer, and the events of all layers."""

    numbers: range
    found: Mapping[str, Found]
    events: Mapping[str, Events]


def observed(
    network: IntNetwork,
    images: Images,
    layers: Sequence[IntLayer],
    look: Look[Found],
    *,
    backend: str = "fast",
    threads: int = 1,
    progress: Progress | None = None,
    first_image: int = 0,
    only: range | None = None,
    batch: int | None = None,
) -> Iterator[Batch[Found]]:
    """Run uint8 images (N, H, W, C) and yield what ``look`` says of ``layers``, batches in the order of the images.

    ``only``: the numbers of the images to run, which are read a batch at a time where they lie in a file;
    ``first_image``: the number of the first one in the run; ``batch``: images at a time, chosen by memory by default.
    RangeError for images that the network cannot read, or for none.
    """
    numbers = range(image_count(images)) if only is None else only
    if not len(numbers):
        raise RangeError("0 images are to be run, needed at least 1")
    size = images_a_batch(len(numbers), threads, batch_size(network)) if batch is None else batch
    predict = predictor(network, backend, size, observed=[layer.name for layer in layers], counted=True)

    def work(numbered: tuple[int, Array]) -> Batch[Found]:
        found: dict[str, Found] = {}

        def observe(layer: IntLayer, operands: Sequence[Array], result: Result) -> None:
            found[layer.name] = look(layer, operands, result)

        start, pixels = numbered
        check_images(network, pixels)
        events = predict(pixels, first_image + start, observe).events
        return Batch(range(numbers.start + start, numbers.start + start + len(pixels)), found, events)

    done = 0
    for one in map_batches(work, _batches(images, numbers, size), threads):
        yield one
        done += len(one.numbers)
        if progress is not None:
            progress(done, len(numbers))


def _batches(images: Images, numbers: range, size: int) -> Iterator[tuple[int, Array]]:
    """(how many come before it, images) for ``size`` images at a time."""
    for start in range(numbers.start, numbers.stop, size):
        stop = min(start + size, numbers.stop)
        pixels = images.read(start, stop) if isinstance(images, LabelledImages) else images[start:stop]
        yield start - numbers.start, pixels
