"""Small networks in which everything of the contract occurs: the same integers on every machine.

Each has all operators but the youngest (lookup, gather_channels, mul), one rounding, and one of everything else in
turns: channels, weight formats, accumulators, residuals, dynamic exponents.  They are what ``passport`` digests, and
the model files of the conformance suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np

from ..network.int_network import CHANNELS, IntLayer, IntNetwork
from ..numbers.formats import INT8, UINT8, WEIGHT_FORMATS, CodeFormat
from ..numbers.rounding import ROUNDINGS
from .answers import answer, layer_of
from .case import Array
from .case_maker import Maker, Operand, Wish
from .stream import Stream

IMAGES = 7
CLASSES = 5
_SIZE = (6, 5)
_ACCUMULATORS = ((32, "error"), (17, "wrap"), (18, "saturate"), (32, "error"), (16, "saturate"), (16, "wrap"))


@dataclass(frozen=True, eq=False)
class Small:
    """A network and images for it."""

    network: IntNetwork
    images: Array


@cache
def small_networks() -> tuple[Small, ...]:
    """One for each rounding, then three whose exponents are dynamic."""
    static = [_network(number, rounding, 0) for number, rounding in enumerate(ROUNDINGS)]
    chosen = (("half_up", 2), ("half_even", 5), ("stochastic", 7))
    dynamic = [_network(len(ROUNDINGS) + place, rounding, most) for place, (rounding, most) in enumerate(chosen)]
    return (*static, *dynamic)


@dataclass(frozen=True, eq=False)
class _Known:
    """A layer's result: the operand that later layers read, and its exponent."""

    operand: Operand
    exponent: int


class _Growing:
    """A network that grows at its end, and images that run along, by which shifts are chosen."""

    def __init__(self, number: int, rounding: str, dynamic: int) -> None:
        self.name = f"small {number}, {rounding}{', dynamic' if dynamic else ''}"
        self.stream, self._rounding, self._dynamic, self._number = Stream(self.name), rounding, dynamic, number
        self.layers: list[IntLayer] = []
        self.known: dict[str, _Known] = {}

    @property
    def last(self) -> str:
        """The name of the last layer."""
        return self.layers[-1].name

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its result for one image."""
        return self.known[self.last].operand.codes.shape[1:]

    def append(
        self,
        op: str,
        inputs: Sequence[str],
        constants: Mapping[str, Array] | None = None,
        attributes: Mapping[str, Any] | None = None,
        *,
        form: tuple[CodeFormat, str] | None = None,
        residual: str | None = None,
        weight_format: str | None = None,
        read: Operand | None = None,
        dynamic: bool = False,
        logits: bool = False,
    ) -> None:
        """A layer on earlier ones, or on ``read``; its result runs along."""
        maker = Maker(op, len(self.layers) + 100 * self._number)
        operands = [self.known[name].operand for name in inputs] + ([] if read is None else [read])
        exponents = [self.known[name].exponent for name in inputs] or [0]
        accumulator = _ACCUMULATORS[(len(self.layers) + self._number) % len(_ACCUMULATORS)]
        wish = Wish(
            (),
            "",
            self._rounding,
            form,
            accumulator=accumulator if op in ("conv", "fc", "batchnorm") and not logits else (32, "error"),
            added=None if residual is None else self.known[residual].operand,
            dynamic=self._dynamic if dynamic and (form is None or form[1] != "clip") else 0,
            logits=logits,
            bits=8 if self._dynamic else None,
        )
        case = maker.layer(operands, constants or {}, attributes or {}, wish, weight_format)
        name = f"{len(self.layers):03d}_{op}"
        exponent = min(exponents)
        if residual is not None:
            exponent = self.known[residual].exponent - int(case.inputs["residual_shift"][0] - case.inputs["shift"][0])
        self.layers.append(layer_of(case, name, tuple(inputs), exponent=exponent, residual=residual))
        if not logits:
            found = answer(case)
            ended = self.layers[-1].requantize or operands[0]
            self.known[name] = _Known(Operand(found["code"], ended.format, ended.dynamic, found.get("d")), exponent)

    def weighted(self, op: str, outputs: int, inputs: int, kernel: tuple[int, ...], fmt: str, **more: Any) -> None:
        """A layer with weights."""
        cluster = self.stream.pick([1, 2, inputs])
        constants = Maker(op, self._number).weights(WEIGHT_FORMATS[fmt], outputs, inputs, kernel, cluster)
        if self._dynamic:  # room for values of 15 bits
            constants["scale"] = np.minimum(constants["scale"], 3)
        attributes = {**more.pop("attributes", {}), "cluster": cluster}
        self.append(op, [self.last], constants, attributes, weight_format=fmt, **more)


def _network(number: int, rounding: str, dynamic: int) -> Small:
    growing = _Growing(number, rounding, dynamic)
    stream = growing.stream
    channels = [*CHANNELS][number % len(CHANNELS)]
    count = CHANNELS[channels]
    formats = ["ternary", "int4", "int8"] if not dynamic else ["ternary"] * 3
    first, second, third = (formats[(number + n) % 3] for n in range(3))
    images = stream.codes(0, 255, (IMAGES, *_SIZE, count), np.uint8)
    images[1] //= 16  # dark ones, so that exponents differ
    bias = stream.integers(-(2**15), 0, (count,), np.int32)
    same = {"strides": [1, 1], "pads": [1, 1, 1, 1], "group": 1}
    growing.append(
        "input", [], {"bias": bias}, {"flip": channels == "BGR"}, form=(INT8, "none"), read=Operand(images, UINT8)
    )
    growing.weighted("conv", 4, count, (3, 3), first, attributes=same, form=(UINT8, "relu"), dynamic=True)
    start = growing.last
    growing.weighted("conv", 4, 2, (3, 3), second, attributes={**same, "group": 2}, form=(INT8, "none"), residual=start)
    _add(growing, [growing.last, start], stream)
    pool = {"kernel_shape": [3, 2], "strides": [1, 1], "pads": [1, 0, 1, 1], "ceil_mode": False}
    growing.append("maxpool", [growing.last], {}, pool)
    growing.append("concat", [growing.last, growing.layers[-2].name])
    growing.append("pad_channels", [growing.last], {}, {"before": 1, "after": 2})
    wide = {"kernel_shape": [2, 3], "strides": [2, 2], "pads": [0, 1, 1, 1], "ceil_mode": True}
    growing.append("avgpool", [growing.last], {}, wide, form=(INT8, "none"), dynamic=True)
    sign = stream.integers(-1, 1, (growing.shape[-1],), np.int8)
    constants = {"sign": sign, "bias": stream.integers(-5000, 5000, sign.shape, np.int32)}
    growing.append("batchnorm", [growing.last], constants, form=(UINT8, "relu"))
    depth = growing.shape[-1]
    each = {"strides": [1, 2], "pads": [1, 0, 0, 2], "group": depth}
    growing.weighted("conv", depth, 1, (2, 3), third, attributes=each, form=(UINT8, "clip"))
    growing.append("requantize", [growing.last], form=(INT8, "none"), dynamic=True)
    end = ("flatten", "global_avgpool", None)[number % 3]
    if end == "flatten":
        growing.append("flatten", [growing.last])
    elif end == "global_avgpool":
        growing.append("global_avgpool", [growing.last], form=(INT8, "none"), dynamic=True)
    growing.weighted("fc", 6, prod(growing.shape), (), second, form=(INT8, "none"))
    growing.weighted("fc", CLASSES, 6, (), third, logits=True)
    network = IntNetwork(growing.name, (*_SIZE, count), CLASSES, channels, tuple(growing.layers))
    return Small(network, images)


def _add(growing: _Growing, inputs: list[str], stream: Stream) -> None:
    exponents = [growing.known[name].exponent for name in inputs]
    shifts = [exponent - min(exponents) for exponent in exponents]
    growing.append("add", inputs, {}, {"shifts": shifts}, form=stream.pick([(UINT8, "relu"), (INT8, "none")]))
