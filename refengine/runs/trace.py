"""Trace: every integer of a run in one HDF5 file (docs/formats.md, ``format = "refengine-trace"``).

``write_trace`` streams batches into the file, ``open_trace`` reads it lazily and believes nothing unchecked.  Images
are the first axis of every dataset.  The stages of a layer, in the order in which hardware computes them:

    partial_sums   int32 (N, OH, OW, O, G) or (N, O, G): the sum of each cluster, before its scale (one layer, on wish)
    accumulator    int32: the sum with scales and bias, after the accumulator's policy
    total          int64: what is rounded, acc * multiplier + (residual << residual_shift)
    exponent       int32 (N, 1): what each image's codes are worth, where exponents are dynamic
    code           the codes that later layers read
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

import h5py
import numpy as np

from .. import __version__
from ..engine.run import Result, check_images
from ..errors import NetworkError
from ..network.batches import Images, batch_size, image_batches, image_count
from ..network.hdf5_dataset import CheckedDataset
from ..network.int_network import IntLayer, IntNetwork
from ..network.read_hdf5 import MAX_CHILDREN, CheckedGroup, open_checked
from ..network.write_hdf5 import put_attributes, write_atomically
from ..numbers.formats import OUTPUT_FORMATS
from ..numbers.requantize import total
from ..ops import conv, fc
from ..text import PathLike, shown
from .digest import stages_of
from .predict import Predictor, backend_for, images_a_batch, predictor

FORMAT, VERSION = "refengine-trace", 1

STAGES = {
    "partial_sums": "sum of each cluster before its scale",
    "accumulator": "sum with scales and bias, as its accumulator holds it",
    "total": "accumulator * multiplier + (residual << residual_shift), before rounding",
    "exponent": "a code of the image is worth 2**exponent",
    "code": "rounded and clipped: what later layers read",
}
_DTYPES = {"partial_sums": np.int32, "accumulator": np.int32, "total": np.int64, "exponent": np.int32}
_CHUNK_BYTES = 1 << 18
_MAX_COUNT = 1 << 40

Progress = Callable[[int, int], None]


# ------------------------------------------------------------------------------------------------------------- writing


def write_trace(
    network: IntNetwork,
    images: Images,
    path: PathLike,
    *,
    layers: Sequence[str] | None = None,
    partial_sums_of: str | None = None,
    backend: str = "fast",
    batch: int | None = None,
    progress: Progress | None = None,
    inputs: Iterable[PathLike] = (),
    first_image: int = 0,
    threads: int = 1,
) -> None:
    """Run uint8 images (N, H, W, C) and write what the chosen layers compute.

    ``layers``: names or shell patterns, with or without the layer's number; None: all.  ``partial_sums_of``: a conv or
    fc layer whose clusters' sums are written too.  ``first_image``: the position in the run that stochastic rounding
    gives to the first of the images.  ``progress(done, total)`` is called after each batch.  NetworkError for a layer
    that does not exist, RangeError for images that the network cannot read, FileError where ``path`` cannot be written;
    nothing is left behind then.
    """
    chosen = {layer.name for layer in choose_layers(network, layers)}
    partial = None if partial_sums_of is None else _clustered_layer(network, partial_sums_of)
    if partial is not None:
        chosen.add(partial.name)
    with write_atomically(path, inputs) as file:
        count = image_count(images)
        writer = _Writer(file, network, count, chosen, partial, backend, first_image)
        size = images_a_batch(count, 1, batch_size(network) if batch is None else batch)
        predict = predictor(network, backend, size, threads=threads, observed=[*chosen])
        for first, pixels in image_batches(images, size):
            check_images(network, pixels)
            writer.batch(predict, first, pixels)
            if progress is not None:
                progress(first + len(pixels), writer.count)
        writer.end()


def choose_layers(network: IntNetwork, patterns: Sequence[str] | None = None) -> tuple[IntLayer, ...]:
    """Layers that any of the names or shell patterns means, in execution order; NetworkError where one means none."""
    if patterns is None:
        return network.layers
    chosen: set[str] = set()
    for pattern in patterns:
        found = {layer.name for layer in network.layers if _means(pattern, layer.name)}
        chosen |= found or {network.layer(pattern).name}
    return tuple(layer for layer in network.layers if layer.name in chosen)


def roundings(network: IntNetwork) -> tuple[str, ...]:
    """The rounding modes that the network's requantizations use, each once, in order of appearance."""
    return tuple(dict.fromkeys(layer.requantize.rounding for layer in network.layers if layer.requantize is not None))


def _means(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.split("_", 1)[-1], pattern)


def _clustered_layer(network: IntNetwork, name: str) -> IntLayer:
    layer = network.layer(name)
    if layer.op not in ("conv", "fc"):
        raise NetworkError(f"layer {layer.name!r} ({layer.op}) has no clusters, partial sums are those of a conv or fc")
    return layer


class _Writer:
    """A trace being written: which layers, and the datasets as they appear."""

    def __init__(
        self,
        file: h5py.File,
        network: IntNetwork,
        count: int,
        chosen: set[str],
        partial: IntLayer | None,
        backend: str,
        first_image: int,
    ) -> None:
        self.count = count
        self._file = file
        self._network = network
        self._partial = partial
        self._backend = backend = backend_for(network, backend)
        self._first_image = first_image
        self._pixels = hashlib.sha256()
        self._datasets: dict[str, h5py.Dataset] = {}
        put_attributes(file, {"format": FORMAT, "version": VERSION, "refengine": __version__, "backend": backend})
        put_attributes(file, {"network": network.name, "model_hash": network.hash, "contract": network.contract})
        put_attributes(file, {"roundings": json.dumps(roundings(network)), "count": count})
        put_attributes(file, {"first_image": first_image})
        groups = file.create_group("layers")
        for position, layer in enumerate(network.layers):
            if layer.name in chosen:
                self._describe(groups, layer, position)

    def _describe(self, groups: h5py.Group, layer: IntLayer, position: int) -> None:
        if "/" in layer.name or not layer.name.isprintable():
            raise NetworkError(f"layer {layer.name!r} cannot be written, its name is not that of one HDF5 group")
        attributes = {"op": layer.op, "exponent": layer.exponent, "position": position}
        group = groups.create_group(layer.name)
        put_attributes(group, {**attributes, "format": self._network.formats[layer.name].name})

    def batch(self, predict: Predictor, first: int, pixels: np.ndarray) -> None:
        """Run one batch and store what it gives."""
        self._pixels.update(np.ascontiguousarray(pixels).tobytes())
        self._put("images", first, pixels)

        def observe(layer: IntLayer, operands: Sequence[np.ndarray], result: Result) -> None:
            self._layer(first, layer, operands, result)

        prediction = predict(pixels, self._first_image + first, observe)
        self._put("logits", first, prediction.logits)

    def _layer(self, first: int, layer: IntLayer, operands: Sequence[np.ndarray], result: Result) -> None:
        place = f"layers/{layer.name}"
        if self._partial is not None and layer.name == self._partial.name:
            for n in range(len(operands[0])):  # image by image: a batch of partial sums may be larger than the memory
                sums = partial_sums(layer, operands[0][n : n + 1], self._backend)
                self._put(f"{place}/partial_sums", first + n, sums)
        for stage, array in stages_of(layer, result):
            self._put(f"{place}/{stage}", first, array)
        if layer.requantize is not None and result.accumulator is not None:
            self._put(f"{place}/total", first, total(result.accumulator, layer.requantize, result.residual))

    def _put(self, name: str, first: int, array: np.ndarray) -> None:
        if name not in self._datasets:
            self._datasets[name] = self._dataset(name, array)
        self._datasets[name][first : first + len(array)] = array

    def _dataset(self, name: str, array: np.ndarray) -> h5py.Dataset:
        """A new dataset for all images; the objects are kept, because each carries the cache of its last chunk."""
        shape = (self.count, *array.shape[1:])
        dataset = self._file.create_dataset(
            name,
            shape,
            array.dtype.newbyteorder("<"),
            chunks=_chunks(shape, array.itemsize),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            track_times=False,
        )
        put_attributes(dataset, {"stage": STAGES.get(name.rpartition("/")[2])})
        return dataset

    def end(self) -> None:
        """What is known only after the last image."""
        put_attributes(self._file, {"images_sha256": self._pixels.hexdigest()})


def partial_sums(layer: IntLayer, x: np.ndarray, backend: str = "kernels") -> np.ndarray:
    """Each cluster's sum before its scale: codes (N, H, W, I) or (N, I) -> int32 (N, OH, OW, O, G) or (N, O, G)."""
    if backend != "reference" and layer.op == "conv" and conv.is_ternary(layer.constants["weight"]):
        _, partial = conv.ternary(x, **layer.arguments)
        if partial is not None:
            return partial
    return _CLUSTERED[layer.op](x, **layer.arguments).astype(np.int32)


_CLUSTERED: dict[str, Callable[..., np.ndarray]] = {"conv": conv.partial_sums, "fc": fc.partial_sums}


def _chunks(shape: tuple[int, ...], item_bytes: int) -> tuple[int, ...]:
    """Whole images together where they are small, rows of one image where it is large.

    >>> _chunks((1000, 8, 8, 16), 4), _chunks((10, 224, 224, 64), 8)
    ((64, 8, 8, 16), (1, 2, 224, 64))
    """
    row = item_bytes * int(np.prod(shape[2:]))
    images = _CHUNK_BYTES // (row * shape[1])
    if images:
        return (min(images, shape[0]), *shape[1:])
    return (1, max(1, _CHUNK_BYTES // row), *shape[2:])


# ------------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class TraceLayer:
    """What a trace says of one layer: its operator, what its codes are worth, and which stages were written."""

    name: str
    op: str
    exponent: int
    format: str
    stages: tuple[str, ...]


class Trace:
    """An opened trace of ``count`` images; ``open_trace`` makes one.

    ``layers``: names in execution order.  ``first_image``: the first image's position in the run, which stochastic
    rounding looks at.  ``images_sha256``: of the bytes of all images.  Datasets are read in slices.
    """

    def __init__(self, root: CheckedGroup) -> None:
        self.file = root.file
        self.model_hash: str = root.text("model_hash")
        self.contract: int = root.integer("contract", 0, _MAX_COUNT)
        self.network: str = root.text("network")
        self.roundings: tuple[str, ...] = root.json_texts("roundings")
        self.backend: str = root.text("backend")
        self.refengine: str = root.text("refengine")
        self.count: int = root.integer("count", 1, _MAX_COUNT)
        self.first_image: int = root.integer("first_image", 0, _MAX_COUNT)
        self.images_sha256: str = root.text("images_sha256")
        self._root = root
        self._groups = root.group("layers")
        self._layers = dict(sorted(self._read_layers(), key=lambda item: item[1][0]))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that were written, in execution order."""
        return tuple(self._layers)

    def layer(self, name: str) -> TraceLayer:
        """What is known of a layer; FileError if the trace does not hold it."""
        if name not in self._layers:
            raise self._groups.error(f"has no layer {shown(name)}")
        return self._layers[name][1]

    def stage(self, layer: str, stage: str) -> CheckedDataset:
        """One stage of one layer, (N, ...), to be read in slices; FileError if the trace does not hold it."""
        known = self.layer(layer)
        if stage not in known.stages:
            raise self._groups.error(f"has no stage {shown(stage)}, it has {', '.join(known.stages)}", layer)
        group = self._groups.group(layer)
        dtype = _DTYPES.get(stage, OUTPUT_FORMATS[known.format].dtype)
        return self._of_all_images(group, stage, dtype)

    @property
    def images(self) -> CheckedDataset:
        """uint8 (N, H, W, C)."""
        return self._of_all_images(self._root, "images", np.uint8)

    @property
    def logits(self) -> CheckedDataset:
        """int32 (N, classes)."""
        return self._of_all_images(self._root, "logits", np.int32)

    def _of_all_images(self, group: CheckedGroup, name: str, dtype: type) -> CheckedDataset:
        dataset = group.dataset(name, dtype)
        if len(dataset.shape) < 2 or len(dataset) != self.count or 0 in dataset.shape:
            raise group.error(f"has shape {dataset.shape}, needed ({self.count}, ...)", name)
        return dataset

    def _read_layers(self) -> Iterator[tuple[str, tuple[int, TraceLayer]]]:
        for name in self._groups.names():
            group = self._groups.group(name)
            stages = tuple(stage for stage in STAGES if group.has(stage))
            for member in group.names():
                if member not in STAGES:
                    raise group.error(f"is not known here, known are: {', '.join(STAGES)}", member)
            fmt = group.text("format")
            if fmt not in OUTPUT_FORMATS:
                raise group.error(f"attribute 'format' is {shown(fmt)}, known are: {', '.join(OUTPUT_FORMATS)}")
            exponent = group.integer("exponent", -_MAX_COUNT, _MAX_COUNT)
            position = group.integer("position", 0, MAX_CHILDREN)
            yield name, (position, TraceLayer(name, group.text("op"), exponent, fmt, stages))


@contextmanager
def open_trace(path: PathLike) -> Iterator[Trace]:
    """Open a trace for the length of a ``with`` block; FileError if it is not one."""
    with open_checked(path, {FORMAT: {VERSION}}) as root:
        yield Trace(root)
