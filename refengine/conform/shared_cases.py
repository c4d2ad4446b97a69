"""Cases of what operators share, of each in its plainest form: residuals, dynamic exponents, logits, bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from ..numbers.formats import INT32, WEIGHT_FORMATS, CodeFormat
from ..numbers.rounding import ROUNDINGS
from ..ops import OPS
from .case import Array, Case
from .case_maker import FORMATS, Maker, Operand, Wish
from .stream import Stream

_Plain = Callable[[Maker, list[Operand], Wish], Case]


@dataclass(frozen=True)
class _Shape:
    """An operator in its plainest form: how many operands, of what shape, with which constants and attributes."""

    shapes: tuple[tuple[int, ...], ...]
    constants: Callable[[Maker], dict[str, Array]] = lambda maker: {}
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weight_format: str | None = None


def _ternary(maker: Maker, *shape: int) -> dict[str, Array]:
    """Small sums, which have room for values of 15 bits."""
    made = maker.weights(WEIGHT_FORMATS["ternary"], shape[0], shape[1], shape[2:], 2)
    made["scale"] = np.minimum(made["scale"], 20)
    return made


_SHAPES = {
    "conv": _Shape(
        ((3, 3, 4),),
        lambda maker: _ternary(maker, 3, 4, 2, 2),
        {"strides": [1, 1], "pads": [1, 0, 0, 1], "group": 1, "cluster": 2},
        "ternary",
    ),
    "fc": _Shape(((5,),), lambda maker: _ternary(maker, 3, 5), {"cluster": 2}, "ternary"),
    "batchnorm": _Shape(
        ((2, 2, 3),),
        lambda maker: {
            "sign": np.array([1, -1, 0], np.int8),
            "bias": maker.stream.integers(-5000, 5000, (3,), np.int32),
        },
    ),
    "add": _Shape(((2, 2, 3), (2, 2, 3)), attributes={"shifts": [2, 0]}),
    "avgpool": _Shape(
        ((3, 3, 2),),
        attributes={"kernel_shape": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1], "ceil_mode": False},
    ),
    "global_avgpool": _Shape(((3, 2, 3),)),
    "requantize": _Shape(((2, 3, 3),)),
    "maxpool": _Shape(
        ((3, 3, 2),),
        attributes={"kernel_shape": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1], "ceil_mode": False},
    ),
    "pad_channels": _Shape(((2, 2, 2),), attributes={"before": 1, "after": 1}),
    "flatten": _Shape(((2, 3, 2),)),
    "concat": _Shape(((2, 2, 2),)),
    "gather_channels": _Shape(((2, 2, 3),), lambda maker: {"order": np.array([2, 0, 0, 1], np.int32)}),
    "mul": _Shape(((2, 2, 3), (1, 1, 3))),
}


def residuals(turn: int) -> Iterator[Case]:
    """A residual of either format behind every operator that accumulates, by every rounding (Q5)."""
    for op in (op for op in _SHAPES if OPS[op].ACCUMULATES):
        maker = Maker(op, 1000 + turn)
        for rounding, residual in product(ROUNDINGS, FORMATS):
            wish = Wish(("Q1", "Q5"), f"residual {residual.name}, {rounding}", rounding, residual=residual)
            yield _plain(maker, op, [maker.stream.pick(FORMATS)] * 2, 0, replace(wish, bits=8))


def dynamics(turn: int) -> Iterator[Case]:
    """Operands, residuals and results whose exponents images choose, of every operator (D4, D5, D1 to D3)."""
    for op in _SHAPES:
        maker = Maker(op, 2000 + turn)
        for dynamic, fmt in product((1, 3, 7), FORMATS):
            passes = not OPS[op].ACCUMULATES
            why = f"operands dynamic by up to {dynamic}, {fmt.name}"
            yield _plain(maker, op, [fmt] * 2, dynamic, Wish(("D5",) if passes else ("D4",), why, bits=8))
            if not passes:
                clauses, why = ("D1", "D2", "D3", "D6"), f"result dynamic by up to {dynamic}"
                wish = Wish(clauses, why, form=(fmt, "none"), dynamic=dynamic, bits=8)
                yield _plain(maker, op, [fmt] * 2, 0, wish)
                wish = Wish(("D4", "Q5"), f"residual dynamic by up to {dynamic}", residual=fmt, bits=8)
                yield _plain(maker, op, [fmt] * 2, 0, replace(wish, residual_dynamic=dynamic))


def accumulators_as_logits(turn: int) -> Iterator[Case]:
    """The last layer, whose sums are not requantized, of every operator that accumulates (L1)."""
    for op in (op for op in _SHAPES if OPS[op].ACCUMULATES):
        maker = Maker(op, 3000 + turn)
        for fmt in FORMATS:
            yield _plain(maker, op, [fmt] * 2, 0, Wish(("L1",), "sums as logits", logits=True))
            wish = Wish(("L1", "Q3"), "codes of INT32 as logits", form=(INT32, "none"), bits=1, shift=1)
            yield _plain(maker, op, [fmt] * 2, 0, wish)


def _plain(maker: Maker, op: str, formats: Sequence[CodeFormat], dynamic: int, wish: Wish) -> Case:
    shape = _SHAPES[op]
    operands = [
        maker.dynamic((4, *sides), fmt, dynamic) if dynamic else maker.codes((4, *sides), fmt)
        for sides, fmt in zip(shape.shapes, formats, strict=False)
    ]
    if dynamic and op == "concat":
        operands = operands[:1]
    return maker.layer(operands, shape.constants(maker), shape.attributes, wish, shape.weight_format)


def bound(turn: int) -> Iterator[Case]:
    """The bounds of all operators that accumulate, over the ranges of codes, dynamic ones and clips (A2, A6)."""
    stream = Stream(f"bound {turn}")
    ranges = ((0, 255), (-128, 127), (0, 6), (0, 255 << 3), (-128 << 7, 127 << 7))
    for op, ends in product((op for op in _SHAPES if OPS[op].ACCUMULATES), ranges):
        maker, shape = Maker(op, 4000 + turn), _SHAPES[op]
        constants = shape.constants(maker)
        parameters = {
            "op": op,
            "attributes": dict(shape.attributes),
            "ranges": [list(ends), list(stream.pick(ranges))][: len(shape.shapes)],
            "shape": list(shape.shapes[0]),
        }
        clauses = ("A2",) if "weight" in constants else ("A6",)
        yield Case("bound", clauses, f"{op}, codes {ends[0]}..{ends[1]}", parameters, constants)
    for flip, negative in product((False, True), repeat=2):
        bias = stream.integers(-9000 if negative else 0, 9000, (3,), np.int32)
        parameters = {"op": "input", "attributes": {"flip": flip}, "ranges": [[0, 255]], "shape": [2, 2, 3]}
        yield Case("bound", ("A6",), f"input, flip {flip}", parameters, {"bias": bias})
