"""Weights of one layer that make the integers' output the float network's (contract T6).

    minimise  mean over p of (t[p] - b - sum over j of x[p, j] * scale[j // step] * code[j])^2    for each output

x are windows of the input that the integers really have, t what the float network's layer gives there: whatever
earlier layers lost can be made good here.  Three things are looked for:

    wanted    the real weights of least error, held to the float ones by a ridge where the windows say too little
    codes     from the best of several starts, each one pass of error feedback and a descent over codes and scales;
              then codes move by one and others follow, wherever that lowers the error
    scales    whole multiples of one power of two, 127 at most, with which the descent goes on to its end

What an activation cuts off need not be met: where t lies beyond a clip it is enough that the result does too.  So t is
replaced by the result itself there, and the descent goes on; the error cannot rise.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from . import clusters
from .windows import Windows

_RIDGE = 0.01
_STARTS = 48
_START_WORK = 2**31
_FIRST_SCALES = (1.0, 1.1, 0.9)
_SEARCH_ROUNDS = 6
_LAST_ROUNDS = 4
_EXCHANGES, _LAST_EXCHANGES = 8, 2
_EXCHANGE_WORK = 2**28
_RELAXATIONS = 6
_RELAXATION_ROUNDS = 2
_ROOM = 120  # of 127: the largest scale may still grow by a twentieth when it has become a code
_WEYL = 0x9E3779B1


@dataclass(frozen=True, eq=False)
class Target:
    """Outputs wanted, float32 (P, O), and between which values, broadcast to it, the activation lets them through."""

    sums: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def of(self, rows: slice) -> "Target":
        """The targets of some of the output channels."""
        return Target(self.sums[:, rows], self.low[:, rows], self.high[:, rows])

    @property
    def cuts(self) -> bool:
        """Whether there is an activation."""
        return bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())

    def relaxed(self, result: np.ndarray) -> np.ndarray:
        """The target, or the ``result`` (P, O) where both are cut off."""
        below = np.where(self.sums <= self.low, np.minimum(result, self.low), self.sums)
        return np.where(self.sums >= self.high, np.maximum(result, self.high), below)


@dataclass(frozen=True)
class Shape:
    """How codes look: ``step`` columns share a scale, codes lie in -top..top, scales share ``scope``'s exponent."""

    step: int
    top: int
    scope: str


def wanted_weights(weight: np.ndarray, covariance: np.ndarray, cross: np.ndarray, count: int) -> np.ndarray:
    """Ridge regression towards ``weight``: (C + r W)(H + r)^-1; r rises with the unknowns to each of ``count`` windows.

    weight (O, n), H covariance (n, n), C cross (O, n), float64 -> float64 (O, n).
    """
    unknowns = len(covariance)
    ridge = _damping(covariance, _RIDGE + unknowns / count)
    return np.linalg.solve(covariance + ridge * np.eye(unknowns), (cross + ridge * weight).T).T


def reconstruct_dense(seen: Windows, target: Target, weight: np.ndarray) -> np.ndarray:
    """Weights wanted, float64 (O, n), for formats fine enough to be rounded to."""
    return wanted_weights(weight, seen.covariance, seen.covariance_with(target.sums), len(seen.columns))


def reconstruct(
    seen: Windows, target: Target, weight: np.ndarray, first: np.ndarray, shape: Shape, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (O, n) and scales (O, G) for the weights (O, n) of one group of channels, from first scales (O, G)."""
    covariance, sums = seen.covariance, target.sums
    wanted = reconstruct_dense(seen, target, weight)
    codes, scales = _search(wanted, covariance, first, shape, threads)
    _improve(wanted, covariance, codes, scales, np.zeros(len(codes)), shape, _EXCHANGES, threads)
    mean = sums.mean(axis=0)
    for _ in range(_RELAXATIONS if target.cuts else 0):
        sums = target.relaxed(seen.columns @ _expanded(codes, scales, shape.step).T.astype(np.float32) + mean)
        mean = sums.mean(axis=0)
        wanted = wanted_weights(weight, covariance, seen.covariance_with(sums), len(sums))
        _descend(wanted, covariance, codes, scales, np.zeros(len(codes)), shape, _RELAXATION_ROUNDS, threads)
    exponents = clusters.channel_exponents(scales.max(axis=1), _ROOM, shape.scope)
    units = np.ldexp(1.0, exponents)
    scales = clusters.scale_codes(scales, exponents) * units[:, None]
    _descend(wanted, covariance, codes, scales, units, shape, _LAST_ROUNDS, threads)
    _improve(wanted, covariance, codes, scales, units, shape, _LAST_EXCHANGES, threads)
    return codes, scales


def _search(
    wanted: np.ndarray, covariance: np.ndarray, first: np.ndarray, shape: Shape, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of several starts the codes and scales of least error, for each output channel by itself."""
    inverse = np.linalg.inv(covariance + _damping(covariance, _RIDGE) * np.eye(len(covariance)))
    best, codes, scales = np.full(len(wanted), np.inf), np.zeros(wanted.shape), first
    for start in range(_starts(wanted.shape)):
        found = scales.copy() if start >= len(_FIRST_SCALES) else first * _FIRST_SCALES[start]
        tried = np.zeros(wanted.shape)
        order = _order(start, covariance)
        _feed_back(wanted, inverse, order, tried, found, shape, threads)
        _descend(wanted, covariance, tried, found, np.zeros(len(wanted)), shape, _SEARCH_ROUNDS, threads)
        error = _error(wanted, covariance, tried, found, shape.step)
        better = error < best
        best = np.where(better, error, best)
        codes = np.where(better[:, None], tried, codes)
        scales = np.where(better[:, None], found, scales)
    return codes, scales


def _starts(shape: tuple[int, ...]) -> int:
    """As many starts as a bounded amount of work allows, three at least."""
    outputs, columns = shape
    return max(len(_FIRST_SCALES), min(_STARTS, _START_WORK // (outputs * columns**2)))


def _order(start: int, covariance: np.ndarray) -> np.ndarray:
    """The order of columns in which the errors of a start are fed back: as they come, by falling variance, shuffled."""
    if start < len(_FIRST_SCALES):
        return np.arange(len(covariance))
    if start == len(_FIRST_SCALES):
        return np.argsort(-np.diag(covariance), kind="stable")
    return np.argsort(np.arange(1, len(covariance) + 1) * (_WEYL * (2 * start + 1)) % 2**32, kind="stable")


def _feed_back(
    wanted: np.ndarray,
    inverse: np.ndarray,
    order: np.ndarray,
    codes: np.ndarray,
    scales: np.ndarray,
    shape: Shape,
    threads: int,
) -> None:
    from .descent import Problem, feed_back  # here, because asking for help should not load the compiler

    root = np.ascontiguousarray(np.linalg.cholesky(inverse[np.ix_(order, order)]).T)
    problem = Problem(np.ascontiguousarray(wanted[:, order]), root, shape.step, float(shape.top))
    _by_rows(
        lambda rows: feed_back(problem._replace(wanted=problem.wanted[rows]), order, codes[rows], scales[rows]),
        len(codes),
        threads,
    )


def _descend(
    wanted: np.ndarray,
    covariance: np.ndarray,
    codes: np.ndarray,
    scales: np.ndarray,
    units: np.ndarray,
    shape: Shape,
    rounds: int,
    threads: int,
) -> None:
    from .descent import Problem, descend

    problem = Problem(np.ascontiguousarray(wanted), covariance, shape.step, float(shape.top))
    _by_rows(
        lambda rows: descend(
            problem._replace(wanted=problem.wanted[rows]), codes[rows], scales[rows], units[rows], rounds
        ),
        len(codes),
        threads,
    )


def _improve(
    wanted: np.ndarray,
    covariance: np.ndarray,
    codes: np.ndarray,
    scales: np.ndarray,
    units: np.ndarray,
    shape: Shape,
    times: int,
    threads: int,
) -> None:
    """Exchange codes and descend again, as many ``times`` as a bounded amount of work allows."""
    from .descent import Problem, exchange

    problem = Problem(np.ascontiguousarray(wanted), covariance, shape.step, float(shape.top))
    outputs, columns = wanted.shape
    for _ in range(min(times, _EXCHANGE_WORK // (outputs * columns**2))):
        _by_rows(
            lambda rows: exchange(problem._replace(wanted=problem.wanted[rows]), codes[rows], scales[rows]),
            outputs,
            threads,
        )
        _descend(wanted, covariance, codes, scales, units, shape, _LAST_ROUNDS, threads)


def _by_rows(function: Callable[[slice], None], count: int, threads: int) -> None:
    """Share the output channels out among threads."""
    ends = [part * count // threads for part in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: function(slice(ends[part], ends[part + 1])), range(threads)))


def _expanded(codes: np.ndarray, scales: np.ndarray, step: int) -> np.ndarray:
    """code * scale, float64 (O, n)."""
    return codes * np.repeat(scales, step, axis=1)[:, : codes.shape[1]]


def _error(wanted: np.ndarray, covariance: np.ndarray, codes: np.ndarray, scales: np.ndarray, step: int) -> np.ndarray:
    """d^T H d for each output channel, float64 (O)."""
    missing = wanted - _expanded(codes, scales, step)
    return ((missing @ covariance) * missing).sum(axis=1)


def _damping(covariance: np.ndarray, share: float) -> float:
    """A share of the mean variance; of 1 where nothing varies at all."""
    return share * (float(np.diag(covariance).mean()) or 1.0)
