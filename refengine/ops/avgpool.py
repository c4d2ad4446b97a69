"""Average of each window, as a sum (contract, section Avgpool).

    acc[n,y,x,c] = (L / count[y,x]) * sum over valid (ky,kx) of x[n, y*sy + ky - top, x*sx + kx - left, c]

count[y,x] is the number of pixels of the image in the window: padding is not counted.  L is the least common multiple
of all counts that occur, so that L / count is an integer and one step of the result is worth 2**x.exponent / L
everywhere; the requantization that follows multiplies by 1/L.

=========  ==============  ===============  ====================
operand    shape           codes            one step is worth
=========  ==============  ===============  ====================
x          (N, H, W, C)    UINT8 or INT8    2**x.exponent
result     (N, OH, OW, C)  INT32            2**x.exponent / L
=========  ==============  ===============  ====================
"""

import math
from typing import Any

import numpy as np

from ..errors import NetworkError
from .interface import Array, Constant, Pair, Shape, Sides
from .window import POOL, check_pool, output_hw

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = True
INPUTS = 1
CONSTANTS: dict[str, Constant] = {}
ATTRIBUTES = POOL
LARGEST_COMMON_COUNT = 2**23  # 255 times that is INT32


def output_shape(shape: Shape, *, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> Shape:
    """(H, W, C) -> (OH, OW, C)."""
    check_pool(shape, kernel_shape, pads)
    return (*output_hw(shape[:2], kernel_shape, strides, pads, ceil_mode), shape[2])


def counts(shape: Shape, *, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> Array:
    """Valid pixels of each window: int64 (OH, OW)."""
    rows, columns = _lengths(shape, kernel_shape, strides, pads, ceil_mode)
    return np.outer(rows, columns)


def _lengths(shape: Shape, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> tuple[list[int], ...]:
    """Valid rows of each row of windows, valid columns of each column."""
    out = output_hw(shape[:2], kernel_shape, strides, pads, ceil_mode)
    return tuple(
        [min(i * s - p + k, size) - max(i * s - p, 0) for i in range(n)]
        for n, s, p, k, size in zip(out, strides, pads[:2], kernel_shape, shape[:2], strict=True)
    )


def common_count(shape: Shape, **window: Any) -> int:
    """L, the least common multiple of all counts; NetworkError where sums times L / count would leave INT32.

    >>> common_count((4, 4, 1), kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), ceil_mode=False)
    36
    """
    rows, columns = (sorted(set(lengths)) for lengths in _lengths(shape, **window))
    common = 1
    for count in (row * column for row in rows for column in columns):
        common = math.lcm(common, count)
        if common > LARGEST_COMMON_COUNT:
            raise NetworkError(f"windows of {len(rows)} x {len(columns)} sizes have a common count beyond 2**23")
    return common


def shares(shape: Shape, **window: Any) -> Array:
    """L / count, by which the sum of each window is multiplied: int64 (OH, OW)."""
    share: Array = common_count(shape, **window) // counts(shape, **window)
    return share


def bound(codes: Pair, *, shape: Shape, **window: Any) -> tuple[Array, Array]:
    """Ends of the accumulators for codes in ``codes``: a window's weights L/count sum to L."""
    common = common_count(shape, **window)
    return np.array([min(codes[0], 0) * common]), np.array([max(codes[1], 0) * common])


def reference(x: Array, *, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> Array:
    """The definition.

    >>> x = np.array([[[[5], [1], [7]]]], np.uint8)
    >>> reference(x, kernel_shape=(1, 2), strides=(1, 2), pads=(0, 0, 0, 0), ceil_mode=True).ravel()
    array([ 6, 14], dtype=int32)
    """
    window: dict[str, Any] = {"kernel_shape": kernel_shape, "strides": strides, "pads": pads, "ceil_mode": ceil_mode}
    out = np.empty((len(x), *output_shape(x.shape[1:], **window)), np.int64)
    for y, z in np.ndindex(*out.shape[1:3]):
        top, left = y * strides[0] - pads[0], z * strides[1] - pads[1]
        pixels = x[:, max(top, 0) : top + kernel_shape[0], max(left, 0) : left + kernel_shape[1]]
        out[:, y, z] = pixels.astype(np.int64).sum(axis=(1, 2))
    return (out * shares(x.shape[1:], **window)[:, :, None]).astype(np.int32)


def kernels(x: Array, *, kernel_shape: Pair, strides: Pair, pads: Sides, ceil_mode: bool) -> Array:
    """The same integers from the kernel."""
    from ..kernels import pool as kernel

    window: dict[str, Any] = {"kernel_shape": kernel_shape, "strides": strides, "pads": pads, "ceil_mode": ceil_mode}
    out = np.empty((len(x), *output_shape(x.shape[1:], **window)), np.int32)
    kernel.summed(x, *kernel_shape, *strides, pads[0], pads[1], common_count(x.shape[1:], **window), out)
    return out
