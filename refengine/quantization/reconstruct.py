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
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from . import clusters
from .blocks import by_blocks
from .triangular import inverse_of_lower, root_of_inverse
from .windows import Windows

if TYPE_CHECKING:
    from .descent import Problem

_RIDGE = 0.01
_FEWEST_ROWS, _MOST_ROWS, _PARTS = 16, 64, 8
_POSITIONS = 2**13
_STARTS = 48
_START_WORK = 2**31
_FIRST_SCALES = (1.0, 1.1, 0.9)
_SEARCH_ROUNDS = 6
_LAST_ROUNDS = 4
_EXCHANGES, _LAST_EXCHANGES = 8, 2
_EXCHANGE_WORK = 2**28
_RELAXATIONS, _FEWEST_RELAXATIONS = 6, 2
_RELAXATION_WORK = 2**35
_RELAXATION_ROUNDS = 2
_ROOM = 120  # of 127: the largest scale may still grow by a twentieth when it has become a code
_LARGE = 1024  # columns
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

    def at(self, positions: slice) -> "Target":
        """The targets at some of the positions."""
        return Target(self.sums[positions], self.low[positions], self.high[positions])

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


class Ridge:
    """Ridge regression towards the float weights, factored once for any number of targets.

    W = (C + r W0) (H + r)^-1    H: covariance (n, n); r rises with the unknowns to each of ``count`` windows
    """

    def __init__(self, covariance: np.ndarray, count: float) -> None:
        unknowns = len(covariance)
        self._ridge = _damping(covariance, _RIDGE + unknowns / count)
        self._root = inverse_of_lower(np.linalg.cholesky(covariance + self._ridge * np.eye(unknowns)))

    def wanted(self, weight: np.ndarray, cross: np.ndarray) -> np.ndarray:
        """W for the float weights W0 and the targets' covariance C with the windows: float64 (O, n), all three."""
        return ((cross + self._ridge * weight) @ self._root.T) @ self._root


class Prepared:
    """The factors of a layer's windows; a quick ``reconstruct`` takes the same ones for all formats and clusters."""

    def __init__(self, seen: Windows, threads: int = 1) -> None:
        covariance, count = seen.covariance, seen.count
        with ThreadPoolExecutor(min(2, threads)) as pool:
            ridge, root = pool.submit(Ridge, covariance, count), pool.submit(_root, covariance)
            self.ridge, self.root = ridge.result(), root.result()


def reconstruct_dense(
    seen: Windows, target: Target, weight: np.ndarray, prepared: Prepared | None = None
) -> np.ndarray:
    """Weights wanted, float64 (O, n), for formats fine enough to be rounded to."""
    ridge = Ridge(seen.covariance, seen.count) if prepared is None else prepared.ridge
    return ridge.wanted(weight, seen.covariance_with(target.sums))


def reconstruct(
    seen: Windows,
    target: Target,
    weight: np.ndarray,
    first: np.ndarray,
    shape: Shape,
    threads: int = 1,
    prepared: Prepared | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Codes (O, n) and scales (O, G) for the weights (O, n) of one group of channels, from first scales (O, G).

    ``prepared``: make it quick, with no more starts than three and no exchanges of codes.
    """
    from .descent import expanded  # here, because asking for help should not load the compiler

    factored = Prepared(seen, threads) if prepared is None else prepared
    ridge, free = factored.ridge, np.zeros(len(weight))
    wanted = ridge.wanted(weight, seen.covariance_with(target.sums))
    codes, scales = np.zeros(weight.shape), first.copy()
    state = State(wanted, seen.covariance, codes, scales, shape, threads, prepared is not None)
    _search(state, first, factored.root)
    _improve(state, free, _EXCHANGES)
    mean = target.sums.mean(axis=0)
    for _ in range(_relaxations(seen, target)):
        sums = _relaxed(seen, target, expanded(codes, scales, shape.step).astype(np.float32), mean)
        mean = sums.mean(axis=0)
        cross = seen.covariance_with(sums)

        def again(rows: slice, cross: np.ndarray = cross) -> None:
            wanted[rows] = ridge.wanted(weight[rows], cross[rows])
            state.descend(rows, free, _RELAXATION_ROUNDS)

        state.by_rows(again)
    exponents = clusters.channel_exponents(scales.max(axis=1), _ROOM, shape.scope)
    units = np.ldexp(1.0, exponents)
    scales[:] = clusters.scale_codes(scales, exponents) * units[:, None]
    state.by_rows(lambda rows: state.descend(rows, units, _LAST_ROUNDS))
    _improve(state, units, _LAST_EXCHANGES)
    return codes, scales


@dataclass(frozen=True, eq=False)
class State:
    """One group of channels: weights wanted, covariance, and codes and scales, which change in place.

    quick: no more starts than three, and no exchanges.
    """

    wanted: np.ndarray
    covariance: np.ndarray
    codes: np.ndarray
    scales: np.ndarray
    shape: Shape
    threads: int
    quick: bool = False

    def by_rows(self, function: Callable[[slice], None]) -> None:
        """Share out the output channels: blocks large enough for products of matrices, enough of them for threads."""
        outputs = len(self.codes)
        by_blocks(function, outputs, min(_MOST_ROWS, max(_FEWEST_ROWS, -(-outputs // _PARTS))), self.threads)

    @cached_property
    def multiplied(self) -> np.ndarray:
        """The covariance as products of matrices take it: of many columns in float32, in half the time."""
        large = len(self.covariance) >= _LARGE
        return self.covariance.astype(np.float32) if large else self.covariance

    def problem(self, rows: slice) -> "Problem":
        """What the descent takes for some of the output channels."""
        from .descent import Problem

        return Problem(self.wanted[rows], self.covariance, self.shape.step, float(self.shape.top))

    def descend(self, rows: slice, units: np.ndarray, rounds: int) -> None:
        """Descend over the codes and scales of some of the output channels."""
        from .descent import descend

        descend(self.problem(rows), self.codes[rows], self.scales[rows], units[rows], rounds, self.multiplied)

    def exchange(self, rows: slice) -> None:
        """Exchange codes of some of the output channels."""
        from .descent import exchange

        exchange(self.problem(rows), self.codes[rows], self.scales[rows])


def _root(covariance: np.ndarray) -> np.ndarray:
    """The root of the damped covariance's inverse, which feeds errors back."""
    return root_of_inverse(covariance + _damping(covariance, _RIDGE) * np.eye(len(covariance)))


def _search(state: State, first: np.ndarray, root: np.ndarray) -> None:
    """Of several starts the codes and scales of least error, for each output channel by itself."""
    from .descent import feed_back

    covariance, step = state.covariance, state.shape.step
    starts = len(_FIRST_SCALES) if state.quick else _starts(state.wanted.shape)
    inverse = root.T @ root if starts > len(_FIRST_SCALES) else root
    best, free = np.full(len(state.codes), np.inf), np.zeros(len(state.codes))
    for start in range(starts):
        order = _order(start, covariance)
        if start >= len(_FIRST_SCALES):
            root = np.ascontiguousarray(np.linalg.cholesky(inverse[np.ix_(order, order)]).T)
        given = state.scales if start >= len(_FIRST_SCALES) else first * _FIRST_SCALES[start]
        tried = replace(state, codes=np.zeros(state.codes.shape), scales=given.copy())

        def attempt(rows: slice, root: np.ndarray = root, order: np.ndarray = order, tried: State = tried) -> None:
            problem = tried.problem(rows)._replace(wanted=state.wanted[rows][:, order], covariance=root)
            feed_back(problem, order, tried.codes[rows], tried.scales[rows])
            tried.descend(rows, free, _SEARCH_ROUNDS)
            error = _error(state.wanted[rows], covariance, tried.codes[rows], tried.scales[rows], step)
            better = np.flatnonzero(error < best[rows]) + rows.start
            best[better] = error[better - rows.start]
            state.codes[better], state.scales[better] = tried.codes[better], tried.scales[better]

        state.by_rows(attempt)


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


def _improve(state: State, units: np.ndarray, times: int) -> None:
    """Exchange codes and descend again, as many ``times`` as a bounded amount of work allows."""
    outputs, columns = state.wanted.shape
    times = 0 if state.quick else times

    def improve(rows: slice) -> None:
        for _ in range(min(times, _EXCHANGE_WORK // (outputs * columns**2))):
            state.exchange(rows)
            state.descend(rows, units, _LAST_ROUNDS)

    state.by_rows(improve)


def _relaxations(seen: Windows, target: Target) -> int:
    """As many relaxations as a bounded amount of work allows, two at least; none without an activation."""
    if not target.cuts:
        return 0
    work = seen.columns.size * target.sums.shape[1]
    return max(_FEWEST_RELAXATIONS, min(_RELAXATIONS, _RELAXATION_WORK // work))


def _relaxed(seen: Windows, target: Target, weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The target, relaxed by what the weights float32 (O, n) give and ``mean`` (O)."""
    sums = np.empty_like(target.sums)

    def part(rows: slice) -> None:
        sums[rows] = target.at(rows).relaxed(seen.columns[rows] @ weight.T + mean)

    by_blocks(part, len(sums), _POSITIONS, seen.threads)
    return sums


def _error(wanted: np.ndarray, covariance: np.ndarray, codes: np.ndarray, scales: np.ndarray, step: int) -> np.ndarray:
    """d^T H d for each output channel, float64 (O)."""
    from .descent import expanded

    missing = wanted - expanded(codes, scales, step)
    return ((missing @ covariance) * missing).sum(axis=1)


def _damping(covariance: np.ndarray, share: float) -> float:
    """A share of the mean variance; of 1 where nothing varies at all."""
    return share * (float(np.diag(covariance).mean()) or 1.0)
