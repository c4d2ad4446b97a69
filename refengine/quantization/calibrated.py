"""The method ``calibrated``: weights chosen on the calibration images, so that a layer gives what the float one gives.

Beside the walk runs the float network.  For one layer with weights, y being what its activation receives,

    y = slope * t + intercept + residual        t: the sums of products; slope and intercept: its batch norm

the sums wanted are the float layer's t, plus what the residual has lost on its way, brought to t's unit.  Windows of
the integer input and these sums go to ``reconstruct``, one group of channels at a time; when the weights are chosen,
the bias is moved so that the mean of the sums is the wanted one.  No label is looked at.  Contract T6, F8.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..numbers.formats import INT4, TERNARY
from ..ops import OPS
from .fold import Norm
from .fuse import Group
from .plan import Weights
from .reconstruct import Prepared, Shape, Target, reconstruct, reconstruct_dense
from .walk import Walk
from .weights import WeightChoice, choose, joined
from .windows import Windows, likeness, positions, windows

MOST_TAPS = 5120
_SMALLEST_SLOPE = 1e-3
_TOPS = {TERNARY.name: TERNARY.hi, INT4.name: INT4.hi}


@dataclass(frozen=True, eq=False)
class Operands:
    """Of a layer with weights, signs turned so that no gamma is negative: weight (O, I, KH, KW), bias, norm or None.

    ``dilations``: how many pixels apart the taps of the weight lie.
    """

    weight: np.ndarray
    bias: list[Fraction]
    attributes: dict
    norm: Norm | None
    dilations: tuple[int, int] = (1, 1)

    @property
    def signs(self) -> np.ndarray:
        """What turned each output channel, +1 or -1."""
        return np.ones(len(self.weight)) if self.norm is None else self.norm.signs

    def inverse_slope(self) -> np.ndarray:
        """1 / slope, float64 (O); 0 where the slope is so small that nothing asked of the channel comes through."""
        slope, _ = self.affine()
        active = slope > _SMALLEST_SLOPE * slope.max()
        return np.where(active, 1 / np.where(active, slope, 1), 0.0)

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """slope and intercept, float64 (O), of y = slope * t + intercept."""
        bias = _floats(self.bias)
        if self.norm is None:
            return np.ones(len(bias)), bias
        slope = _floats(self.norm.gamma) / np.sqrt(_floats(self.norm.var) + float(self.norm.epsilon))
        return slope, slope * (bias - _floats(self.norm.mean)) + _floats(self.norm.beta)


def choose_calibrated(walk: Walk, group: Group, operands: Operands, weights: Weights, scope: str) -> WeightChoice:
    """Codes and scales of a layer's weights, or the weights that int8 rounds.

    A layer with more than 5,120 taps to an output keeps what ``paper`` chooses: its covariance would not fit.
    """
    outputs, inputs, *kernel = operands.weight.shape
    choice = choose(operands.weight, weights.format, weights.cluster, "paper", scope)
    if inputs * math.prod(kernel) > MOST_TAPS:
        return choice
    groups = int(operands.attributes["group"])
    x = walk.tensors[group.inputs[0]]
    maps = feature_maps(x.codes, inputs * groups)
    window = (kernel, operands.attributes["strides"], operands.attributes["pads"])
    chosen, target = _target(walk, group, operands)
    shape, unit, alike = shape_of(choice), 2.0**x.exponent, likeness(len(chosen), walk.images.shape)
    parts = []
    for g in range(groups):
        rows = slice(g * outputs // groups, (g + 1) * outputs // groups)
        tensor = maps[..., g * inputs : (g + 1) * inputs]
        seen = windows(tensor, *window, chosen, unit, walk.threads, operands.dilations, alike)
        parts.append(solved(seen, target.of(rows), choice.of(rows), shape, walk.threads))
    return joined(parts)


def mean_wanted(walk: Walk, group: Group, operands: Operands) -> np.ndarray:
    """The mean of the sums of products that each output channel should have, float64 (O)."""
    sums = walk.float_side.output(group.core.name)
    mean = _mean(sums) * operands.signs - _floats(operands.bias)
    if group.residual is not None:
        residual = walk.tensors[group.residual]
        lost = _mean(walk.float_side.output(group.residual)) - np.ldexp(_mean(residual.codes), residual.exponent)
        mean += lost * operands.inverse_slope()
    return mean


def shape_of(choice: WeightChoice) -> Shape:
    """How the codes of a choice look."""
    taps = math.prod(choice.weight.shape[2:])
    return Shape(choice.cluster * taps, _TOPS.get(choice.format, 0), choice.scope)


def solved(
    seen: Windows, target: Target, choice: WeightChoice, shape: Shape, threads: int, prepared: Prepared | None = None
) -> WeightChoice:
    """The choice for one group of channels, or a sample of it, made anew; quickly where windows are ``prepared``."""
    weight = choice.weight.reshape(len(choice.weight), -1)
    if choice.alphas is None:
        return replace(choice, weight=reconstruct_dense(seen, target, weight, prepared).reshape(choice.weight.shape))
    codes, scales = reconstruct(seen, target, weight, choice.alphas, shape, threads, prepared)
    return replace(choice, codes=codes.astype(np.int8).reshape(choice.weight.shape), alphas=scales)


def _target(walk: Walk, group: Group, operands: Operands) -> tuple[np.ndarray, Target]:
    """Which output positions are looked at, and the sums wanted there."""
    sums = _rows(walk.float_side.output(group.core.name))
    chosen = positions(len(sums), operands.weight[0].size)
    if group.residual is None:
        return chosen, target_of(group, operands, sums[chosen])
    residual = walk.tensors[group.residual]
    reached = np.ldexp(_rows(residual.codes)[chosen].astype(np.float64), residual.exponent)
    return chosen, target_of(
        group, operands, sums[chosen], reached, _rows(walk.float_side.output(group.residual))[chosen] - reached
    )


def target_of(
    group: Group,
    operands: Operands,
    sums: np.ndarray,
    reached: np.ndarray | float = 0.0,
    lost: np.ndarray | float = 0.0,
) -> Target:
    """The target for float sums (P, O), a residual that has ``reached`` the layer, and what it has ``lost``."""
    wanted = sums * operands.signs - _floats(operands.bias)
    _, intercept = operands.affine()
    beyond = operands.inverse_slope()
    wanted += lost * beyond
    low, high = np.array(-np.inf), np.array(np.inf)
    if group.relu is not None:
        dead = beyond == 0
        low = np.where(dead, -np.inf, -(intercept + reached) * beyond)
        if "max" in group.relu.attributes:
            high = np.where(dead, np.inf, (float(group.relu.attributes["max"]) - intercept - reached) * beyond)
    ends = (np.broadcast_to(end.astype(np.float32), wanted.shape) for end in (low, high))
    return Target(wanted.astype(np.float32), *ends)


def feature_maps(codes: np.ndarray, channels: int) -> np.ndarray:
    """Codes (N, H, W, C) of a convolution as they are; what an fc reads as (N, 1, 1, K)."""
    if codes.ndim == 4 and codes.shape[-1] == channels:
        return codes
    return OPS["flatten"].reference(codes)[:, None, None, :]


def _rows(tensor: np.ndarray) -> np.ndarray:
    return tensor.reshape(-1, tensor.shape[-1])


def _mean(tensor: np.ndarray) -> np.ndarray:
    return _rows(tensor).mean(axis=0, dtype=np.float64)


def _floats(values: Sequence[Fraction]) -> np.ndarray:
    return np.array([float(value) for value in values])
