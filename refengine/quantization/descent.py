"""Codes and scales chosen together, one output channel at a time, for the least error of the channel's outputs.

    E = d^T H d,    d[j] = w[j] - scale[j // step] * code[j],    H float64 (n, n), the covariance of the inputs

w float64 (O, n) are the weights wanted, n = inputs * KH * KW in this order, so a cluster is a run of ``step`` columns.
codes float64 (O, n) are whole numbers -top..top, scales float64 (O, G) are not negative.  ``feed_back``, ``descend``
and ``exchange`` change them in place; channels do not depend on each other.

``feed_back`` and ``descend`` take the columns in blocks.  What the columns before a block change in it is one product
of matrices for all channels; inside the block the compiled functions go on, one channel and one column at a time, with
a small square of H.  The order of decisions is that of columns taken one by one.

Sources: error feedback in the manner of Hassibi and Stork 1993 and Frantar et al. 2022 (GPTQ); coordinate descent.
"""

from typing import Any, NamedTuple

import numpy as np

from ..kernels import jit

Array = np.ndarray[Any, Any]

_BLOCK = 128
_FOLLOWING = 3
_SCANNED = 16
_LEAST_GAIN = 1e-9
_CERTAIN = 0.499  # of a unit, where 0.5 decides: too little to move a code, however sums are rounded


class Problem(NamedTuple):
    """Weights wanted (O, n), the inputs' covariance (n, n), the columns that share a scale, and the largest code."""

    wanted: Array
    covariance: Array
    step: int
    top: float


class Channel(NamedTuple):
    """One output channel: codes (n) and scales (G), and what ``grow`` keeps up to date, the pull float64 (n).

    pull[k] = (H d)[k] is half of what the error falls by, for each unit that the weight of column k grows.
    """

    pull: Array
    covariance: Array
    codes: Array
    scales: Array
    step: int
    top: float


class Moves(NamedTuple):
    """Which codes moved, int64, and what they were, float64: so many that all moves of a trial have room."""

    places: Array
    before: Array


@jit
def nearest(wanted: float, code: float, top: float) -> float:
    """The whole number -top..top nearest to ``wanted``, sought from ``code``, which wins a tie."""
    while code < top and wanted - code > 0.5:
        code += 1.0
    while code > -top and code - wanted > 0.5:
        code -= 1.0
    return code


def feed_back(problem: Problem, order: Array, codes: Array, scales: Array) -> None:
    """Codes of the nearest values, the error of each column spread over the columns that follow it in ``order``.

    The wanted weights have their columns in ``order``, and in place of the covariance H stands the upper Cholesky
    factor of its inverse in that order; codes are written in the natural order.
    """
    root, errors = problem.covariance, np.zeros(problem.wanted.shape)
    for start in range(0, len(root), _BLOCK):
        block = slice(start, min(len(root), start + _BLOCK))
        wanted = problem.wanted[:, block] - errors[:, :start] @ root[:start, block]
        inside = Problem(wanted, np.ascontiguousarray(root[block, block]), problem.step, problem.top)
        errors[:, block] = feed_back_block(inside, order[block], codes, scales)


@jit
def feed_back_block(problem: Problem, order: Array, codes: Array, scales: Array) -> Array:
    """``feed_back`` inside a block of columns, its wanted weights being changed; the errors of its columns (O, b)."""
    outputs, n = problem.wanted.shape
    root = problem.covariance
    errors = np.empty((outputs, n))
    for o in range(outputs):
        w = problem.wanted[o]
        for place in range(n):
            j = order[place]
            scale = scales[o, j // problem.step]
            code = nearest(w[place] / scale, 0.0, problem.top) if scale > 0 else 0.0
            codes[o, j] = code
            error = (w[place] - scale * code) / root[place, place]
            errors[o, place] = error
            for k in range(place + 1, n):
                w[k] -= error * root[place, k]
    return errors


@jit
def channel_of(problem: Problem, codes: Array, scales: Array, o: int) -> Channel:
    """An output channel with its pulls."""
    n, step, covariance = problem.wanted.shape[1], problem.step, problem.covariance
    pull = np.zeros(n)
    for j in range(n):
        missing = problem.wanted[o, j] - scales[o, j // step] * codes[o, j]
        for k in range(n):
            pull[k] += missing * covariance[j, k]
    return Channel(pull, covariance, codes[o], scales[o], step, problem.top)


@jit
def grow(channel: Channel, j: int, change: float) -> float:
    """Let the weight of column j grow by ``change``; returns what the error grows by."""
    pull, covariance = channel.pull, channel.covariance
    error = change * (change * covariance[j, j] - 2.0 * pull[j])
    for k in range(len(pull)):
        pull[k] -= change * covariance[j, k]
    return error


@jit
def move(channel: Channel, j: int, code: float) -> float:
    """Give column j another code; returns what the error grows by."""
    error = grow(channel, j, channel.scales[j // channel.step] * (code - channel.codes[j]))
    channel.codes[j] = code
    return error


@jit
def best_code(channel: Channel, j: int) -> float:
    """The code of least error for column j, the others standing still."""
    scale, variance, code = channel.scales[j // channel.step], channel.covariance[j, j], channel.codes[j]
    if not (scale > 0 and variance > 0):
        return code
    return nearest(code + channel.pull[j] / (variance * scale), code, channel.top)


@jit
def best_codes(channel: Channel, g: int, columns: range) -> bool:
    """The best code for each of the ``columns`` of cluster g; whether any moved."""
    moved, stays = False, _CERTAIN * channel.scales[g]
    for j in columns:
        if abs(channel.pull[j]) < stays * channel.covariance[j, j]:
            continue
        new = best_code(channel, j)
        if new != channel.codes[j]:
            moved = True
            move(channel, j, new)
    return moved


@jit
def curvatures(turned: Array, covariance: Array, columns: range) -> Array:
    """c^T H c over some ``columns`` of each output channel, float64 (O), from the turned codes (n, O).

    Channels are the innermost loop, so that a processor adds up several at once, each in the order of its columns.
    """
    total = np.zeros(turned.shape[1])
    for j in columns:
        for k in columns:
            for o in range(len(total)):
                total[o] += turned[j, o] * turned[k, o] * covariance[j, k]
    return total


@jit
def best_scale(channel: Channel, g: int, columns: range, unit: float, curvature: float) -> float:
    """The scale of least error for cluster g; with a ``unit``, 0..127 times that."""
    scale, gain = channel.scales[g], 0.0
    if not curvature > 0:
        return scale
    for j in columns:
        gain += channel.codes[j] * channel.pull[j]
    new = max(scale + gain / curvature, 0.0)
    if unit > 0:
        new = unit * max(nearest(new / unit, scale / unit, 127.0), 0.0)
    return new


@jit
def rescale(channel: Channel, g: int, columns: range, new: float) -> bool:
    """Give cluster g another scale; whether it moved by more than a thousandth."""
    scale = channel.scales[g]
    if new == scale:
        return False
    channel.scales[g] = new
    for j in columns:
        if channel.codes[j] != 0:
            grow(channel, j, (new - scale) * channel.codes[j])
    return abs(new - scale) > 0.001 * scale


def descend(
    problem: Problem, codes: Array, scales: Array, units: Array, rounds: int, covariance: Array | None = None
) -> None:
    """Give every code and then its cluster's scale the best value, the others standing still; repeat.

    units float64 (O): scales stay multiples of it, at most 127 times; 0 leaves them free.  A channel ends early where
    nothing moves by more than a thousandth.  ``covariance``: the problem's in the type that blocks are multiplied in.
    """
    covariance = problem.covariance if covariance is None else covariance
    width = max(1, _BLOCK // problem.step)  # clusters in a block
    moving = np.arange(len(codes))
    for _ in range(rounds):
        missing = problem.wanted[moving] - expanded(codes[moving], scales[moving], problem.step)
        missing = missing.astype(covariance.dtype, copy=False)
        moved = np.zeros(len(moving), np.bool_)
        for first in range(0, scales.shape[1], width):
            clusters = slice(first, first + width)
            block = slice(first * problem.step, min(codes.shape[1], (first + width) * problem.step))
            inside = problem._replace(covariance=np.ascontiguousarray(problem.covariance[block, block]))
            pulls = (missing @ covariance[:, block]).astype(np.float64, copy=False)
            new_codes, new_scales = codes[moving, block], scales[moving, clusters]
            descend_block(inside, pulls, new_codes, new_scales, units[moving], moved)
            codes[moving, block], scales[moving, clusters] = new_codes, new_scales
            missing[:, block] = problem.wanted[moving, block] - expanded(new_codes, new_scales, problem.step)
        moving = moving[moved]
        if not len(moving):
            break


@jit
def descend_block(problem: Problem, pulls: Array, codes: Array, scales: Array, units: Array, moved: Array) -> None:
    """One round of ``descend`` inside a block of columns, pulls (O, b); ``moved`` (O) becomes true where it helped."""
    covariance, step, top = problem.covariance, problem.step, problem.top
    turned = np.empty((codes.shape[1], len(codes)))
    for g in range(scales.shape[1]):
        columns = range(g * step, min(codes.shape[1], (g + 1) * step))
        for o in range(len(codes)):
            moved[o] |= best_codes(Channel(pulls[o], covariance, codes[o], scales[o], step, top), g, columns)
        for j in columns:
            turned[j] = codes[:, j]
        curvature = curvatures(turned, covariance, columns)
        for o in range(len(codes)):
            channel = Channel(pulls[o], covariance, codes[o], scales[o], step, top)
            moved[o] |= rescale(channel, g, columns, best_scale(channel, g, columns, units[o], curvature[o]))


def expanded(codes: Array, scales: Array, step: int) -> Array:
    """scale * code where ``step`` columns share a scale: codes (O, n), scales (O, G) -> float64 (O, n)."""
    product: Array = codes * np.repeat(scales, step, axis=1)[:, : codes.shape[1]]
    return product


@jit
def any_moves(pull: Array, stays: Array, start: int, end: int) -> bool:
    """Whether a pull in start..end - 1 is larger than what its code stays for: without a branch for each.

    Indices without a sign let the compiler compare several at once.
    """
    moving, first = 0, np.uintp(start)
    for k in range(np.uintp(end - start)):
        moving += abs(pull[first + k]) > stays[first + k]
    return moving > 0


@jit
def follow(channel: Channel, stays: Array, moves: Moves) -> tuple[float, int]:
    """Give all codes but that of column ``places[0]`` their best values; returns the error's growth and 1 + the moves.

    ``stays`` float64 (n): a code whose pull is not larger does not move.  ``moves`` takes, from 1 on, which codes moved
    and what they were, so that the moves can be taken back.
    """
    n, error, count = len(channel.pull), 0.0, 1
    for _ in range(_FOLLOWING):
        already = count
        for start in range(0, n, _SCANNED):
            end = min(n, start + _SCANNED)
            if not any_moves(channel.pull, stays, start, end):
                continue
            for k in range(start, end):
                if abs(channel.pull[k]) <= stays[k] or k == moves.places[0]:
                    continue
                new = best_code(channel, k)
                if new != channel.codes[k]:
                    moves.places[count], moves.before[count], count = k, channel.codes[k], count + 1
                    error += move(channel, k, new)
        if count == already:
            break
    return error, count


@jit
def try_move(channel: Channel, stays: Array, moves: Moves, trial: Array, j: int, change: float) -> bool:
    """Move column j's code by ``change``, let the others follow; whether the error falls, else all is as before.

    ``trial`` float64 (n) takes the pulls meanwhile, so that a move that does not help leaves no trace in them.
    """
    codes, growth = channel.codes, change * channel.scales[j // channel.step]
    least = -_LEAST_GAIN * channel.scales[j // channel.step] * stays[j]
    if least == 0 or abs(codes[j] + change) > channel.top:
        return False
    moves.places[0], moves.before[0] = j, codes[j]
    codes[j] += change
    error = growth * (growth * channel.covariance[j, j] - 2.0 * channel.pull[j])
    for k in range(len(trial)):
        trial[k] = channel.pull[k] - growth * channel.covariance[j, k]
    tried = Channel(trial, channel.covariance, codes, channel.scales, channel.step, channel.top)
    error_of_others, count = follow(tried, stays, moves)
    if error + error_of_others < least:
        channel.pull[:] = trial
        return True
    for number in range(count - 1, -1, -1):
        codes[moves.places[number]] = moves.before[number]
    return False


@jit
def exchange(problem: Problem, codes: Array, scales: Array) -> None:
    """Move each code by one, hold it there while the others find their best values, and keep that if the error falls.

    A way out of where ``descend`` ends: no single code can improve there, but several at once may.  Scales stay.
    """
    n = codes.shape[1]
    moves = Moves(np.zeros(_FOLLOWING * n + 1, np.int64), np.zeros(_FOLLOWING * n + 1))
    stays, trial = np.empty(n), np.empty(n)
    for o in range(len(codes)):
        channel = channel_of(problem, codes, scales, o)
        for k in range(n):
            stays[k] = 0.5 * channel.scales[k // problem.step] * problem.covariance[k, k]
        for j in range(n):
            if not try_move(channel, stays, moves, trial, j, 1.0):
                try_move(channel, stays, moves, trial, j, -1.0)
