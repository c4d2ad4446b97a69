"""Largest code of each window (contract, section Maxpool).

    out[n,y,x,c] = max over valid (ky,kx) of x[n, y*sy + ky - top, x*sx + kx - left, c]

Codes pass through.  Padding never wins: only pixels of the image take part.
"""

import numpy as np

from .interface import Array, Constant, Pair, Shape, Sides
from .window import POOL, check_pool, output_hw

ACCUMULATES = False
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 1
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES = POOL


def output_shape(shape: Shape, *, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> Shape:
    """(H, W, C) -> (OH, OW, C)."""
    check_pool(shape, kernel_shape, pads)
    return (*output_hw(shape[:2], kernel_shape, strides, pads, ceil_mode), shape[2])


def reference(x: Array, *, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> Array:
    """The definition.

    >>> x = np.array([[[[5], [1], [7]]]], np.uint8)
    >>> reference(x, kernel_shape=(1, 2), strides=(1, 2), pads=(0, 0, 0, 0), ceil_mode=True).ravel()
    array([5, 7], dtype=uint8)
    """
    shape = output_shape(x.shape[1:], kernel_shape=kernel_shape, strides=strides, pads=pads, ceil_mode=ceil_mode)
    out = np.empty((len(x), *shape), x.dtype)
    for y, z in np.ndindex(*shape[:2]):
        top, left = y * strides[0] - pads[0], z * strides[1] - pads[1]
        window = x[:, max(top, 0) : top + kernel_shape[0], max(left, 0) : left + kernel_shape[1]]
        out[:, y, z] = window.max(axis=(1, 2))
    return out


def kernels(x: Array, *, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> Array:
    """The same codes from the kernel."""
    from ..kernels import pool as kernel

    shape = output_shape(x.shape[1:], kernel_shape=kernel_shape, strides=strides, pads=pads, ceil_mode=ceil_mode)
    out = np.empty((len(x), *shape), x.dtype)
    kernel.largest(x, *kernel_shape, *strides, pads[0], pads[1], out)
    return out
