"""Integer weights of one layer: codes, 8-bit scales and the exponent of each output channel."""

from dataclasses import dataclass, replace

import numpy as np

from ..numbers.formats import INT4, INT8_WEIGHT, SCALE
from . import clusters


@dataclass(frozen=True, eq=False)
class IntWeights:
    """codes int8 (O, I, KH, KW), scale int8 (O, G), exponent int64 (O): a weight is code * scale * 2**exponent."""

    codes: np.ndarray
    scale: np.ndarray
    exponent: np.ndarray
    cluster: int
    format: str


@dataclass(frozen=True, eq=False)
class WeightChoice:
    """What was decided about a layer's weights before their unit: everything that ``at`` needs to make integers.

    weight float64 (O, I, KH, KW); for ternary codes int8 and alphas float64 (O, G); for int4 alphas, and codes where
    the calibration set chose them; for int8 neither.
    """

    weight: np.ndarray
    format: str
    cluster: int
    scope: str
    codes: np.ndarray | None = None
    alphas: np.ndarray | None = None

    def at(self, factors: np.ndarray | None = None, coarser: np.ndarray | None = None) -> IntWeights:
        """Integers for weights whose output channels are multiplied by ``factors`` >= 0 (O).

        ``coarser`` int64 (O) adds to the exponents that would use the codes best.
        """
        factors = np.ones(len(self.weight)) if factors is None else factors
        exponent = clusters.channel_exponents(self._peaks(factors), self._top(), self.scope)
        exponent = exponent if coarser is None else exponent + coarser
        weight = self.weight * factors[:, None, None, None]
        if self.alphas is None:
            ones = np.ones((len(weight), 1), np.int8)
            return IntWeights(clusters.int8_codes(weight, exponent), ones, exponent, weight.shape[1], self.format)
        scale = clusters.scale_codes(self.alphas * factors[:, None], exponent)
        if self.codes is not None:
            return IntWeights(self.codes, scale, exponent, self.cluster, self.format)
        steps = np.ldexp(scale.astype(np.float64), exponent[:, None])
        codes = clusters.codes_at(weight, steps, self.cluster, INT4)
        return IntWeights(codes, scale, exponent, self.cluster, self.format)

    def of(self, rows: slice) -> "WeightChoice":
        """What was decided about some of the output channels."""
        codes, alphas = (None if array is None else array[rows] for array in (self.codes, self.alphas))
        return replace(self, weight=self.weight[rows], codes=codes, alphas=alphas)

    def _peaks(self, factors: np.ndarray) -> np.ndarray:
        """The largest magnitude that each channel's codes have to express."""
        largest = np.abs(self.weight).max(axis=(1, 2, 3)) if self.alphas is None else self.alphas.max(axis=1)
        return largest * factors

    def _top(self) -> int:
        return INT8_WEIGHT.hi if self.format == "int8" else SCALE.hi


def choose(weight: np.ndarray, fmt: str, cluster: int, method: str, scope: str) -> WeightChoice:
    """Codes and scales of a layer's float weights by the scheme's method."""
    weight = weight.astype(np.float64)
    cluster = min(cluster, weight.shape[1])
    choice = WeightChoice(weight, fmt, cluster, scope)
    if fmt == "ternary":
        codes, alphas = clusters.ternary(weight, cluster, method)
        return replace(choice, codes=codes, alphas=alphas)
    if fmt == "int4":
        return replace(choice, alphas=clusters.int4_alphas(weight, cluster))
    return replace(choice, cluster=weight.shape[1])


def joined(choices: list[WeightChoice]) -> WeightChoice:
    """One choice for the output channels of all."""

    def together(arrays: list[np.ndarray | None]) -> np.ndarray | None:
        known = [array for array in arrays if array is not None]
        return np.concatenate(known) if known else None

    weight = np.concatenate([choice.weight for choice in choices])
    codes, alphas = ([getattr(choice, name) for choice in choices] for name in ("codes", "alphas"))
    return replace(choices[0], weight=weight, codes=together(codes), alphas=together(alphas))


def erased(weights: IntWeights, constant: np.ndarray) -> IntWeights:
    """No codes in the output channels where ``constant`` (O) holds."""
    return replace(weights, codes=np.where(constant[:, None, None, None], 0, weights.codes).astype(np.int8))
