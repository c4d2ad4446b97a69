"""How much memory an engine takes: a process of its own loads the stored model, runs a batch, and says its peak.

The process in which engines are made and take turns also holds the float network, the tools that quantize it and all
the other engines; one of its own has the engine's packages, the model and what a run needs, as a program has them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RefengineError
from ..network.int_file import read_int_network
from ..optional import package, quiet
from .peers import LOADERS

Array = np.ndarray[Any, Any]

OURS, MODEL = "refengine", "model.h5"
RUNS = 3
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Stored:
    """An engine as files: which one it is, how its model is written into a folder, and the batch that it runs."""

    engine: str
    write: Callable[[Path], object]
    batch: Array


@dataclass(frozen=True)
class Memory:
    """Bytes: the largest resident size of the process, and what it had before the model was loaded."""

    peak: int
    packages: int


def memory_of(stored: Stored, threads: int) -> Memory | None:
    """The memory of an engine that runs its batch ``RUNS`` times; None where the system does not tell.

    RefengineError where its process ends before it has answered.
    """
    if not STATUS.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        with quiet():
            stored.write(Path(folder))
        np.save(Path(folder, "batch.npy"), stored.batch)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            try:
                return pool.submit(_measured, stored.engine, folder, threads).result()
            except BrokenProcessPool as error:
                raise RefengineError(f"the process that measures the memory of {stored.engine} was killed") from error


def _measured(engine: str, folder: str, threads: int) -> Memory:
    """In the process of its own."""
    with quiet():
        if engine == OURS:
            from ..engine.fast.plan import Plan  # here, because it loads the compiler
        else:
            package(engine)
        packages = _resident("VmRSS")
        batch = np.load(Path(folder, "batch.npy"))
        run: Callable[[Any], Array]
        if engine == OURS:
            run = Plan(read_int_network(Path(folder, MODEL)), len(batch), threads=threads).run
        else:
            prepare, run = LOADERS[engine](Path(folder), threads)
            batch = prepare(batch)
        for _ in range(RUNS):
            run(batch)
    return Memory(_resident("VmHWM"), packages)


def _resident(name: str) -> int:
    """A line of what the system says of this process, in bytes."""
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(kilobytes)
