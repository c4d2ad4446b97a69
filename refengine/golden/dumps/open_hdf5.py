"""A dump that is an HDF5 file: a trace, or arrays with names where the file does not say what it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...network.hdf5_dataset import CheckedDataset
from ...network.read_hdf5 import CheckedGroup, open_checked
from ...runs.trace import open_trace
from ...text import shown
from ...vectors.tensors import LOGITS
from .chosen import NO_READER, Chosen
from .dump import HDF5, IMAGES, TRACE, Array, Dump, Values, checked
from .open_named import by_name

_OPEN_DATASETS = 8
_MOST_GROUPS = 3  # layers/LAYER/STAGE


def open_hdf5(path: Path, chosen: Chosen, stack: ExitStack) -> Dump:
    """A trace, or arrays with names where the file does not say what it is."""
    root = stack.enter_context(open_checked(path, None))
    if not root.has_attribute("format"):
        return _plain(path, chosen, root)
    trace = stack.enter_context(open_trace(path))
    shelf = _Shelf(trace.stage)
    arrays = {
        layer: {
            stage: shelf.values(layer, stage)
            for stage in trace.layer(layer).stages
            if chosen.takes(f"layers/{layer}/{stage}", f"{layer}/{stage}")
        }
        for layer in trace.layers
    }
    for member in root.names():
        if member not in ("layers", IMAGES, LOGITS):
            chosen.pass_over(member, NO_READER)
    images, logits = (getattr(trace, one) if chosen.takes(one) else None for one in (IMAGES, LOGITS))
    known = (trace.count, trace.first_image, trace.model_hash, trace.images_sha256, images)
    held = {layer: stages for layer, stages in arrays.items() if stages}
    return Dump(chosen.name, TRACE, held, *known, path=path, logits=logits, **chosen.known)


def _plain(path: Path, chosen: Chosen, root: CheckedGroup) -> Dump:
    """Datasets called LAYER, LAYER.STAGE or LAYER/STAGE, in a group ``layers`` or not."""

    def find(group: CheckedGroup, member: str) -> CheckedDataset:
        dataset = group.dataset(member, group.float_type(member) if chosen.of_dut else None)
        if not dataset.shape or 0 in dataset.shape:
            raise group.error(f"has shape {dataset.shape}, needed (images, ...), none of them 0", member)
        return dataset

    def members(group: CheckedGroup, prefix: str, depth: int) -> Iterator[tuple[str, Values]]:
        for member in group.names():
            if depth > 1 and group.is_group(member):
                yield from members(group.group(member), f"{prefix}{member}/", depth - 1)
            else:
                yield f"{prefix}{member}", shelf.values(group, member)

    shelf = _Shelf(find)
    found: dict[str, Values] = {}
    for member, values in members(root, "", _MOST_GROUPS):
        key = member.removeprefix("layers/")
        if key in found:
            raise root.error(f"is there twice, as {shown(member)} too", key)
        if chosen.takes(member, key):
            found[key] = values
    return by_name(path, chosen, HDF5, found, {})


class _Shelf:
    """The datasets of a file, few of them open at a time, because HDF5 keeps some megabytes for each that is."""

    def __init__(self, find: Callable[..., CheckedDataset]) -> None:
        self._find = find
        self._open: OrderedDict[tuple[Any, ...], CheckedDataset] = OrderedDict()

    def values(self, *place: Any) -> Values:
        """One array, its header checked and nothing kept open."""

        def opened() -> Values:
            dataset = self._find(*place)
            return _OnShelf(self, place, dataset.shape, dataset.dtype, dataset.chunk_rows)

        return checked(opened)

    def dataset(self, place: tuple[Any, ...]) -> CheckedDataset:
        """An open dataset; those that were not used for longest are closed."""
        if place not in self._open:
            self._open[place] = self._find(*place)
        self._open.move_to_end(place)
        while len(self._open) > _OPEN_DATASETS:
            self._open.popitem(last=False)
        return self._open[place]


@dataclass(frozen=True, eq=False)
class _OnShelf:
    """One array of an HDF5 file."""

    shelf: _Shelf
    place: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.shelf.dataset(self.place).read(start, stop)
