"""TraceFile: every integer of a run, which stays in its file and is read when it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..runs.trace import TraceLayer, open_trace
from ..text import PathLike

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class TraceFile:
    """A trace of ``count`` images; ``load`` and ``trace`` make one.

    ``layers``: names in order of execution.  ``first_image``: the first image's number in the run.  ``model_hash``: of
    the network that ran.  The file is open only while something is read.
    """

    path: str
    model_hash: str
    contract: int
    count: int
    first_image: int
    layers: tuple[str, ...]

    def layer(self, name: str) -> TraceLayer:
        """Operator, exponent, format and stages of a layer; FileError if the trace does not hold it."""
        with open_trace(self.path) as trace:
            return trace.layer(name)

    def stages(self, layer: str) -> tuple[str, ...]:
        """The stages of a layer that the trace holds, in the order in which hardware computes them."""
        return self.layer(layer).stages

    def read(self, layer: str, stage: str, start: int = 0, stop: int | None = None) -> Array:
        """Images start..stop-1 of one stage of one layer, (n, ...) integers; FileError where they do not exist."""
        with open_trace(self.path) as trace:
            return trace.stage(layer, stage).read(start, self.count if stop is None else stop)

    @property
    def images(self) -> Array:
        """What went in, uint8 (N, H, W, C)."""
        with open_trace(self.path) as trace:
            return trace.images.read(0, self.count)

    @property
    def logits(self) -> Array:
        """What came out, int32 (N, classes)."""
        with open_trace(self.path) as trace:
            return trace.logits.read(0, self.count)


def trace_file(path: PathLike) -> TraceFile:
    """What a trace says of itself; FileError if the file is not one."""
    with open_trace(path) as trace:
        known = (trace.model_hash, trace.contract, trace.count, trace.first_image, trace.layers)
        return TraceFile(os.fspath(path), *known)
