"""Codes and scales chosen together, one output channel at a time, for the least error of the channel's outputs.

    E = d^T H d,    d[j] = w[j] - scale[j // step] * code[j],    H float64 (n, n), the covariance of the inputs

w float64 (O, n) are the weights wanted, n = inputs * KH * KW in this order, so a cluster is a run of ``step`` columns.
codes float64 (O, n) are whole numbers -top..top, scales float64 (O, G) are not negative.  Both functions change codes
and scales in place for the rows ``first`` to ``last``; rows do not depend on each other, so threads change nothing.

Sources: error feedback in the manner of Hassibi and Stork 1993 and Frantar et al. 2022 (GPTQ); coordinate descent.
"""

import numpy as np

from ..kernels import jit


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
def descend(wanted, covariance, codes, scales, units, step, top, rounds, first, last):
    """Give every code and then its cluster's scale the best value, the others standing still; repeat.

    units float64 (O): scales stay multiples of it, at most 127 times; 0 leaves them free.  Ends early where nothing
    moves by more than a thousandth.
    """
    n = wanted.shape[1]
    for o in range(first, last):
        pull = np.zeros(n)
        for j in range(n):
            missing = wanted[o, j] - scales[o, j // step] * codes[o, j]
            for k in range(n):
                pull[k] += missing * covariance[j, k]
        for _ in range(rounds):
            moved = False
            for start in range(0, n, step):
                end, g = min(n, start + step), start // step
                scale = scales[o, g]
                for j in range(start, end):
                    if scale > 0 and covariance[j, j] > 0:
                        code = codes[o, j]
                        new = nearest(code + pull[j] / (covariance[j, j] * scale), code, top)
                        if new != code:
                            moved = True
                            codes[o, j] = new
                            for k in range(n):
                                pull[k] -= scale * (new - code) * covariance[j, k]
                gain, curvature = 0.0, 0.0
                for j in range(start, end):
                    if codes[o, j] != 0:
                        gain += codes[o, j] * pull[j]
                        for k in range(start, end):
                            curvature += codes[o, j] * codes[o, k] * covariance[j, k]
                if curvature > 0:
                    new = max(scale + gain / curvature, 0.0)
                    if units[o] > 0:
                        new = units[o] * max(nearest(new / units[o], scale / units[o], 127.0), 0.0)
                    if new != scale:
                        moved = moved or abs(new - scale) > 0.001 * scale
                        scales[o, g] = new
                        for j in range(start, end):
                            if codes[o, j] != 0:
                                for k in range(n):
                                    pull[k] -= (new - scale) * codes[o, j] * covariance[j, k]
            if not moved:
                break
