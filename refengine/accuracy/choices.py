"""Which weights each layer may have, what each choice costs and loses, and the plan that is best by an exact solver.

For layers l and their options o, x[l, o] being 0 or 1:

    minimise   sum of a[l, o] * x[l, o]
    so that    sum of b[l, o] * x[l, o] <= limit,    sum over o of x[l, o] = 1 for every l

a and b are losses and costs in either order; losses of layers are added up.  The solver is HiGHS, by ``scipy``.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import RefengineError
from ..numbers.formats import INT4, INT8_WEIGHT, TERNARY
from ..optional import package
from ..quantization.plan import Weights
from .cost import layer_cost
from .energy import HOROWITZ, energy
from .search_jobs import Sensitivity
from .workload import Filters, Workload

EXTRA = 'pip install "refengine[search]"'
CLUSTERS = (1, 2, 4, 8, 16, 32, 64)
INT8 = Weights(INT8_WEIGHT.name)
COSTS = ("multiplications", "energy", "bytes")
_MEASURED = {TERNARY.name: (1, 8, 64), INT4.name: (4, 64)}
_WITHOUT_TAPS = {TERNARY.name: (2, 8, 64), INT4.name: (4, 64)}  # 1x1 filters: a scale each would replace nothing
_SECONDS = 60.0
_TIE = 1e-9


@dataclass(frozen=True)
class Option:
    """One layer with some weights: multiplications, picojoules and bytes of constants of an image, and its loss."""

    weights: Weights
    multiplications: int
    energy: float
    bytes: int
    loss: float


def measured(filters: Filters) -> tuple[Weights, ...]:
    """The options of a layer whose errors are measured; those of other clusters lie between them."""
    known = _clusters(filters).items()
    return (*(Weights(fmt, cluster) for fmt, clusters in known for cluster in clusters), INT8)


def offered(filters: Filters) -> tuple[Weights, ...]:
    """All options of a layer: int8, and ternary and int4 in clusters of up to 64, no larger than all its filters."""
    made = [INT8]
    for fmt, known in _clusters(filters).items():
        made += [Weights(fmt, cluster) for cluster in _fitting(filters) if cluster >= known[0]]
    return tuple(made)


def _clusters(filters: Filters) -> dict[str, tuple[int, ...]]:
    """Which clusters are measured, by format."""
    fitting = _fitting(filters)
    table = _MEASURED if filters.taps > 1 else _WITHOUT_TAPS
    return {
        fmt: tuple(dict.fromkeys(min(cluster, fitting[-1]) for cluster in clusters)) for fmt, clusters in table.items()
    }


def _fitting(filters: Filters) -> tuple[int, ...]:
    """The cluster sizes up to the first that takes in all filters."""
    return tuple(cluster for cluster in CLUSTERS if cluster == 1 or cluster < 2 * filters.inputs)


def options(layer: Workload, sensitivity: Sensitivity) -> tuple[Option, ...]:
    """What a layer with weights may be, with costs and losses."""
    filters = _filters(layer)
    known = dict(zip(measured(filters), sensitivity.errors, strict=True))
    made = []
    for weights in offered(filters):
        cost = layer_cost(layer.with_weights(weights.format, weights.cluster))
        lost = sensitivity.loss(_between(weights, known))
        spent = energy([cost], HOROWITZ).total
        made.append(Option(weights, cost.multiplications, spent, cost.storage.total, lost))
    return tuple(made)


def _filters(layer: Workload) -> Filters:
    if layer.filters is None:
        raise RefengineError(f"layer {layer.name!r} has no weights")
    return layer.filters


def _between(weights: Weights, known: Mapping[Weights, float]) -> float:
    """The error of an option, by those measured of its format: its logarithm is linear in that of the cluster size."""
    if weights in known:
        return known[weights]
    points = sorted((one.cluster, max(error, 1e-12)) for one, error in known.items() if one.format == weights.format)
    sizes, errors = zip(*points, strict=True)
    return math.exp(float(np.interp(math.log2(weights.cluster), np.log2(sizes), np.log(errors))))


# ------------------------------------------------------------------------------------------------------------- solving


def least(choices: Sequence[Sequence[Option]], wanted: str, limited: str, limit: float) -> tuple[Option, ...] | None:
    """The options, one a layer, with the least sum of the field ``wanted`` and no more than ``limit`` of ``limited``.

    None where nothing is so little.  RefengineError where scipy is missing or HiGHS finds no optimum in time.
    """
    optimize = package("scipy.optimize", EXTRA)
    flat = [option for layer in choices for option in layer]
    goal, bound = (np.array([float(getattr(option, name)) for option in flat]) for name in (wanted, limited))
    scale = _scaled(goal) + _TIE * _scaled(bound)  # of equals the one that also takes less
    if sum(min(getattr(option, limited) for option in layer) for layer in choices) > limit:
        return None
    unit = float(np.abs(bound).max()) or 1.0
    one = optimize.LinearConstraint(_membership(choices), 1, 1)
    most = optimize.LinearConstraint(bound[None, :] / unit, -np.inf, limit / unit)
    with _silent():
        found: Any = optimize.milp(
            scale,
            constraints=[one, most],
            integrality=np.ones(len(flat)),
            bounds=optimize.Bounds(0, 1),
            options={"mip_rel_gap": 0.0, "time_limit": _SECONDS},
        )
    if found.x is None:
        if found.status == 2:  # infeasible
            return None
        raise RefengineError(f"the solver found no plan ({' '.join(str(found.message).split())[:160]})")
    return _chosen(choices, found.x)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the solver, which is no Python, from printing: some versions write a line of debugging to stdout."""
    library = ctypes.CDLL(None) if os.name == "posix" else None
    sys.stdout.flush()
    with open(os.devnull, "wb") as nowhere:
        kept = os.dup(1)
        try:
            os.dup2(nowhere.fileno(), 1)
            yield
            if library is not None:
                library.fflush(None)  # what the library still holds back would come after
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def _scaled(values: np.ndarray) -> np.ndarray:
    return values / (float(np.abs(values).max()) or 1.0)


def _membership(choices: Sequence[Sequence[Option]]) -> np.ndarray:
    """Which options belong to each layer: (layers, options) of 0 and 1."""
    owner = np.repeat(np.arange(len(choices)), [len(layer) for layer in choices])
    return (np.arange(len(choices))[:, None] == owner[None, :]).astype(np.float64)


def _chosen(choices: Sequence[Sequence[Option]], x: np.ndarray) -> tuple[Option, ...]:
    picked, place = [], 0
    for layer in choices:
        picked.append(layer[int(np.argmax(x[place : place + len(layer)]))])
        place += len(layer)
    return tuple(picked)


def total(chosen: Sequence[Option], name: str) -> float:
    """The sum of one field."""
    return float(sum(getattr(option, name) for option in chosen))


def offered_range(layer: Sequence[Option]) -> tuple[float, float]:
    """The least and the largest loss of a layer's options."""
    losses = [option.loss for option in layer]
    return min(losses), max(losses)
