"""What a layer with weights sees on the calibration images: windows of its input, beside the outputs wanted there.

    columns   x[p, j]   float32 (P, n), j = (i, ky, kx): the taps of window p in one group of channels
    target    t[p, o]   float32 (P, O), the sum of products that each output channel of the group should have there

Positions are spread evenly over all images and outputs, with a jitter that keeps them off the grid of the rows; the
same layer always gives the same ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..ops.window import spread_size
from .blocks import by_blocks

_MOST = 2**16
_FEWEST = 2**12
_FOR_EACH_TAP = 2**8
_BYTES = 2**29
_TILE = 1152  # columns that one product takes: blocks for threads, the same whatever their number
_GATHERED = 2**12
_WEYL = 0x9E3779B1
LARGE = 64  # pixels of an image's shorter side


@dataclass(frozen=True, eq=False)
class Windows:
    """Columns float32 (P, n) whose mean is 0, ``mean`` float64 (n) being what was taken away, and their covariance.

    alike: by how many times fewer windows they count, those of one image being much alike.
    """

    columns: np.ndarray
    mean: np.ndarray
    threads: int = 1
    alike: float = 1.0

    @property
    def count(self) -> float:
        """How many windows they count as."""
        return len(self.columns) / self.alike

    @cached_property
    def covariance(self) -> np.ndarray:
        """H = columns^T columns / P, float64 (n, n)."""
        n = self.columns.shape[1]
        covariance = np.empty((n, n))
        tiles = [slice(start, start + _TILE) for start in range(0, n, _TILE)]
        pairs = [(tiles[i], tiles[j]) for i in range(len(tiles)) for j in range(i + 1)]

        def part(numbers: slice) -> None:
            for row, column in pairs[numbers]:
                tile = (self.columns[:, row].T @ self.columns[:, column]).astype(np.float64) / len(self.columns)
                covariance[row, column], covariance[column, row] = tile, tile.T

        by_blocks(part, len(pairs), 1, self.threads)
        return covariance

    def covariance_with(self, target: np.ndarray) -> np.ndarray:
        """target^T columns / P for a target (P, O), whatever its mean: float64 (O, n)."""
        cross = np.empty((target.shape[1], self.columns.shape[1]))

        def part(tile: slice) -> None:
            cross[:, tile] = (target.T @ self.columns[:, tile]).astype(np.float64) / len(self.columns)

        by_blocks(part, cross.shape[1], _TILE // 2, self.threads)
        return cross


def likeness(count: int, images: tuple[int, ...]) -> float:
    """By how many times fewer ``count`` windows of images (N, H, W, C) count: those of large ones by sqrt(count / N).

    The windows of one image are alike.  So for what they say of other images, they count as the geometric mean of their
    number and the images'.

    >>> likeness(19600, (400, 224, 224, 3)), likeness(65536, (1024, 32, 32, 3))
    (7.0, 1.0)
    """
    return max(1.0, math.sqrt(count / images[0])) if min(images[1:3]) >= LARGE else 1.0


def positions(count: int, taps: int) -> np.ndarray:
    """Which of ``count`` output positions are looked at, int64 (P,), rising.

    >>> positions(5000, 9).size, positions(100, 9).size
    (4096, 100)
    """
    wanted = min(_MOST, max(_FEWEST, _FOR_EACH_TAP * taps), _BYTES // (4 * taps))
    if count <= wanted:
        return np.arange(count)
    number = np.arange(wanted)
    start, end = number * count // wanted, (number + 1) * count // wanted
    return start + number * _WEYL % 2**32 % (end - start)


def windows(
    x: np.ndarray,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    chosen: np.ndarray,
    unit: float,
    threads: int = 1,
    apart: Sequence[int] = (1, 1),
    alike: float = 1.0,
) -> Windows:
    """Windows of a group's codes x (N, H, W, I), worth ``unit`` each, their taps ``apart`` pixels from each other.

    ``chosen``: the output positions, numbered over (N, OH, OW).  ``alike``: by how many times fewer windows they count.
    """
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    size = tuple(spread_size(*pair) for pair in zip(kernel, apart, strict=True))
    view = sliding_window_view(padded, size, axis=(1, 2))[:, :: strides[0], :: strides[1]]
    view = view[..., :: apart[0], :: apart[1]]
    place = np.unravel_index(chosen, view.shape[:3])
    columns = np.empty((len(chosen), view[0, 0, 0].size), np.float32)

    def gather(part: slice) -> None:
        columns[part] = view[tuple(axis[part] for axis in place)].reshape(-1, columns.shape[1])
        columns[part] *= np.float32(unit)

    by_blocks(gather, len(chosen), _GATHERED, threads)
    mean = columns.mean(axis=0, dtype=np.float64)
    away = mean.astype(np.float32)

    def take_away(part: slice) -> None:
        columns[part] -= away

    by_blocks(take_away, len(chosen), _GATHERED, threads)
    return Windows(columns, mean, threads, alike)
