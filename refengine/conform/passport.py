"""One digest over the small networks: whether this machine computes, in every way that it can, what others do.

    digest = SHA-256 over, of each network in order:
        its hash and a newline, as text
        of each layer in order, of each of its stages (accumulator, exponent, code): the line
            "<layer> <stage> <dtype> <shape>\\n", the shape as 7x6x5x3, and its integers, little-endian, in C order
        "logits <dtype> <shape>\\n" and the logits

Neither batches nor threads, the backend nor the instruction set enter.  ``DIGEST`` is what comes out under contract 1.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from ..accuracy.processes import Failure, answers
from ..engine.run import Result
from ..errors import RefengineError
from ..kernels import INSTRUCTION_SET_OPTION
from ..network.batches import image_batches, map_batches
from ..network.int_network import IntLayer, IntNetwork
from ..runs.digest import stages_of
from ..runs.predict import BACKENDS, predictor
from .case import Array
from .small_networks import IMAGES, Small, small_networks

DIGEST = "eb1700a3766806aad0877d294785cb886cb7c9d2ecbc9ecbcde7de52e10fdbb5"

Stages = Mapping[tuple[str, str], Array]
Progress = Callable[[int, int], None]

# threads that share out batches, threads within a batch, images a batch
_RUNS = ((1, 1, IMAGES), (1, 1, 2), (3, 1, 2))
_FAST_RUNS = (*_RUNS, (1, 2, IMAGES), (1, 3, 1))


@dataclass(frozen=True)
class Line:
    """One way to compute and the digest that came out; threads: over batches and within one."""

    backend: str
    instruction_set: str
    threads: int
    threads_within: int
    batch: int
    digest: str

    @property
    def agrees(self) -> bool:
        """Whether the digest is the stored one."""
        return self.digest == DIGEST


def passport(backends: Iterable[str] = BACKENDS, progress: Progress | None = None) -> Iterator[Line]:
    """A line for each way in which this machine can compute; instruction sets each in a process of its own.

    RefengineError where such a process fails.
    """
    chosen = [*dict.fromkeys(backends)]
    plain = [(backend, *run) for backend in BACKENDS if backend in chosen and backend != "fast" for run in _RUNS]
    sets = _instruction_sets() if "fast" in chosen else []
    done, total = 0, len(plain) + len(sets) * len(_FAST_RUNS)
    for backend, threads, within, batch in plain:
        yield Line(backend, "", threads, within, batch, digest(_computed(backend, threads, within, batch)))
        done += 1
        if progress is not None:
            progress(done, total)
    for name in sets:
        for (threads, within, batch), found in zip(_FAST_RUNS, _by_instruction_set(name), strict=True):
            yield Line("fast", name, threads, within, batch, found)
            done += 1
            if progress is not None:
                progress(done, total)


def digest(computed: Iterable[tuple[IntNetwork, Stages, Array]]) -> str:
    """The digest of networks, of what each of their stages is, and of their logits."""
    found = hashlib.sha256()
    for network, stages, logits in computed:
        found.update(f"{network.hash}\n".encode())
        for (layer, stage), array in stages.items():
            _update(found, f"{layer} {stage}", array)
        _update(found, "logits", logits)
    return found.hexdigest()


def _update(found: hashlib._Hash, what: str, array: Array) -> None:
    stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    found.update(f"{what} {stored.dtype.str} {'x'.join(map(str, stored.shape))}\n".encode())
    found.update(stored.tobytes())


def machine() -> dict[str, str]:
    """What computes: processor, system, and the versions of what a number could depend on."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "numba", "llvmlite")},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _computed(backend: str, threads: int, within: int, batch: int) -> Iterator[tuple[IntNetwork, Stages, Array]]:
    for small in small_networks():
        yield small.network, *_run(small, backend, threads, within, batch)


def _run(small: Small, backend: str, threads: int, within: int, batch: int) -> tuple[Stages, Array]:
    """All stages of all layers, images together, and the logits."""
    names = [layer.name for layer in small.network.layers]
    predict = predictor(small.network, backend, batch, threads=within, observed=names)

    def work(numbered: tuple[int, Array]) -> tuple[dict[tuple[str, str], Array], Array]:
        seen: dict[tuple[str, str], Array] = {}

        def observe(layer: IntLayer, operands: object, result: Result) -> None:
            seen.update({(layer.name, stage): array.copy() for stage, array in stages_of(layer, result)})

        return seen, predict(numbered[1], numbered[0], observe).logits.copy()

    parts = [*map_batches(work, image_batches(small.images, batch), threads)]
    stages = {key: np.concatenate([seen[key] for seen, _ in parts]) for key in parts[0][0]}
    return stages, np.concatenate([logits for _, logits in parts])


# ---------------------------------------------------------------------------------------------------- instruction sets


def _instruction_sets() -> list[str]:
    from ..kernels.instruction_sets import runnable  # here, because it loads the compiler

    return [target.name for target in runnable()]


def _by_instruction_set(name: str) -> list[str]:
    """The digests of ``_FAST_RUNS`` by a process that was started for this instruction set."""
    with _environment(INSTRUCTION_SET_OPTION, name):
        ((_, found),) = answers([name], _fast_digests, 1)
    if isinstance(found, Failure):
        raise RefengineError(f"the instruction set {name} cannot be tried: {found.reason}")
    return found


def _fast_digests(name: str) -> list[str]:
    return [digest(_computed("fast", *run)) for run in _FAST_RUNS]


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
