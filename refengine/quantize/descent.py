"""Codes and scales chosen together, one output channel at a time, for the least error of the channel's outputs.

    E = d^T H d,    d[j] = w[j] - scale[j // step] * code[j],    H float64 (n, n), the covariance of the inputs

w float64 (O, n) are the weights wanted, n = inputs * KH * KW in this order, so a cluster is a run of ``step`` columns.
codes float64 (O, n) are whole numbers -top..top, scales float64 (O, G) are not negative.  All functions change codes
and scales in place, those of the layer for the rows ``first`` to ``last``; rows do not depend on each other, so threads change nothing.

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
                scale, gain, curvature = scale_of[g], 0.0, 0.0
                for j in range(start, end):
                    if own[j] != 0:
                        gain += own[j] * pull[j]
                        for k in range(start, end):
                            curvature += own[j] * own[k] * covariance[j, k]
                if curvature > 0:
                    new = max(scale + gain / curvature, 0.0)
                    if units[o] > 0:
                        new = units[o] * max(nearest(new / units[o], scale / units[o], 127.0), 0.0)
                    if new != scale:
                        moved = moved or abs(new - scale) > 0.001 * scale
                        scale_of[g] = new
                        for j in range(start, end):
                            if own[j] != 0:
                                grow(pull, covariance, j, (new - scale) * own[j])
            if not moved:
                break


@jit
def exchange(wanted, covariance, codes, scales, step, top, first, last):
    """Move each code by one, hold it there while the others find their best values, and keep that if the error falls.

    A way out of where ``descend`` ends: no single code can improve there, but several at once may.  Scales stay.
    """
    n = wanted.shape[1]
    place, before = np.zeros(n, np.int64), np.zeros(n)
    for o in range(first, last):
        own, scale_of = codes[o], scales[o]
        pull = pulls(wanted[o], covariance, own, scale_of, step)
        for j in range(n):
            scale = scale_of[j // step]
            least = -_LEAST_GAIN * scale * scale * covariance[j, j]
            for change in (1.0, -1.0):
                if least == 0 or abs(own[j] + change) > top:
                    continue
                place[0], before[0], count = j, own[j], 1
                own[j] += change
                error = grow(pull, covariance, j, change * scale)
                for _ in range(_FOLLOWING):
                    seen = count
                    for k in range(n):
                        new = best_code(pull, covariance, own, scale_of, k, step, top)
                        if k != j and new != own[k] and count < n:
                            place[count], before[count], count = k, own[k], count + 1
                            error += grow(pull, covariance, k, scale_of[k // step] * (new - own[k]))
                            own[k] = new
                    if count == seen:
                        break
                if error < least:
                    break
                for last_place in range(count - 1, -1, -1):
                    k = place[last_place]
                    grow(pull, covariance, k, scale_of[k // step] * (before[last_place] - own[k]))
                    own[k] = before[last_place]
