"""The exponent of a layer's output, chosen on calibration images (contract, section Exponents).

    max    the smallest exponent whose codes reach every calibrated value
    mse    among that one and the three below it, the one whose codes lose least in the mean square
    dynamic    a range, from the finest that an image needs to one more than the coarsest

The reals y = factor * acc + offset (+ residual), after their ReLU, are looked at in float64, a slice of images at a
time.  ``mse`` looks at evenly spaced values, some hundred thousand at most, as integers 256 times finer than the finest
candidate's codes, so that the sums which decide are exact.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..numbers.formats import INT32, CodeFormat
from ..numbers.nearest import nearest_codes
from ..numbers.requantize import MAX_DYNAMIC
from ..numbers.rescale import smallest_exponent
from ..numbers.rounding import round_shift
from .fold import Affine

_SLICE = 4 * 2**20
_BLOCK = 2**18  # values that a processor's cache holds
_LOOKED_AT = 2**18
_FINER_BITS = 8
_BELOW = 3


@dataclass(frozen=True, eq=False)
class Reals:
    """What a layer computes, as reals: accumulators (N, ..., C) and what they mean.

    ``residual`` codes like acc, worth 2**residual_exponent.  lo, hi: the activation's clip, infinite if none.
    """

    acc: np.ndarray
    affine: Affine
    residual: np.ndarray | None = None
    residual_exponent: int = 0
    lo: float = -math.inf
    hi: float = math.inf

    def values(self, pick: slice) -> np.ndarray:
        """Reals of the images ``pick``, float64."""
        residual = None if self.residual is None else self.residual[pick]
        return self._values(self.acc[pick], *self._affine, residual)

    def every(self, step: int, pick: slice) -> np.ndarray:
        """Every so manieth real of the images ``pick``, float64 (n), in the order of memory."""
        acc = self.acc[pick]
        channel = np.arange(0, acc.size, step) % acc.shape[-1]
        factor, offset = (part if part.size == 1 else part[channel] for part in self._affine)
        residual = None if self.residual is None else self.residual[pick].reshape(-1)[::step]
        return self._values(acc.reshape(-1)[::step], factor, offset, residual)

    @property
    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        factor, offset = ([float(number) for number in part] for part in (self.affine.factor, self.affine.offset))
        return np.array(factor), np.array(offset)

    def _values(
        self, acc: np.ndarray, factor: np.ndarray, offset: np.ndarray, residual: np.ndarray | None
    ) -> np.ndarray:
        y = acc * factor + offset
        if residual is not None:
            y += np.ldexp(residual.astype(np.float64), self.residual_exponent)
        return np.clip(y, self.lo, self.hi)

    def ends(self) -> tuple[float, float]:
        """The lowest and the highest real, and 0 between them."""
        if self.residual is None:
            spread = np.stack([self.acc.min(axis=self._images), self.acc.max(axis=self._images)])
            looked_at: Iterable[np.ndarray] = [replace(self, acc=spread).values(slice(None))]
        else:
            looked_at = (self.values(pick) for pick in self.slices(_BLOCK))
        found = [(float(y.min()), float(y.max())) for y in looked_at]
        return min(0.0, *(low for low, _ in found)), max(0.0, *(high for _, high in found))

    @property
    def _images(self) -> tuple[int, ...]:
        return tuple(range(self.acc.ndim - 1))

    def slices(self, values: int = _SLICE) -> Iterator[slice]:
        """Slices of images, each of a bounded number of ``values``."""
        per_image = max(1, self.acc[0].size)
        step = max(1, values // per_image)
        return (slice(start, start + step) for start in range(0, len(self.acc), step))


def output_exponent(reals: Reals, fmt: CodeFormat, rule: str) -> int:
    """The exponent of the output's codes by ``rule``, max or mse."""
    largest = _max_exponent(reals, fmt)
    if largest is None:
        return 0
    if rule == "max":
        return largest
    finest = largest - _BELOW - _FINER_BITS
    sample = nearest_codes(np.ldexp(_sample(reals), -finest), INT32)
    candidates = range(largest, largest - _BELOW - 1, -1)
    return min(candidates, key=lambda exponent: (_loss(sample, exponent - finest, fmt), -exponent))


def dynamic_exponent(reals: Reals, fmt: CodeFormat) -> tuple[int, int]:
    """The finest exponent among which images choose, and by how much theirs may exceed it (contract E4)."""
    each = [_max_exponent(replace(reals, acc=acc, residual=added), fmt) for acc, added in _images(reals)]
    found = [exponent for exponent in each if exponent is not None]
    if not found:
        return 0, 0
    coarsest = max(found) + 1
    dynamic = min(coarsest - min(found), MAX_DYNAMIC)
    return coarsest - dynamic, dynamic


def _images(reals: Reals) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    for n in range(len(reals.acc)):
        yield reals.acc[n : n + 1], None if reals.residual is None else reals.residual[n : n + 1]


def _max_exponent(reals: Reals, fmt: CodeFormat) -> int | None:
    """None where every value is 0."""
    low, high = reals.ends()
    needs = [(high, fmt.hi)] if high > 0 else []
    if low < 0:
        needs.append((-low, -fmt.lo))
    return max((smallest_exponent(Fraction(value), top) for value, top in needs), default=None)


def _sample(reals: Reals) -> np.ndarray:
    """Every so manieth value, of all channels alike: the distance has no divisor in common with their number."""
    step = -(-reals.acc.size // _LOOKED_AT)
    while math.gcd(step, reals.acc.shape[-1]) > 1:
        step += 1
    return np.concatenate([reals.every(step, pick) for pick in reals.slices()])


def _loss(sample: np.ndarray, shift: int, fmt: CodeFormat) -> int:
    """Sum of squared errors of codes worth 2**shift units of the sample."""
    codes = np.clip(round_shift(sample, shift, "half_even"), fmt.lo, fmt.hi)
    return int(((sample - (codes << shift)) ** 2).sum())
