"""Accumulators of ``ops/conv.py``: ternary additions and subtractions, and products of 16-bit integers.

A block of output pixels is handled at a time.  Its inputs are gathered into a patch first, so that the loops over
weights run over contiguous pixels (ternary) or contiguous taps (dense).  Taps are numbered (i, ky, kx) within a group
for the ternary kernel and (ky, kx, i) for the dense one.  The bounds of a network keep every partial sum in int32.

x int16 (N, H, W, I) with its padding in place; window = (KH, KW, stride y, stride x, OW); acc int32 (N, OH*OW, O).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import jit

if TYPE_CHECKING:
    from . import Array

Window = tuple[int, int, int, int, int]

_WIDE = 256
_NARROW = 16


@jit
def ternary(
    x: Array,
    taps: Array,
    starts: Array,
    scale: Array,
    bias: Array,
    window: Window,
    group: int,
    acc: Array,
    partial: Array,
) -> None:
    """Add and subtract inputs cluster by cluster; multiply each cluster's sum by its scale, once.

    taps int32: tap numbers; those of cluster g of output o that are added begin at ``starts[2 * (o * G + g)]`` and
    end where those that are subtracted begin.  scale int32 (O, G), bias int32 (O).  partial int32 (N, OH*OW, O, G)
    receives the sums of the clusters, unless it is empty.
    """
    images, pixels, outputs = acc.shape
    clusters, inputs_of_group, outputs_of_group = scale.shape[1], x.shape[3] // group, outputs // group
    patch = np.empty((inputs_of_group * window[0] * window[1], _WIDE), np.int16)
    part_of_block, total_of_block = np.empty(_WIDE, np.int32), np.empty(_WIDE, np.int32)
    for n in range(images):
        for first in range(0, pixels, _WIDE):
            end = min(first + _WIDE, pixels)
            part, total = part_of_block[: end - first], total_of_block[: end - first]
            for o in range(outputs):
                if o % outputs_of_group == 0:
                    channel = o // outputs_of_group * inputs_of_group
                    _gather_by_tap(x[n], first, end - first, channel, inputs_of_group, window, patch)
                total[:] = bias[o]
                for g in range(clusters):
                    here = 2 * (o * clusters + g)
                    _sum_of_cluster(patch, taps, starts[here], starts[here + 1], starts[here + 2], part)
                    _add_scaled(total, scale[o, g], part)
                    if partial.size:
                        partial[n, first:end, o, g] = part
                acc[n, first:end, o] = total


@jit
def _sum_of_cluster(patch: Array, taps: Array, added: int, subtracted: int, end: int, part: Array) -> None:
    """The rows of a patch whose taps begin at ``added``, less those that begin at ``subtracted``."""
    part[:] = 0
    for t in range(added, subtracted):
        row = patch[taps[t]]
        for p in range(part.size):
            part[p] += row[p]
    for t in range(subtracted, end):
        row = patch[taps[t]]
        for p in range(part.size):
            part[p] -= row[p]


@jit
def _add_scaled(total: Array, alpha: int, part: Array) -> None:
    for p in range(total.size):
        total[p] += alpha * part[p]


@jit
def dense(x: Array, weight: Array, bias: Array, window: Window, group: int, acc: Array) -> None:
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
def depthwise(x: Array, weight: Array, bias: Array, window: Window, acc: Array) -> None:
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
def _gather_by_tap(x: Array, first: int, count: int, channel: int, inputs: int, window: Window, patch: Array) -> None:
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
def _gather_by_pixel(x: Array, first: int, count: int, channel: int, inputs: int, window: Window, patch: Array) -> None:
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
