"""Windows of ``ops/maxpool.py`` and ``ops/avgpool.py``: the largest code, or the sum of codes, over valid pixels.

A window reaches past the image only into padding, which neither wins nor counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import jit

if TYPE_CHECKING:
    from . import Array


@jit
def largest(
    x: Array, kernel_h: int, kernel_w: int, stride_y: int, stride_x: int, top: int, left: int, out: Array
) -> None:
    """x (N, H, W, C) codes -> out (N, OH, OW, C), the same type."""
    images, height, width, channels = x.shape
    for n in range(images):
        for oy in range(out.shape[1]):
            for ox in range(out.shape[2]):
                y, z = oy * stride_y - top, ox * stride_x - left
                target = out[n, oy, ox]
                target[:] = x[n, max(y, 0), max(z, 0)]
                for iy in range(max(y, 0), min(y + kernel_h, height)):
                    for ix in range(max(z, 0), min(z + kernel_w, width)):
                        pixel = x[n, iy, ix]
                        for c in range(channels):
                            target[c] = max(target[c], pixel[c])


@jit
def summed(
    x: Array, kernel_h: int, kernel_w: int, stride_y: int, stride_x: int, top: int, left: int, common: int, out: Array
) -> None:
    """x (N, H, W, C) codes -> out int32 (N, OH, OW, C): window sums, times ``common`` / number of valid pixels."""
    images, height, width, channels = x.shape
    for n in range(images):
        for oy in range(out.shape[1]):
            for ox in range(out.shape[2]):
                y, z = oy * stride_y - top, ox * stride_x - left
                first_y, last_y = max(y, 0), min(y + kernel_h, height)
                first_x, last_x = max(z, 0), min(z + kernel_w, width)
                weight = np.int32(common // ((last_y - first_y) * (last_x - first_x)))
                target = out[n, oy, ox]
                target[:] = 0
                for iy in range(first_y, last_y):
                    for ix in range(first_x, last_x):
                        pixel = x[n, iy, ix]
                        for c in range(channels):
                            target[c] += pixel[c]
                for c in range(channels):
                    target[c] *= weight
