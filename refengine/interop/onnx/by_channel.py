"""ONNX operators of arithmetic: batch norm, sums and products, with numbers a channel or of two tensors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .activations import gated, gelu_by_erf
from .graph import Array, Node
from .layers import Layers, View, float32
from .operands import Operand, Operator, by_channels, constant_of, number_of, per_channel, view_of


def _batchnorm(
    layers: Layers, node: Node, x: Operand, gamma: Operand, beta: Operand, mean: Operand, var: Operand
) -> View:
    if not number_of(node, "spatial", 1):
        raise node.error("has spatial 0, statistics for each pixel; needed 1, one number a channel")
    if number_of(node, "training_mode", 0):
        raise node.error("is in training mode; export the network in evaluation mode")
    given = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    constants = {name: float32(node, constant_of(node, array, name)) for name, array in given.items()}
    view = by_channels(layers, node, view_of(node, x), 1)
    epsilon = number_of(node, "epsilon", 1e-5)
    return replace(view, layer=layers.append(node, "batchnorm", [view.layer], constants, epsilon=epsilon).layer)


def scaled(
    layers: Layers, node: Node, view: View, tensor: str, scale: Array | None = None, shift: Array | None = None
) -> View:
    """x * scale + shift, in the layer that made the tensor, where it may still change, or in one more."""
    view = by_channels(layers, node, view, None)
    axis = layers.channel_axis(view)
    channels = layers.shapes[view.layer][-1]
    layers.charge(node, 16 * channels)
    values = [
        np.full(channels, array.reshape(-1)[0]) if array.size == 1 else per_channel(node, array, view.shape, axis or 0)
        for array in (
            float32(node, array)
            for array in (
                np.ones(1, np.float32) if scale is None else scale,
                np.zeros(1, np.float32) if shift is None else shift,
            )
        )
    ]
    gamma, beta = values
    maker = layers.sole_maker(tensor)
    if maker is not None and maker.name == view.layer:
        if maker.op in ("conv", "fc") and scale is None and "bias" not in maker.constants:
            layers.change(maker, bias=beta)
            return view
        if maker.name in layers.affine:
            own = maker.constants
            layers.change(maker, gamma=own["gamma"] * gamma, beta=own["beta"] * gamma + beta)
            own = layers.layers[maker.name].constants
            nothing = np.all(own["gamma"] == 1) and not np.any(own["beta"])
            return replace(view, layer=maker.inputs[0]) if nothing else view
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    constants = {"gamma": gamma, "beta": beta, "mean": zeros, "var": ones}
    made = layers.append(node, "batchnorm", [view.layer], constants, epsilon=0.0)
    layers.affine.add(made.layer)
    return replace(view, layer=made.layer)


def _add(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    if isinstance(x, View) and isinstance(y, View):
        return _added(layers, node, x, y)
    view, constant, tensor = _one_constant(node, x, y)
    return scaled(layers, node, view, tensor, shift=constant)


def _one_constant(node: Node, x: Operand, y: Operand) -> tuple[View, Array, str]:
    """The operand that depends on the image, the one that does not, and the former's name."""
    if isinstance(x, View):
        return x, constant_of(node, y, "second operand"), node.inputs[0]
    return view_of(node, y), constant_of(node, x, "first operand"), node.inputs[1]


def _added(layers: Layers, node: Node, x: View, y: View) -> View:
    if x.shape == y.shape and len(x.shape) == 2 and layers.shapes[x.layer] != layers.shapes[y.layer]:
        x, y = layers.vector(node, x), layers.vector(node, y)
    if x.shape != y.shape or x.order != y.order or layers.shapes[x.layer] != layers.shapes[y.layer]:
        raise node.error(f"adds {x.shape} and {y.shape}, needed two tensors of one shape and order of axes")
    return replace(x, layer=layers.append(node, "add", [x.layer, y.layer]).layer)


def _total(layers: Layers, node: Node, *xs: Operand) -> View:
    total = view_of(node, xs[0])
    if len(xs) == 1:
        return total
    for x in xs[1:]:
        total = _added(layers, node, total, view_of(node, x))
    return total


def _average_of(layers: Layers, node: Node, *xs: Operand) -> View:
    total = _total(layers, node, *xs)
    return total if len(xs) == 1 else scaled(layers, node, total, "", np.full(1, 1 / len(xs), np.float32))


def _negative(layers: Layers, node: Node, x: Operand) -> View:
    return scaled(layers, node, view_of(node, x), node.inputs[0], np.full(1, -1, np.float32))


def _subtract(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    if isinstance(x, View) and isinstance(y, View):
        return _added(layers, node, x, scaled(layers, node, y, node.inputs[1], np.full(1, -1, np.float32)))
    view, constant, tensor = _one_constant(node, x, y)
    if view is x:
        return scaled(layers, node, view, tensor, shift=-constant)
    return scaled(layers, node, view, tensor, np.full(1, -1, np.float32), constant)


def _multiply(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    if isinstance(x, View) and isinstance(y, View):
        return _product(layers, node, x, y)
    view, constant, tensor = _one_constant(node, x, y)
    return scaled(layers, node, view, tensor, scale=constant)


def _product(layers: Layers, node: Node, x: View, y: View) -> View:
    """Two tensors of one shape, or an image and a pixel; x * sigmoid(x) and its like are one layer."""
    for one, gate in ((x, y), (y, x)):
        curve = gelu_by_erf(layers, one.layer, gate.layer)
        if curve is not None and (one.shape, one.order) == (gate.shape, gate.order):
            made = replace(one, layer=layers.append(node, "gelu", [curve[0]], tanh=False).layer)
            return made if curve[1] == 1 else scaled(layers, node, made, "", np.full(1, curve[1], np.float32))
        op = gated(layers, layers.layers[gate.layer], one.layer)
        if op is not None and (one.shape, one.order) == (gate.shape, gate.order):
            return replace(one, layer=layers.append(node, op, [one.layer]).layer)
    if math.prod(y.shape) > math.prod(x.shape):
        x, y = y, x
    if x.shape == y.shape and len(x.shape) == 2 and layers.shapes[x.layer] != layers.shapes[y.layer]:
        x, y = layers.vector(node, x), layers.vector(node, y)
    shape, other = layers.shapes[x.layer], layers.shapes[y.layer]
    alike = x.shape == y.shape and x.order == y.order and shape == other
    pixel = layers.is_image(x, x.order) and layers.is_image(y, x.order) and other == (1, 1, shape[-1])
    if not alike and not pixel:
        raise node.error(
            f"multiplies {x.shape} and {y.shape}, needed two tensors of one shape, or an image and a pixel"
        )
    return replace(x, layer=layers.append(node, "mul", [x.layer, y.layer]).layer)


def _divide(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    view, constant = view_of(node, x), float32(node, constant_of(node, y, "divisor"))
    if not np.all(constant):
        raise node.error("divides by 0")
    return scaled(layers, node, view, node.inputs[0], scale=(1 / constant.astype(np.float64)).astype(np.float32))


ARITHMETIC: dict[str, Operator] = {
    "Add": Operator(_add),
    "BatchNormalization": Operator(_batchnorm, ("epsilon", "momentum", "spatial", "training_mode")),
    "Div": Operator(_divide),
    "Mean": Operator(_average_of),
    "Mul": Operator(_multiply),
    "Neg": Operator(_negative),
    "Sub": Operator(_subtract),
    "Sum": Operator(_total),
}
