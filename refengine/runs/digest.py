"""One SHA-256 a layer: whether two runs computed the same integers, without keeping them.

    image digest = SHA-256 of one image's integers, little-endian, in C order
    stage digest = SHA-256 of its image digests, in the order of the run
    layer digest = SHA-256 of the lines "<stage> <dtype> <shape of one image> <images> <stage digest>"

Stages are ``accumulator`` (int32, after the accumulator's policy) where a layer accumulates, ``exponent`` (int32) where
it is dynamic, and ``code`` where it ends in codes.  Neither batch size nor threads nor the backend enter.
"""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from ..engine.run import Result, check_images
from ..network.batches import Images, batch_size, image_batches, image_count, map_batches
from ..network.int_network import IntLayer, IntNetwork
from .predict import images_a_batch, predictor

Progress = Callable[[int, int], None]


def digests(
    network: IntNetwork,
    images: Images,
    backend: str = "fast",
    batch: int | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    first_image: int = 0,
) -> dict[str, str]:
    """SHA-256 (hex) of each layer's accumulators and codes over uint8 images (N, H, W, C).

    ``first_image`` is the position in the run that stochastic rounding gives to the first of them.
    ``progress(done, total)`` is called after each batch.  RangeError for images that the network cannot read.
    """
    stages: dict[tuple[str, str], _Stage] = {}

    size = batch_size(network) if batch is None else batch
    size = images_a_batch(image_count(images), threads, size)
    predict = predictor(network, backend, size, observed=[layer.name for layer in network.layers])

    def work(numbered: tuple[int, np.ndarray]) -> list[tuple[str, str, str, bytes]]:
        found: list[tuple[str, str, str, bytes]] = []

        def observe(layer: IntLayer, operands: object, result: Result) -> None:
            for stage, array in stages_of(layer, result):
                found.append((layer.name, stage, _described(array), _image_digests(array)))

        check_images(network, numbered[1])
        predict(numbered[1], first_image + numbered[0], observe)
        return found

    batches = image_batches(images, size)
    done, total = 0, image_count(images)
    for found in map_batches(work, batches, threads):
        for name, stage, description, image_digests in found:
            stages.setdefault((name, stage), _Stage(description)).add(image_digests)
        done = stages[found[0][:2]].count
        if progress is not None:
            progress(done, total)
    return {layer.name: _layer_digest(layer.name, stages) for layer in network.layers}


def stages_of(layer: IntLayer, result: Result) -> Iterator[tuple[str, np.ndarray]]:
    """The named integers of one layer: its accumulators, each image's exponent and its codes, where it has them."""
    if result.accumulator is not None:
        yield "accumulator", result.accumulator
    if result.coarser is not None:
        yield "exponent", (layer.exponent + result.coarser[:, None]).astype(np.int32)
    if result.accumulator is None or layer.requantize is not None:
        yield "code", result.result


class _Stage:
    """The digest of one stage, fed with the digests of images in the order of the run."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.count = 0
        self._digest = hashlib.sha256()

    def add(self, image_digests: bytes) -> None:
        self._digest.update(image_digests)
        self.count += len(image_digests) // self._digest.digest_size

    def line(self, stage: str) -> str:
        return f"{stage} {self.description} {self.count} {self._digest.hexdigest()}\n"


def _layer_digest(name: str, stages: dict[tuple[str, str], _Stage]) -> str:
    lines = [state.line(stage) for (layer, stage), state in stages.items() if layer == name]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _described(array: np.ndarray) -> str:
    """Type and shape of one image, without spaces.

    >>> _described(np.zeros((8, 3, 2), np.int32))
    '<i4 3x2'
    """
    return f"{array.dtype.newbyteorder('<').str} {'x'.join(str(size) for size in array.shape[1:])}"


def _image_digests(array: np.ndarray) -> bytes:
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return b"".join(hashlib.sha256(image.tobytes()).digest() for image in little_endian)
