"""A layer as somebody else would build it: plain int64 arrays, one attribute for each wire, one method for each step.

It is written from the contract alone and shares no arithmetic with ``ops``, ``numbers`` or the hypotheses of a
diagnosis, because it exists to go wrong: ``tests/mutation/faults.py`` changes an attribute or replaces a step, and what
comes out is a DUT's layer.  Unchanged it gives the bits of the contract, which the tests hold against the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refengine.errors import RangeError
from refengine.golden.diagnose.machine import Case
from refengine.golden.dumps.difference import Array
from refengine.numbers.rounding import DOUBLE_ROUND, STOCHASTIC

PIXEL_BITS = 8
OPERATORS = (
    "input", "conv", "fc", "batchnorm", "add", "maxpool", "avgpool", "global_avgpool", "concat", "pad_channels",
    "flatten", "requantize", "lookup", "gather_channels", "mul",
)  # fmt: skip
ROUNDINGS = (
    "floor", "ceil", "toward_zero", "away_from_zero", "half_up", "half_down", "half_away", "half_toward_zero",
    "half_even", DOUBLE_ROUND,
)  # fmt: skip
Stages = dict[str, Array]


class Datapath:
    """The wires of one layer, each free to be changed before ``stages`` is asked for what comes out.

    x: operands int64 (N, ...).  weight (O, I, KH, KW), scale (O, G), bias (O): int64.  multiplier, shift,
    residual_shift: int64 (C).  lo, hi: the clip.  pad: what lies outside the image, an integer or ``"edge"``.
    late: by how many rows and columns every window is late.  RangeError for stochastic rounding, and for an operator or
    a rounding that is not built here.
    """

    def __init__(self, case: Case) -> None:
        layer, network = case.layer, case.network
        if layer.op not in OPERATORS:
            raise RangeError(f"layer {layer.name!r} ({layer.op}): faults are seeded into {', '.join(OPERATORS)} alone")
        self.case, self.op, self.layer = case, layer.op, layer
        self.x = [operand.astype(np.int64) for operand in case.operands]
        constants = {name: array.astype(np.int64) for name, array in layer.constants.items()}
        attributes = dict(layer.attributes)
        self.weight: Any = constants.get("weight")  # None where the layer has no such wire, which a fault asks first
        self.scale: Any = constants.get("scale")
        self.bias: Any = constants.get("bias")
        self.sign: Any = constants.get("sign")
        self.table: Any = constants.get("table")
        self.order: Any = constants.get("order")
        self.strides, self.pads = attributes.get("strides", (1, 1)), attributes.get("pads", (0, 0, 0, 0))
        self.kernel, self.group = attributes.get("kernel_shape", (1, 1)), attributes.get("group", 1)
        self.shifts, self.flip = attributes.get("shifts", (0, 0)), attributes.get("flip", False)
        self.before, self.after_channels = attributes.get("before", 0), attributes.get("after", 0)
        self.shape = tuple(network.shapes[layer.name])
        self.pad: int | str = 0
        self.late = (0, 0)
        if layer.op == "fc" and self.weight is not None:
            self.weight = self.weight[:, :, None, None]
            self.x = [_flat(self.x[0])[:, None, None, :]]
        if self.weight is not None:
            self.clusters = np.arange(self.weight.shape[1]) // attributes["cluster"]
        self.residual: Any = None if case.residual is None else case.residual.astype(np.int64)
        step = layer.requantize
        channels = self.shape[-1]
        if step is not None:
            if step.rounding == STOCHASTIC:
                raise RangeError(f"layer {layer.name!r}: faults are not seeded into stochastic rounding")
            if step.rounding not in ROUNDINGS:
                raise RangeError(f"layer {layer.name!r}: faults are not seeded into {step.rounding} rounding")
            self.multiplier = np.broadcast_to(step.multiplier, channels).copy()
            self.shift = np.broadcast_to(step.shift, channels).copy()
            wide = step.residual_shift
            self.residual_shift = np.zeros(channels, np.int64) if wide is None else np.broadcast_to(wide, channels)
            self.lo, self.hi, self.mode = step.lo, step.hi, step.rounding
        self.activation = "none" if step is None else step.activation
        self.dtype = network.formats[layer.name].dtype
        self.divide: Callable[[Array, Array], Array] = lambda t, s: rounded(t, s, self.mode)
        self.clip: Callable[[Array], Array] = lambda codes: np.minimum(np.maximum(codes, self.lo), self.hi)
        self.epilogue: Callable[[Array, Array], Array] = lambda acc, total: self.clip(self.divide(total, self.shift))
        self.combine: Callable[[Array], Array] = self._combine
        self.sums: Callable[[], Array] = self._sums
        self.hold: Callable[[Array], Array] = self._hold
        self.read: Callable[[Array], Array] = lambda acc: acc
        self.tap: Callable[[Array, tuple[int, int], Array, Array], Array] = lambda codes, place, rows, columns: codes
        self.add_cluster: Callable[[Array, Array, Array], Array] = lambda acc, sums, by: acc + sums * by
        self.write: Callable[[Array], Array] = lambda result: result
        self.maximum: Callable[[Array, Array], Array] = _maximum
        self.average_of: Callable[[Array], Array] = lambda counts: counts

    # -- what comes out

    def stages(self) -> Stages:
        """accumulator, total and code, where the layer has them, in the types of a trace."""
        passing = {"maxpool": self._maxpool, "concat": self._concat, "flatten": lambda: _flat(self.x[0])}
        passing["pad_channels"] = self._pad_channels
        passing["gather_channels"] = lambda: np.stack([self.x[0][..., c] for c in self.order], axis=-1)
        if self.op in passing:
            return {"code": self.write(passing[self.op]()).astype(self.dtype)}
        acc = self.hold(self.sums()).reshape(len(self.x[0]), *self.shape)
        if self.layer.requantize is None:
            return {"accumulator": self.write(acc).astype(np.int32)}
        total = self.combine(self.read(acc))
        code = self.write(self.epilogue(self.read(acc), total))
        return {"accumulator": acc.astype(np.int32), "total": total, "code": code.astype(self.dtype)}

    def _combine(self, acc: Array) -> Array:
        """The sum before it is rounded."""
        total = acc * self.multiplier
        return total if self.residual is None else total + (self.residual << self.residual_shift)

    def _hold(self, acc: Array) -> Array:
        bits, policy = self.layer.accumulator_bits, self.layer.accumulator_policy
        return held(acc, bits, policy == "saturate") if bits < 32 else acc

    # -- sums

    def _sums(self) -> Array:
        if self.op in ("conv", "fc"):
            return self._convolved()
        if self.op == "input":
            pixels = self.x[0][..., ::-1] if self.flip else self.x[0]
            return (pixels << PIXEL_BITS) + self.bias
        if self.op == "batchnorm":
            return (self.x[0] << PIXEL_BITS) * self.sign + self.bias
        if self.op == "add":
            return (self.x[0] << self.shifts[0]) + (self.x[1] << self.shifts[1])
        if self.op == "mul":
            return self.x[0] * self.x[1]
        if self.op == "lookup":
            channel = np.arange(self.x[0].shape[-1]) * (len(self.table) > 1)
            return self.table[channel, np.where(self.x[0] < 0, self.x[0] + 256, self.x[0])]
        if self.op == "global_avgpool":
            return self.x[0].sum(axis=(1, 2))
        if self.op == "avgpool":
            values, valid = self._taps(self.kernel)
            counts = valid.sum(axis=0)
            common = math.lcm(*np.unique(counts).tolist())
            return np.where(valid, values, 0).sum(axis=0) * (common // self.average_of(counts))
        return self.x[0]  # requantize

    def _convolved(self) -> Array:
        """Cluster after cluster; floating point carries the products, exact because they stay below 2**53."""
        outputs, inputs, height, width = self.weight.shape
        acc: Any = None
        taps, _ = self._taps((height, width))  # (KH * KW, N, OH, OW, group * I)
        per_group = outputs // self.group
        for number in range(int(self.clusters[-1]) + 1):
            members = np.flatnonzero(self.clusters == number)
            parts = []
            for g in range(self.group):
                codes = taps[..., g * inputs + members].astype(np.float64)
                w = self.weight[g * per_group : (g + 1) * per_group][:, members]
                w = w.transpose(2, 3, 1, 0).reshape(height * width, len(members), per_group).astype(np.float64)
                parts.append(sum(codes[tap] @ w[tap] for tap in range(height * width)))
            sums = np.concatenate(parts, axis=-1).astype(np.int64)
            if acc is None:
                acc = np.broadcast_to(self.bias, sums.shape)
            acc = self.add_cluster(acc, sums, self.scale[:, number])
        return acc

    def products(self, channels_first: bool = False) -> Iterator[tuple[Array, Array]]:
        """One product after the other, code times weight (N, OH, OW, O), with the scale (O) that it meets.

        Tap by tap, all input channels of a tap together; ``channels_first``: all taps of a channel together.
        """
        outputs, inputs, height, width = self.weight.shape
        taps, _ = self._taps((height, width))
        first = np.arange(outputs) // (outputs // self.group) * inputs
        places = [(tap, i) for tap in range(height * width) for i in range(inputs)]
        for tap, i in sorted(places, key=lambda place: place[1]) if channels_first else places:
            weight = self.weight.reshape(outputs, inputs, -1)[:, i, tap]
            yield taps[tap][..., first + i] * weight, self.scale[:, self.clusters[i]]

    def _taps(self, kernel: tuple[int, int]) -> tuple[Array, Array]:
        """Every tap of every window: values (KH * KW, N, OH, OW, C), which lie on the image (KH * KW, 1, OH, OW, 1)."""
        x = self.x[0]
        height, width = x.shape[1:3]
        out = self.shape[:2] if len(self.shape) == 3 else (1, 1)
        values, valid = [], []
        for ky in range(kernel[0]):
            for kx in range(kernel[1]):
                y = np.arange(out[0]) * self.strides[0] - self.pads[0] + ky + self.late[0]
                z = np.arange(out[1]) * self.strides[1] - self.pads[1] + kx + self.late[1]
                inside = ((y >= 0) & (y < height))[:, None] & ((z >= 0) & (z < width))[None, :]
                tap = x[:, y.clip(0, height - 1)][:, :, z.clip(0, width - 1)]
                if self.pad != "edge":
                    tap = np.where(inside[:, :, None], tap, self.pad)
                values.append(self.tap(tap, (ky, kx), y, z))
                valid.append(inside[None, :, :, None])
        return np.stack(values), np.stack(valid)

    # -- codes that pass

    def _maxpool(self) -> Array:
        return self.maximum(*self._taps(self.kernel))

    def _concat(self) -> Array:
        return np.concatenate(self.x, axis=-1)

    def _pad_channels(self) -> Array:
        wide = [(0, 0)] * (self.x[0].ndim - 1)
        return np.pad(self.x[0], [*wide, (self.before, self.after_channels)])


def rounded(total: Array, shift: Array, mode: str) -> Array:
    """total / 2**shift by a mode of the contract, from the remainder."""
    unit = np.int64(1) << np.asarray(shift, np.int64)
    quotient, twice = total // unit, 2 * (total % unit)
    exact = twice == 0
    if mode == DOUBLE_ROUND:
        nudge = np.where(np.asarray(shift) > 31, 1 << 30, 0)
        return (total + unit // 2 + np.where(total < 0, -nudge, nudge)) // unit
    tie, more = twice == unit, twice > unit
    up = {
        "floor": np.zeros_like(exact),
        "ceil": ~exact,
        "toward_zero": ~exact & (total < 0),
        "away_from_zero": ~exact & (total > 0),
        "half_up": more | tie,
        "half_down": more,
        "half_away": more | (tie & (total > 0)),
        "half_toward_zero": more | (tie & (total < 0)),
        "half_even": more | (tie & (quotient % 2 == 1)),
    }
    return quotient + up[mode]


def held(values: Array, bits: int, saturate: bool) -> Array:
    """Values in a register of ``bits`` bits."""
    top = 1 << (bits - 1)
    if saturate:
        return np.minimum(np.maximum(values, -top), top - 1)
    return (values + top) % (2 * top) - top


def _flat(x: Array) -> Array:
    return x if x.ndim == 2 else x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def _maximum(values: Array, valid: Array) -> Array:
    return np.where(valid, values, np.iinfo(np.int64).min).max(axis=0)
