"""Codes and scales chosen together, one output channel at a time, for the least error of the channel's outputs.

    E = d^T H d,    d[j] = w[j] - scale[j // step] * code[j],    H float64 (n, n), the covariance of the inputs

w float64 (O, n) are the weights wanted, n = inputs * KH * KW in this order, so a cluster is a run of ``step`` columns.
codes float64 (O, n) are whole numbers -top..top, scales float64 (O, G) are not negative.  ``feed_back``, ``descend``
and ``exchange`` change them in place for the rows ``first`` to ``last``; rows do not depend on each other, so threads
change nothing.  The other functions see one row.

Sources: error feedback in the manner of Hassibi and Stork 1993 and Frantar et al. 2022 (GPTQ); coordinate descent.
"""

import numpy as np

from ..kernels import jit

_FOLLOWING = 3
_LEAST_GAIN = 1e-9


@jit
def nearest(wanted, code, top):
    """The whole number -top..top nearest to ``wanted``, sought from ``code``, which wins a tie."""
    while code < top and wanted - code > 0.5:
        code += 1.0
    while code > -top and code - wanted > 0.5:
        code -= 1.0
    return code


@jit
def feed_back(wanted, root, order, codes, scales, step, top, first, last):
    """Codes of the nearest values, the error of each column spread over the columns that follow it in ``order``.

    wanted (O, n) has its columns in ``order``; root (n, n) is the upper Cholesky factor of the inverse of H in that
    order; codes are written in the natural order.
    """
    n = wanted.shape[1]
    for o in range(first, last):
        w = wanted[o].copy()
        for place in range(n):
            j = order[place]
            scale = scales[o, j // step]
            code = nearest(w[place] / scale, 0.0, top) if scale > 0 else 0.0
            codes[o, j] = code
            error = (w[place] - scale * code) / root[place, place]
            for k in range(place + 1, n):
                w[k] -= error * root[place, k]


@jit
def pulls(wanted, covariance, codes, scales, step):
    """(H d)[k] for one output channel, float64 (n): half of what the error falls by, for each unit that w'[k] grows."""
    n = len(wanted)
    pull = np.zeros(n)
    for j in range(n):
        missing = wanted[j] - scales[j // step] * codes[j]
        for k in range(n):
            pull[k] += missing * covariance[j, k]
    return pull


@jit
def grow(pull, covariance, j, change):
    """Let the weight of column j grow by ``change``; returns what the error grows by."""
    error = change * (change * covariance[j, j] - 2.0 * pull[j])
    for k in range(len(pull)):
        pull[k] -= change * covariance[j, k]
    return error


@jit
def best_code(pull, covariance, codes, scales, j, step, top):
    """The code of least error for column j, the others standing still."""
    scale = scales[j // step]
    if not (scale > 0 and covariance[j, j] > 0):
        return codes[j]
    return nearest(codes[j] + pull[j] / (covariance[j, j] * scale), codes[j], top)


@jit
def best_scale(pull, covariance, codes, scale, unit, start, end):
    """The scale of least error for the cluster of columns ``start`` to ``end``; with a ``unit``, 0..127 times that."""
    gain, curvature = 0.0, 0.0
    for j in range(start, end):
        if codes[j] != 0:
            gain += codes[j] * pull[j]
            for k in range(start, end):
                curvature += codes[j] * codes[k] * covariance[j, k]
    if not curvature > 0:
        return scale
    new = max(scale + gain / curvature, 0.0)
    if unit > 0:
        new = unit * max(nearest(new / unit, scale / unit, 127.0), 0.0)
    return new


@jit
def descend(wanted, covariance, codes, scales, units, step, top, rounds, first, last):
    """Give every code and then its cluster's scale the best value, the others standing still; repeat.

    units float64 (O): scales stay multiples of it, at most 127 times; 0 leaves them free.  Ends early where nothing
    moves by more than a thousandth.
    """
    n = wanted.shape[1]
    for o in range(first, last):
        own, scale_of = codes[o], scales[o]
        pull = pulls(wanted[o], covariance, own, scale_of, step)
        for _ in range(rounds):
            moved = False
            for start in range(0, n, step):
                end, g = min(n, start + step), start // step
                for j in range(start, end):
                    new = best_code(pull, covariance, own, scale_of, j, step, top)
                    if new != own[j]:
                        moved = True
                        grow(pull, covariance, j, scale_of[g] * (new - own[j]))
                        own[j] = new
                scale = scale_of[g]
                new = best_scale(pull, covariance, own, scale, units[o], start, end)
                if new != scale:
                    moved = moved or abs(new - scale) > 0.001 * scale
                    scale_of[g] = new
                    for j in range(start, end):
                        if own[j] != 0:
                            grow(pull, covariance, j, (new - scale) * own[j])
            if not moved:
                break


@jit
def follow(pull, covariance, codes, scales, step, top, stays, places, before):
    """Give all codes but that of column ``places[0]`` their best values; returns the error's growth and 1 + the moves.

    ``stays`` float64 (n): a code whose pull is not larger does not move.  ``places`` and ``before`` take, from 1 on,
    which codes moved and what they were, so that the moves can be taken back.
    """
    n, error, count = len(pull), 0.0, 1
    for _ in range(_FOLLOWING):
        already = count
        for k in range(n):
            if abs(pull[k]) <= stays[k] or k == places[0]:
                continue
            new = best_code(pull, covariance, codes, scales, k, step, top)
            if new != codes[k]:
                places[count], before[count], count = k, codes[k], count + 1
                error += grow(pull, covariance, k, scales[k // step] * (new - codes[k]))
                codes[k] = new
        if count == already:
            break
    return error, count


@jit
def take_back(pull, covariance, codes, scales, step, places, before):
    """Undo moves, the last one first: the codes at ``places`` become what they were ``before``."""
    for move in range(len(places) - 1, -1, -1):
        k = places[move]
        grow(pull, covariance, k, scales[k // step] * (before[move] - codes[k]))
        codes[k] = before[move]


@jit
def exchange(wanted, covariance, codes, scales, step, top, first, last):
    """Move each code by one, hold it there while the others find their best values, and keep that if the error falls.

    A way out of where ``descend`` ends: no single code can improve there, but several at once may.  Scales stay.
    """
    n = wanted.shape[1]
    places, before = np.zeros(_FOLLOWING * n + 1, np.int64), np.zeros(_FOLLOWING * n + 1)
    for o in range(first, last):
        own, scale_of = codes[o], scales[o]
        pull = pulls(wanted[o], covariance, own, scale_of, step)
        stays = np.empty(n)
        for k in range(n):
            stays[k] = 0.5 * scale_of[k // step] * covariance[k, k]
        for j in range(n):
            least = -_LEAST_GAIN * scale_of[j // step] * stays[j]
            for change in (1.0, -1.0):
                if least == 0 or abs(own[j] + change) > top:
                    continue
                places[0], before[0] = j, own[j]
                own[j] += change
                error = grow(pull, covariance, j, change * scale_of[j // step])
                change_of_error, count = follow(pull, covariance, own, scale_of, step, top, stays, places, before)
                if error + change_of_error < least:
                    break
                take_back(pull, covariance, own, scale_of, step, places[:count], before[:count])
