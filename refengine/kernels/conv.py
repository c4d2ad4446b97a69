"""Accumulators of ``ops/conv.py``: ternary additions and subtractions, and products of 16-bit integers.

A block of output pixels is handled at a time.  Its inputs are gathered into a patch first, so that the loops over
weights run over contiguous pixels (ternary) or contiguous taps (dense).  Taps are numbered (i, ky, kx) within a group
for the ternary kernel and (ky, kx, i) for the dense one.  The bounds of a network keep every partial sum in int32.

x int16 (N, H, W, I) with its padding in place; window = (KH, KW, stride y, stride x, OW); acc int32 (N, OH*OW, O).
"""

import numpy as np

from . import jit

_WIDE = 256
_NARROW = 16


@jit
def ternary(x, taps, starts, scale, bias, window, group, acc, partial):
    """Add and subtract inputs cluster by cluster; multiply each cluster's sum by its scale, once.

    taps int32: tap numbers; those of cluster g of output o that are added begin at ``starts[2 * (o * G + g)]`` and
    end where those that are subtracted begin.  scale int32 (O, G), bias int32 (O).  partial int32 (N, OH*OW, O, G)
    receives the sums of the clusters, unless it is empty.
    """
    images, pixels, outputs = acc.shape
    clusters = scale.shape[1]
    inputs_of_group, outputs_of_group = x.shape[3] // group, outputs // group
    patch = np.empty((inputs_of_group * window[0] * window[1], _WIDE), np.int16)
    part = np.empty(_WIDE, np.int32)
    total = np.empty(_WIDE, np.int32)
    for n in range(images):
        for first in range(0, pixels, _WIDE):
            count = min(_WIDE, pixels - first)
            for q in range(group):
                _gather_by_tap(x[n], first, count, q * inputs_of_group, inputs_of_group, window, patch)
                for o in range(q * outputs_of_group, (q + 1) * outputs_of_group):
                    total[:count] = bias[o]
                    for g in range(clusters):
                        here = 2 * (o * clusters + g)
                        part[:count] = 0
                        for t in range(starts[here], starts[here + 1]):
                            row = patch[taps[t]]
                            for p in range(count):
                                part[p] += row[p]
                        for t in range(starts[here + 1], starts[here + 2]):
                            row = patch[taps[t]]
                            for p in range(count):
                                part[p] -= row[p]
                        alpha = scale[o, g]
                        for p in range(count):
                            total[p] += alpha * part[p]
                        if partial.size:
                            partial[n, first : first + count, o, g] = part[:count]
                    acc[n, first : first + count, o] = total[:count]


@jit
def dense(x, weight, bias, window, group, acc):
    """The plain sum of products: weight int16 (O, KH*KW*I/group), scales already multiplied in."""
    images, pixels, outputs = acc.shape
    inputs_of_group, outputs_of_group = x.shape[3] // group, outputs // group
    length = weight.shape[1]
    patch = np.empty((_NARROW, length), np.int16)
    for n in range(images):
        for first in range(0, pixels, _NARROW):
            count = min(_NARROW, pixels - first)
            for q in range(group):
                _gather_by_pixel(x[n], first, count, q * inputs_of_group, inputs_of_group, window, patch)
                for o in range(q * outputs_of_group, (q + 1) * outputs_of_group):
                    row = weight[o]
                    for p in range(count):
                        codes = patch[p]
                        total = np.int32(0)
                        for k in range(length):
                            total = np.int32(total + np.int32(codes[k]) * np.int32(row[k]))
                        acc[n, first + p, o] = total + bias[o]


@jit
def depthwise(x, weight, bias, window, acc):
    """The plain sum of products where every channel is a group of its own: weight int16 (KH*KW, O), O = I."""
    kernel_h, kernel_w, stride_y, stride_x, out_w = window
    images, pixels, outputs = acc.shape
    for n in range(images):
        for p in range(pixels):
            top, left = p // out_w * stride_y, p % out_w * stride_x
            total = acc[n, p]
            total[:] = bias
            for ky in range(kernel_h):
                for kx in range(kernel_w):
                    codes, row = x[n, top + ky, left + kx], weight[ky * kernel_w + kx]
                    for o in range(outputs):
                        total[o] = np.int32(total[o] + np.int32(codes[o]) * np.int32(row[o]))


@jit
def _gather_by_tap(x, first, count, channel, inputs, window, patch):
    kernel_h, kernel_w, stride_y, stride_x, out_w = window
    for p in range(count):
        top, left = (first + p) // out_w * stride_y, (first + p) % out_w * stride_x
        for ky in range(kernel_h):
            for kx in range(kernel_w):
                pixel = x[top + ky, left + kx]
                tap = ky * kernel_w + kx
                for i in range(inputs):
                    patch[i * kernel_h * kernel_w + tap, p] = pixel[channel + i]


@jit
def _gather_by_pixel(x, first, count, channel, inputs, window, patch):
    kernel_h, kernel_w, stride_y, stride_x, out_w = window
    for p in range(count):
        top, left = (first + p) // out_w * stride_y, (first + p) % out_w * stride_x
        k = 0
        for ky in range(kernel_h):
            for kx in range(kernel_w):
                pixel = x[top + ky, left + kx]
                for i in range(inputs):
                    patch[p, k] = pixel[channel + i]
                    k += 1
