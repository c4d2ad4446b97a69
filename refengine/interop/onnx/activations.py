"""ONNX operators that are activations: ReLUs and clips, and the functions that become tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...network.float_layer import FloatLayer
from .graph import Array, Node
from .layers import Layers, View, float32
from .operands import (
    MINUS_INFINITY,
    Operand,
    Operator,
    by_channels,
    constant_of,
    number_of,
    per_channel,
    scalar_of,
    view_of,
)

_CLAMPS = ("Clip", "Max", "Min", "Relu")


_CLOSE = 2.0**-22  # of a factor: what float32 rounds away of 1 / sqrt(2), twice


def gated(layers: Layers, gate: FloatLayer, x: str) -> str | None:
    """What x times its own sigmoid, or x * tanh(softplus(x)), is called."""
    if gate.op == "tanh":
        inner = layers.layers[gate.inputs[0]]
        return "mish" if inner.op == "softplus" and inner.inputs == (x,) else None
    if gate.inputs != (x,):
        return None
    if gate.op == "hard_sigmoid" and gate.attributes["beta"] == 0.5:
        return "hard_swish" if np.float32(gate.attributes["alpha"]) == np.float32(1 / 6) else None
    return "silu" if gate.op == "sigmoid" else None


def gelu_by_erf(layers: Layers, x: str, gate: str) -> tuple[str, float] | None:
    """The layer v and the factor f where x is a * v and the gate b * (1 + erf(v / sqrt(2))): f * gelu(v), f = 2 a b."""
    line = _line(layers, gate)
    curve = None if line is None else layers.layers[line[0]]
    if line is None or curve is None or curve.op != "erf" or line[1] != line[2]:
        return None
    inner = _line(layers, curve.inputs[0])
    if inner is None or inner[2] != 0 or abs(inner[1] * math.sqrt(2) - 1) > _CLOSE:
        return None
    outer = (x, 1.0, 0.0) if x == inner[0] else _line(layers, x)
    if outer is None or outer[0] != inner[0] or outer[2] != 0:
        return None
    return inner[0], 2 * outer[1] * line[1]


def _line(layers: Layers, name: str) -> tuple[str, float, float] | None:
    """What a layer of one factor and one addend for all channels reads, the two; None for another layer."""
    if name not in layers.affine:
        return None
    layer = layers.layers[name]
    factors, addends = ({*layer.constants[which].tolist()} for which in ("gamma", "beta"))
    return (layer.inputs[0], *factors, *addends) if len(factors) == len(addends) == 1 else None


def _activation(op: str, *defaults: tuple[str, float]) -> Callable[..., View]:
    """A layer of one operand and attributes that are numbers."""

    def convert(layers: Layers, node: Node, x: Operand) -> View:
        view = view_of(node, x)
        attributes: dict[str, Any] = {name: float(number_of(node, name, default)) for name, default in defaults}
        return replace(view, layer=layers.append(node, op, [view.layer], **attributes).layer)

    return convert


def _gelu(layers: Layers, node: Node, x: Operand) -> View:
    view, kind = view_of(node, x), node.attributes.get("approximate", "none")
    if kind not in ("none", "tanh"):
        raise node.error(f"attribute 'approximate' is {str(kind)[:40]!r}, needed none or tanh")
    return replace(view, layer=layers.append(node, "gelu", [view.layer], tanh=kind == "tanh").layer)


def _leaky_relu(layers: Layers, node: Node, x: Operand) -> View:
    return _sloped(layers, node, view_of(node, x), np.full(1, number_of(node, "alpha", 0.01), np.float32))


def _prelu(layers: Layers, node: Node, x: Operand, slope: Operand) -> View:
    return _sloped(layers, node, view_of(node, x), float32(node, constant_of(node, slope, "slope")))


def _sloped(layers: Layers, node: Node, view: View, slope: Array) -> View:
    view = by_channels(layers, node, view, None)
    axis, channels = layers.channel_axis(view), layers.shapes[view.layer][-1]
    layers.charge(node, 4 * channels)
    each = (
        np.full(channels, slope.reshape(-1)[0]) if slope.size == 1 else per_channel(node, slope, view.shape, axis or 0)
    )
    return replace(view, layer=layers.append(node, "prelu", [view.layer], {"slope": each}).layer)


def _relu(layers: Layers, node: Node, x: Operand) -> View:
    return _clamped(layers, node, view_of(node, x), 0.0, math.inf)


def _clip(layers: Layers, node: Node, x: Operand, low: Operand = None, high: Operand = None) -> View:
    """Attributes up to opset 10, operands from 11 on."""
    ends = {"min": -math.inf, "max": math.inf}
    for (name, default), operand in zip(ends.items(), (low, high), strict=True):
        ends[name] = number_of(node, name, default) if operand is None else scalar_of(node, operand, name)
    return _clamped(layers, node, view_of(node, x), ends["min"], ends["max"])


def _larger(layers: Layers, node: Node, *xs: Operand) -> View:
    view, numbers = _one_view(node, xs)
    return _clamped(layers, node, view, max(numbers, default=-math.inf), math.inf)


def _smaller(layers: Layers, node: Node, *xs: Operand) -> View:
    view, numbers = _one_view(node, xs)
    return _clamped(layers, node, view, -math.inf, min(numbers, default=math.inf))


def _one_view(node: Node, xs: Sequence[Operand]) -> tuple[View, list[float]]:
    """The operand that depends on the image, and the others, each one number."""
    views = [x for x in xs if isinstance(x, View)]
    if len(views) != 1:
        raise node.error(f"compares {len(views)} tensors that depend on the image, needed one, and numbers")
    return views[0], [scalar_of(node, x, "operand") for x in xs if x is not views[0]]


def _clamped(layers: Layers, node: Node, view: View, low: float, high: float) -> View:
    """A relu, where the lower end is 0, else a clip; an upper end alone waits for a next node that may bring 0."""
    high, view = min(high, view.most), replace(view, most=math.inf)
    if layers.is_not_negative(view):
        low = max(low, 0.0)
    unbounded = high >= -MINUS_INFINITY
    if low <= MINUS_INFINITY and unbounded:
        return view
    waits = high > 0 and all(one and one.op in _CLAMPS for one in layers.readers(node.outputs[0]))
    if low <= MINUS_INFINITY and waits:
        return replace(view, most=high)
    if low != 0 or not high > 0:
        if not low < high:
            raise node.error(f"clips to {low}..{high}, needed a lower end below the upper one")
        low, high = max(low, MINUS_INFINITY), min(high, -MINUS_INFINITY)
        return replace(view, layer=layers.append(node, "clip", [view.layer], low=low, high=high).layer)
    ends: dict[str, Any] = {} if unbounded else {"max": high}
    return replace(view, layer=layers.append(node, "relu", [view.layer], **ends).layer)


ACTIVATIONS: dict[str, Operator] = {
    "Clip": Operator(_clip, ("min", "max")),
    "Elu": Operator(_activation("elu", ("alpha", 1.0)), ("alpha",)),
    "Erf": Operator(_activation("erf")),
    "Gelu": Operator(_gelu, ("approximate",)),
    "HardSigmoid": Operator(_activation("hard_sigmoid", ("alpha", 0.2), ("beta", 0.5)), ("alpha", "beta")),
    "HardSwish": Operator(_activation("hard_swish")),
    "LeakyRelu": Operator(_leaky_relu, ("alpha",)),
    "Max": Operator(_larger),
    "Min": Operator(_smaller),
    "Mish": Operator(_activation("mish")),
    "PRelu": Operator(_prelu),
    "Relu": Operator(_relu),
    "Sigmoid": Operator(_activation("sigmoid")),
    "Softplus": Operator(_activation("softplus")),
    "Swish": Operator(_activation("silu")),
    "Tanh": Operator(_activation("tanh")),
}
