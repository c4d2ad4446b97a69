"""How much one layer's output suffers from weights of other formats, looked at beside the float network alone.

For a layer with weights the float network's tensors are given on images to fit by and on images to judge by.  The codes
of each option are chosen as ``calibrated`` chooses them, on the first, for a sample of the output channels; what they
lose is measured on the second:

    error = sum over p, o of (slope[o] * (clip(t[p, o]) - clip(t'[p, o])))^2 / the same of clip(t) less its mean

t are the float layer's sums of products, t' those of the codes, clip what the activation lets through.  ``noisy_sums``
are sums with noise that has an error of about a wanted size, spread over the directions of the input as that of well
chosen codes is: equal in each, so that the weights' noise is Delta = noise * H^(-1/2), H being the windows' covariance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..network.float_layer import FloatLayer
from ..network.forward import OPERATORS
from .calibrated import MOST_TAPS, Operands, feature_maps, shape_of, solved, target_of
from .fuse import Group
from .plan import Weights
from .reconstruct import Prepared, Target
from .triangular import inverse_of_lower
from .weighted import operands_of
from .weights import IntWeights, choose
from .windows import Windows, positions, windows

_ROWS = 24  # output channels of a group that are looked at
_GROUPS = 16  # groups of channels that are looked at
_RIDGE = 0.01
_CORRECTIONS, _MOST = 2, 1e4


@dataclass(frozen=True, eq=False)
class Seen:
    """Float tensors at a layer: what it reads (N, ...), the sums it gives, with its bias, its residual or None."""

    x: np.ndarray
    sums: np.ndarray
    residual: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class _Side:
    """Some images' tensors at the positions looked at."""

    group: Group
    operands: Operands
    seen: Seen
    threads: int

    @property
    def chosen(self) -> np.ndarray:
        """Numbers of the output positions."""
        return positions(math.prod(self.seen.sums.shape[:-1]), self.operands.weight[0].size)

    def target(self, sums: np.ndarray) -> Target:
        """The target that sums (N, ..., O) are, with the clips of the group's activation."""
        chosen, residual = self.chosen, self.seen.residual
        reached = 0.0 if residual is None else _rows(residual)[chosen].astype(np.float64)
        return target_of(self.group, self.operands, _rows(sums)[chosen], reached)

    def windows(self, g: int) -> Windows:
        """Windows of the channels of group ``g``."""
        operands = self.operands
        inputs, *kernel = operands.weight.shape[1:]
        channels = inputs * int(operands.attributes["group"])
        tensor = feature_maps(self.seen.x, channels)[..., g * inputs : (g + 1) * inputs]
        attributes = operands.attributes
        place = (kernel, attributes["strides"], attributes["pads"])
        return windows(tensor, *place, self.chosen, 1.0, self.threads, operands.dilations)


def option_errors(
    group: Group, fit: Seen, judge: Seen, options: Sequence[Weights], threads: int = 1
) -> tuple[float, ...]:
    """The error of each option, as above, by a sample of the output channels."""
    operands = operands_of(group)
    one, other = (_Side(group, operands, seen, threads) for seen in (fit, judge))
    wanted, judged = one.target(fit.sums), other.target(judge.sums)
    count, (outputs, inputs, *kernel) = int(operands.attributes["group"]), operands.weight.shape
    each = outputs // count
    lost, whole = np.zeros(len(options)), 0.0
    for g in _spread(count, _GROUPS):
        rows = slice(g * each, (g + 1) * each, max(1, each // _ROWS))
        seen, unseen = one.windows(g), other.windows(g)
        columns = unseen.columns + (unseen.mean - seen.mean).astype(np.float32)
        target, truth = wanted.of(rows), judged.of(rows)
        slope = _slope(operands)[rows]
        prepared = Prepared(seen) if inputs * math.prod(kernel) <= MOST_TAPS else None
        whole += _energy(truth, truth.sums.mean(axis=0), slope)
        for number, weights in enumerate(options):
            choice = choose(operands.weight, weights.format, weights.cluster, "paper", "channel")
            part = choice.of(rows)
            if prepared is not None:
                part = solved(seen, target, part, shape_of(choice), threads, prepared)
            made = columns @ _reals(part.at()).astype(np.float32).T + target.sums.mean(axis=0)
            lost[number] += _energy(truth, made, slope)
    return tuple((lost / whole).tolist()) if whole else (0.0,) * len(options)


def disturbed(group: Group, fit: Seen, seed: int = 0, threads: int = 1) -> FloatLayer:
    """The layer with noise in its weights, as large as the variance of every sum; its mean stays."""
    operands = operands_of(group)
    side = _Side(group, operands, fit, threads)
    sums = _rows(fit.sums)[side.chosen]
    variance = sums.var(axis=0, dtype=np.float64)
    outputs, taps = len(operands.weight), operands.weight[0].size
    count = int(operands.attributes["group"])
    noise = np.random.default_rng(seed).standard_normal((outputs, taps))
    shift = np.zeros(outputs)
    for g in range(count):
        rows = slice(g * outputs // count, (g + 1) * outputs // count)
        seen = side.windows(g)
        covariance = seen.covariance
        share = _RIDGE + taps / len(seen.columns)  # more where the windows say too little of some directions
        ridge = share * (float(np.diag(covariance).mean()) or 1.0)
        delta = noise[rows] @ inverse_of_lower(np.linalg.cholesky(covariance + ridge * np.eye(taps)))
        energy = ((delta @ covariance) * delta).sum(axis=1)
        delta *= np.sqrt(variance[rows] / np.where(energy > 0, energy, np.inf))[:, None]
        noise[rows], shift[rows] = delta, delta @ seen.mean
    core = group.core
    weight = core.constants["weight"] + noise.reshape(core.constants["weight"].shape)
    bias = core.constants.get("bias", np.zeros(outputs)) - shift
    return replace(core, constants={"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)})


def noisy_sums(group: Group, fit: Seen, judge: Seen, error: float, threads: int = 1) -> np.ndarray:
    """The sums of ``judge`` with noise whose error is about ``error``: float32 (N, ..., O)."""
    noisy = disturbed(group, fit, threads=threads)
    difference = OPERATORS[noisy.op](noisy, judge.x) - judge.sums
    size = np.sqrt(error)
    for _ in range(_CORRECTIONS):  # an activation lets through another share of it than of the signal
        found = error_of(group, judge, judge.sums + np.float32(size) * difference)
        size *= np.sqrt(min(_MOST, max(1 / _MOST, error / found))) if found > 0 else 1.0
    sums: np.ndarray = judge.sums + np.float32(size) * difference
    return sums


def error_of(group: Group, judge: Seen, sums: np.ndarray) -> float:
    """The error of sums (N, ..., O) made in another way than ``judge``'s."""
    operands = operands_of(group)
    side = _Side(group, operands, judge, 1)
    truth, made, slope = side.target(judge.sums), side.target(sums).sums, _slope(operands)
    whole = _energy(truth, truth.sums.mean(axis=0), slope)
    return _energy(truth, made, slope) / whole if whole else 0.0


def _energy(truth: Target, made: np.ndarray, slope: np.ndarray) -> float:
    """Squared difference of what the activation lets through, in its units, all positions and channels together."""
    wanted, other = (np.clip(sums, truth.low, truth.high) for sums in (truth.sums, made))
    return float((((wanted - other).astype(np.float64) * slope) ** 2).sum())


def _slope(operands: Operands) -> np.ndarray:
    return operands.affine()[0]


def _reals(weights: IntWeights) -> np.ndarray:
    """Integer weights as reals, float64 (O, n)."""
    outputs, inputs = weights.codes.shape[:2]
    scale = np.ldexp(weights.scale.astype(np.float64), weights.exponent[:, None])
    wide = np.repeat(scale, weights.cluster, axis=1)[:, :inputs, None]
    return (weights.codes.reshape(outputs, inputs, -1) * wide).reshape(outputs, -1)


def _rows(tensor: np.ndarray) -> np.ndarray:
    return tensor.reshape(-1, tensor.shape[-1])


def _spread(count: int, most: int) -> range:
    return range(0, count, -(-count // most))
