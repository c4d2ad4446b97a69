"""Two settings on the same images: what one gets right and the other does not, and whether that can be chance.

Only images on which they disagree say which is better, so the interval is far narrower than the difference of two
separate intervals.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import RangeError

Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True)
class Paired:
    """How two outcomes on ``count`` images differ: images that only the first, and only the second, gets right.

    difference: share of the first minus share of the second.  low, high: its 95 % interval.  p: McNemar's exact
    two-sided probability of a split this uneven, were neither better.
    """

    count: int
    first_only: int
    second_only: int

    @property
    def difference(self) -> float:
        """The first's share of right images minus the second's."""
        return (self.first_only - self.second_only) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference: Wald's with one image added to each side, honest for few images.

        Source: Bonett and Price 2012, 'Adjusted Wald confidence interval for a difference of binomial proportions
        based on paired data'.
        """
        trials = self.count + 2
        one, other = (self.first_only + 1) / trials, (self.second_only + 1) / trials
        half = Z95 * math.sqrt((one + other - (one - other) ** 2) / trials)
        return max(-1.0, one - other - half), min(1.0, one - other + half)

    @property
    def p(self) -> float:
        """Exact two-sided McNemar test: 2 P(X <= the smaller of the two), X binomial of ``n`` throws of a coin.

        The largest term is taken by its logarithm, the others by their ratios: C(n, k - 1) / C(n, k) = k / (n - k + 1).
        """
        n, fewer = self.first_only + self.second_only, min(self.first_only, self.second_only)
        largest = math.lgamma(n + 1) - math.lgamma(fewer + 1) - math.lgamma(n - fewer + 1) - n * math.log(2)
        total = term = 1.0
        for k in range(fewer, 0, -1):
            term *= k / (n - k + 1)
            total += term
        return min(1.0, 2 * total * math.exp(largest))


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two outcomes: bool (N) each, whether an image is right; RangeError unless they are of the same images.

    >>> paired(np.array([1, 1, 1, 0], bool), np.array([1, 0, 0, 0], bool)).difference
    0.5
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise RangeError(f"outcomes have shapes {first.shape} and {second.shape}, needed one length of at least 1")
    return Paired(len(first), int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first)))
