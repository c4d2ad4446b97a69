"""trace: every integer of a run, in a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

from ..network.batches import cores, image_count
from ..network.images import LabelledImages, chosen_images
from ..network.int_network import IntNetwork
from ..runs.trace import write_trace
from ..text import PathLike
from .given import GivenImages, int_network, name_of, opened_images, paths_of
from .trace_file import TraceFile, trace_file

Progress = Callable[[int, int], None]


def trace(
    model: IntNetwork | PathLike,
    images: GivenImages,
    path: PathLike | None = None,
    *,
    layers: Sequence[str] | None = None,
    partial_sums_of: str | None = None,
    first: int = 0,
    count: int | None = None,
    backend: str = "fast",
    threads: int | None = None,
    progress: Progress | None = None,
) -> TraceFile:
    """Run images and keep every integer of the layers: accumulators, totals before rounding, codes.

    ``path``: the file to write; None: a temporary one, which is deleted together with the result.  ``layers``: names or
    shell patterns, with or without the layer's number; None: all.  ``partial_sums_of``: a conv or fc layer of which
    each cluster's sum is kept too, before its scale (contract C2).  ``images``, ``first``, ``count``, ``backend``,
    ``threads`` and ``progress`` are those of ``run``; a trace takes about 0.8 MB an image for the shipped network.
    NetworkError for a layer that does not exist, FileError where ``path`` cannot be written.

        >>> import refengine as re
        >>> images = re.load("weights/fashion-calibration-1000.h5")
        >>> model = re.quantize("weights/resnet20-fashion.h5", images[:8], method="paper")
        >>> found = re.trace(model, images, layers=["conv1"], count=2)
        >>> found.layers, found.stages("001_conv1")
        (('001_conv1',), ('accumulator', 'total', 'code'))
        >>> found.read("001_conv1", "code").shape
        (2, 28, 28, 16)
    """
    options: dict[str, Any] = {
        "layers": layers,
        "partial_sums_of": partial_sums_of,
        "backend": backend,
        "progress": progress,
    }
    options |= {"threads": cores() if threads is None else threads, "inputs": paths_of(model, images)}
    network = int_network(model)
    with opened_images(images) as given:
        numbers = chosen_images(image_count(given), first, count, name_of(images))
        pixels = given
        if len(numbers) < image_count(given):
            chosen = slice(numbers.start, numbers.stop)
            pixels = given.read(chosen.start, chosen.stop) if isinstance(given, LabelledImages) else given[chosen]
        if path is not None:
            write_trace(network, pixels, path, first_image=first, **options)
            return trace_file(path)
        folder = mkdtemp(prefix="refengine-")
        try:
            write_trace(network, pixels, Path(folder) / "trace.h5", first_image=first, **options)
            found = trace_file(Path(folder) / "trace.h5")
        except BaseException:
            rmtree(folder, ignore_errors=True)
            raise
        finalize(found, rmtree, folder, ignore_errors=True)
        return found
