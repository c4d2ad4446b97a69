"""What each ONNX operator becomes: layers, another view of a layer, or an array.

``OPERATORS`` has an operator's function, the attributes that it understands, and whether its first operand may have a
padding that is in no layer yet.  Attributes that an operator is not known to have are refused by name: a graph without
them might be another graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ...errors import NetworkError
from ...network.float_network import MAX_SIDE, FloatLayer
from ...ops.window import output_size, spread_size
from .constants import axes_of, check_operands, fold, reason, reshaped, shape_of, slices, squeezed, unsqueezed
from .graph import Array, Node
from .layers import HWC, NO_PADS, Layers, Pads, View, float32

Value: TypeAlias = View | Array
Operand: TypeAlias = View | Array | None

MINUS_INFINITY = -3e38  # and below: what a padding holds that never wins


@dataclass(frozen=True)
class Operator:
    """An operator: its function, the names of its attributes, and whether a padded operand may come to it.

    What the function gives is the node's first result, or a list of all of them.
    """

    convert: Callable[..., Value | list[View]]
    attributes: tuple[str, ...] = ()
    padded: bool = False


def convert_node(layers: Layers, node: Node) -> None:
    """Do what a node says; NetworkError, naming it, where that cannot be said in layers."""
    operands = [layers.values.get(name) if name else None for name in node.inputs]
    for name, operand in zip(node.inputs, operands, strict=True):
        if name and operand is None:
            raise node.error(f"reads {name!r}, a second result, which no layer has")
    before = len(layers.layers)
    known = [operand for operand in operands if not isinstance(operand, View)]
    if len(known) == len(operands):
        layers.give(node, fold(node, known, layers.charge_folding), made=False)
        return
    made = _converted(layers, node, operands)
    results = made if isinstance(made, list) else [made]
    for output, result in zip(node.outputs, results, strict=False):
        layers.give(replace(node, outputs=(output,)), result, made=len(layers.layers) > before)


def _converted(layers: Layers, node: Node, operands: Sequence[Operand]) -> Value | list[View]:
    if node.op not in OPERATORS:
        raise node.error(f"is not among the operators that are read; {_advice(node)}")
    operator = OPERATORS[node.op]
    _check_node(node, operator, operands)
    check_operands(node, operator.convert, operands, (layers, node))
    try:
        return operator.convert(layers, node, *operands)
    except NetworkError:
        raise
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise node.error(f"has wrong operands or attributes{reason(error)}") from None


def _check_node(node: Node, operator: Operator, operands: Sequence[Operand]) -> None:
    """NetworkError for attributes that the operator is not known to have, and for padding that it cannot take up."""
    for name in node.attributes:
        if name not in operator.attributes:
            raise node.error(f"has the attribute {name!r}, known are: {', '.join(operator.attributes) or 'none'}")
    if not operator.padded:
        for operand in operands:
            if isinstance(operand, View) and operand.pads != NO_PADS:
                raise node.error("reads a padded image; a Pad is taken up by convolutions and pools alone")


# ------------------------------------------------------------------------------------------- operands and attributes


def _view(node: Node, operand: Operand) -> View:
    if not isinstance(operand, View):
        raise node.error("has a constant where a tensor that depends on the image was needed")
    return operand


def _known(node: Node, operand: Operand, what: str) -> Array:
    if not isinstance(operand, np.ndarray):
        raise node.error(f"needs a constant as {what}, which is computed from the image or missing")
    return operand


def _image(layers: Layers, node: Node, operand: Operand) -> View:
    view = _view(node, operand)
    if not layers.is_image(view):
        raise node.error(f"reads {view.shape}, a tensor that is no longer the image (N, C, H, W) of a layer")
    return view


def _integers(node: Node, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """An attribute of as many integers as ``default``."""
    values = node.attributes.get(name, default)
    good = isinstance(values, tuple | list) and len(values) == len(default)
    if not good or not all(isinstance(value, int) and abs(value) <= MAX_SIDE for value in values):
        raise node.error(f"attribute {name!r} is {str(values)[:80]}, needed {len(default)} integers, none too large")
    return tuple(values)


def _number(node: Node, name: str, default: Any) -> Any:
    value = node.attributes.get(name, default)
    if not isinstance(value, int | float):
        raise node.error(f"attribute {name!r} is {str(value)[:80]}, needed a number")
    return value


def _dilations(node: Node, kernel: Sequence[int]) -> tuple[int, ...]:
    """How many pixels apart the taps lie: 1 along an axis with one tap."""
    given = _integers(node, "dilations", (1, 1))
    return tuple(1 if size == 1 else step for step, size in zip(given, kernel, strict=True))


def _window(layers: Layers, node: Node, view: View, kernel: Sequence[int]) -> tuple[tuple[int, ...], Pads]:
    """Strides and the operator's own pads, those of ``auto_pad`` computed, for windows of a size."""
    strides = _integers(node, "strides", (1, 1))
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        top, left, bottom, right = _integers(node, "pads", NO_PADS)
        return strides, (top, left, bottom, right)
    if mode == "VALID":
        return strides, NO_PADS
    if mode in ("SAME_UPPER", "SAME_LOWER") and view.pads != NO_PADS:
        raise node.error(f"reads a padded image and pads it by 'auto_pad' {mode}; needed 'pads' in its place")
    if mode not in ("SAME_UPPER", "SAME_LOWER") or min(strides) < 1:
        raise node.error(f"attribute 'auto_pad' is {str(mode)[:80]!r}, needed NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    begins, ends = [], []
    for size, window, stride in zip(view.shape[2:], kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        begins.append(total - total // 2 if mode == "SAME_LOWER" else total // 2)
        ends.append(total - begins[-1])
    return strides, (begins[0], begins[1], ends[0], ends[1])


def _sum(pads: Pads, others: Pads) -> Pads:
    top, left, bottom, right = (a + b for a, b in zip(pads, others, strict=True))
    return top, left, bottom, right


# ------------------------------------------------------------------------------------------------ weights and windows


def _conv(layers: Layers, node: Node, x: Operand, weight: Operand, bias: Operand = None) -> View:
    view, weight = _image(layers, node, x), float32(node, _known(node, weight, "weight"))
    if weight.ndim != 4:
        raise node.error(f"has a weight of shape {weight.shape}, needed (O, I, KH, KW)")
    if _integers(node, "kernel_shape", weight.shape[2:]) != weight.shape[2:]:
        raise node.error(f"has kernel_shape {node.attributes['kernel_shape']}, its weight is {weight.shape}")
    if view.pads != NO_PADS and view.fill != 0:
        raise node.error(f"reads an image padded with {view.fill}, needed zeros")
    apart = _dilations(node, weight.shape[2:])
    size = [spread_size(*pair) for pair in zip(weight.shape[2:], apart, strict=True)]
    strides, pads = _window(layers, node, view, size)
    constants = {"weight": weight}
    if bias is not None:
        constants["bias"] = float32(node, _known(node, bias, "bias"))
    window: dict[str, Any] = {"strides": strides, "pads": _sum(pads, view.pads), "group": _number(node, "group", 1)}
    if apart != (1, 1):
        window["dilations"] = apart
    return layers.append(node, "conv", [view.layer], constants, **window)


def _maxpool(layers: Layers, node: Node, x: Operand) -> View:
    view = _image(layers, node, x)
    if view.pads != NO_PADS and view.fill > MINUS_INFINITY and not (view.fill == 0 and layers.is_not_negative(view)):
        raise node.error(f"reads an image padded with {view.fill}, which could win; needed a ReLU before it")
    kernel = _pool_kernel(node)
    strides, pads = _window(layers, node, view, kernel)
    return _pool(layers, node, "maxpool", view, kernel, strides, _sum(pads, view.pads))


def _pool_kernel(node: Node) -> tuple[int, ...]:
    kernel = _integers(node, "kernel_shape", (0, 0))
    if _dilations(node, kernel) != (1, 1):
        raise node.error(f"has dilations {node.attributes['dilations']}, which no pool knows here; needed 1, 1")
    return kernel


def _pool(
    layers: Layers, node: Node, op: str, view: View, kernel: Sequence[int], strides: Sequence[int], pads: Pads
) -> View:
    ceil_mode = bool(_number(node, "ceil_mode", 0))
    return layers.append(node, op, [view.layer], kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=ceil_mode)


def _average_pool(layers: Layers, node: Node, x: Operand) -> View:
    """Averages that count the padding are those of a convolution with equal weights for each channel."""
    view = _image(layers, node, x)
    kernel = _pool_kernel(node)
    strides, pads = _window(layers, node, view, kernel)
    counted = bool(_number(node, "count_include_pad", 0))
    if view.pads != NO_PADS and view.fill != 0:
        raise node.error(f"reads an image padded with {view.fill}, needed zeros")
    if view.pads != NO_PADS and pads != NO_PADS and not counted:
        raise node.error("counts the zeros of the Pad before it but not its own; needed count_include_pad, or no pads")
    if view.pads == NO_PADS and (pads == NO_PADS or not counted):
        return _pool(layers, node, "avgpool", view, kernel, strides, pads)
    pads = _sum(pads, view.pads)
    channels = view.shape[1]
    if _number(node, "ceil_mode", 0):
        grown = [
            _windows_more(size, k, s, *pads[a::2])
            for a, (size, k, s) in enumerate(_axes_of_pool(view, kernel, strides))
        ]
        if any(grown):
            return _padded_average(layers, node, view, kernel, strides, pads, grown)
    layers.charge(node, 4 * channels * math.prod(kernel))
    weight = np.full((channels, 1, *kernel), 1 / math.prod(kernel), np.float32)
    return layers.append(node, "conv", [view.layer], {"weight": weight}, strides=strides, pads=pads, group=channels)


def _axes_of_pool(view: View, kernel: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int, int]]:
    return list(zip(view.shape[2:], kernel, strides, strict=True))


def _windows_more(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """How many windows more ``ceil_mode`` gives along an axis."""
    window = (size, kernel, stride, before, after)
    return output_size(*window, ceil_mode=True) - output_size(*window)


def _padded_average(
    layers: Layers, node: Node, view: View, kernel: Sequence[int], strides: Sequence[int], pads: Pads, grown: list[int]
) -> View:
    """The image with its zeros around it, by a convolution of one tap, and averages that count what they have."""
    sides = [size + pads[axis] + pads[axis + 2] for axis, size in enumerate(view.shape[2:])]
    alike = [(side - k) % s == 0 for side, k, s in zip(sides, kernel, strides, strict=True)]
    if not all(more or even for more, even in zip(grown, alike, strict=True)):
        raise node.error("counts its padding, and ceil_mode drops a window of one axis and keeps that of the other")
    channels = view.shape[1]
    layers.charge(node, 4 * channels)
    weight = np.ones((channels, 1, 1, 1), np.float32)
    padded = layers.append(node, "conv", [view.layer], {"weight": weight}, strides=(1, 1), pads=pads, group=channels)
    return _pool(layers, node, "avgpool", padded, kernel, strides, NO_PADS)


def _global_average(layers: Layers, node: Node, x: Operand) -> View:
    return layers.append(node, "global_avgpool", [_image(layers, node, x).layer])


def _global_max(layers: Layers, node: Node, x: Operand) -> View:
    view = _image(layers, node, x)
    return _pool(layers, node, "maxpool", view, view.shape[2:], (1, 1), NO_PADS)


def _reduced(layers: Layers, node: Node, x: Operand, axes: Operand, op: str) -> View:
    """What a pool of whole rows, columns or images gives, seen without the axes that are gone."""
    view = _view(node, x)
    given = axes_of(node, None if axes is None else _known(node, axes, "axes")) or ()
    reduced = {axis % len(view.shape) for axis in given}
    window = layers.pixel_window(view, sorted(reduced))
    if window is None or 0 in view.shape:
        raise node.error(f"reduces {view.shape} over axes {given}, needed H, W or both: the pixels of an image")
    keep = _number(node, "keepdims", 1)
    sizes = [1 if axis in reduced else size for axis, size in enumerate(view.shape)]
    shape = tuple(size for axis, size in enumerate(sizes) if keep or axis not in reduced)
    if op == "avgpool" and window == layers.shapes[view.layer][:2]:
        made = layers.append(node, "global_avgpool", [view.layer])
    else:
        made = _pool(layers, node, op, view, window, (1, 1), NO_PADS)
    one = math.prod(layers.shapes[made.layer][:2]) == 1
    return replace(made, shape=shape, order=made.order if one else view.order)


def _reduce_mean(layers: Layers, node: Node, x: Operand, axes: Operand = None) -> View:
    return _reduced(layers, node, x, axes, "avgpool")


def _reduce_max(layers: Layers, node: Node, x: Operand, axes: Operand = None) -> View:
    return _reduced(layers, node, x, axes, "maxpool")


def _reduce_sum(layers: Layers, node: Node, x: Operand, axes: Operand = None) -> View:
    """A mean, times the numbers that it is of."""
    view, mean = _view(node, x), _reduced(layers, node, x, axes, "avgpool")
    count = math.prod(layers.shapes[view.layer]) // math.prod(layers.shapes[mean.layer])
    return _scaled(layers, node, mean, node.inputs[0], np.full(1, count, np.float32))


def _gemm(layers: Layers, node: Node, x: Operand, weight: Operand, bias: Operand = None) -> View:
    if _number(node, "transA", 0):
        raise node.error("has transA, which mixes the images of a batch; needed 0")
    weight = float32(node, _known(node, weight, "weight"))
    weight = weight if _number(node, "transB", 0) else weight.T
    alpha, beta = (np.float32(_number(node, name, 1.0)) for name in ("alpha", "beta"))
    made = _fully_connected(layers, node, _view(node, x), weight if alpha == 1 else weight * alpha)
    if bias is None:
        return made
    offset = float32(node, _known(node, bias, "bias"))
    offset = offset if beta == 1 else offset * beta
    layers.change(layers.layers[made.layer], bias=_per_channel(node, offset, made.shape, 1))
    return made


def _matmul(layers: Layers, node: Node, x: Operand, weight: Operand) -> View:
    view, weight = _view(node, x), float32(node, _known(node, weight, "weight"))
    if weight.ndim != 2 or any(size != 1 for size in view.shape[1:-1]):
        raise node.error(f"multiplies {view.shape} and {weight.shape}, needed vectors (N, K) and a matrix")
    made = _fully_connected(layers, node, view, weight.T)
    return replace(made, shape=(*view.shape[:-1], weight.shape[1]))


def _fully_connected(layers: Layers, node: Node, view: View, weight: Array) -> View:
    """An fc of weights (O, I); its columns go from H, W, C to C, H, W order where the view has the former."""
    if weight.ndim != 2 or view.shape != (layers.batch, *view.shape[1:-1], weight.shape[1]):
        raise node.error(f"reads {view.shape}, its weight wants (N, {weight.shape[-1]})")
    shape = layers.shapes[view.layer]
    if view.order == HWC and math.prod(shape) == weight.shape[1]:
        weight = weight.reshape(-1, *shape).transpose(0, 3, 1, 2).reshape(len(weight), -1)
    return layers.append(node, "fc", [view.layer], {"weight": weight})


# --------------------------------------------------------------------------------------------------- channel by channel


def _batchnorm(
    layers: Layers, node: Node, x: Operand, gamma: Operand, beta: Operand, mean: Operand, var: Operand
) -> View:
    if not _number(node, "spatial", 1):
        raise node.error("has spatial 0, statistics for each pixel; needed 1, one number a channel")
    if _number(node, "training_mode", 0):
        raise node.error("is in training mode; export the network in evaluation mode")
    given = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    constants = {name: float32(node, _known(node, array, name)) for name, array in given.items()}
    view = _by_channels(layers, node, _view(node, x), 1)
    epsilon = _number(node, "epsilon", 1e-5)
    return replace(view, layer=layers.append(node, "batchnorm", [view.layer], constants, epsilon=epsilon).layer)


def _by_channels(layers: Layers, node: Node, view: View, axis: int | None) -> View:
    """The view, or that of its vector, such that ``axis`` (None: any) is where the layer's channels lie."""
    found = layers.channel_axis(view)
    if found is None and len(view.shape) == 2:
        return layers.vector(node, view)
    if found is None or axis not in (None, found):
        raise node.error(f"reads {view.shape}, whose channels are not where it wants them")
    return view


def _per_channel(node: Node, array: Array, shape: tuple[int, ...], axis: int) -> Array:
    """One number a channel, of an array that is broadcast over a tensor with channels at ``axis``."""
    sizes = (1,) * (len(shape) - array.ndim) + array.shape
    alike = all(size == 1 for place, size in enumerate(sizes) if place != axis)
    if len(sizes) != len(shape) or not alike or sizes[axis] not in (1, shape[axis]):
        raise node.error(f"has a constant of shape {array.shape} for {shape}, needed one number a channel")
    return np.broadcast_to(array.reshape(-1), (shape[axis],)).copy()


def _scaled(
    layers: Layers, node: Node, view: View, tensor: str, scale: Array | None = None, shift: Array | None = None
) -> View:
    """x * scale + shift, in the layer that made the tensor, where it may still change, or in one more."""
    view = _by_channels(layers, node, view, None)
    axis = layers.channel_axis(view)
    channels = layers.shapes[view.layer][-1]
    layers.charge(node, 16 * channels)
    values = [
        np.full(channels, array.reshape(-1)[0]) if array.size == 1 else _per_channel(node, array, view.shape, axis or 0)
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
            return view
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    constants = {"gamma": gamma, "beta": beta, "mean": zeros, "var": ones}
    made = layers.append(node, "batchnorm", [view.layer], constants, epsilon=0.0)
    layers.affine.add(made.layer)
    return replace(view, layer=made.layer)


def _add(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    if isinstance(x, View) and isinstance(y, View):
        return _added(layers, node, x, y)
    view, constant, tensor = _one_constant(node, x, y)
    return _scaled(layers, node, view, tensor, shift=constant)


def _one_constant(node: Node, x: Operand, y: Operand) -> tuple[View, Array, str]:
    """The operand that depends on the image, the one that does not, and the former's name."""
    if isinstance(x, View):
        return x, _known(node, y, "second operand"), node.inputs[0]
    return _view(node, y), _known(node, x, "first operand"), node.inputs[1]


def _added(layers: Layers, node: Node, x: View, y: View) -> View:
    if x.shape == y.shape and len(x.shape) == 2 and layers.shapes[x.layer] != layers.shapes[y.layer]:
        x, y = layers.vector(node, x), layers.vector(node, y)
    if x.shape != y.shape or x.order != y.order or layers.shapes[x.layer] != layers.shapes[y.layer]:
        raise node.error(f"adds {x.shape} and {y.shape}, needed two tensors of one shape and order of axes")
    return replace(x, layer=layers.append(node, "add", [x.layer, y.layer]).layer)


def _total(layers: Layers, node: Node, *xs: Operand) -> View:
    total = _view(node, xs[0])
    if len(xs) == 1:
        return total
    for x in xs[1:]:
        total = _added(layers, node, total, _view(node, x))
    return total


def _average_of(layers: Layers, node: Node, *xs: Operand) -> View:
    total = _total(layers, node, *xs)
    return total if len(xs) == 1 else _scaled(layers, node, total, "", np.full(1, 1 / len(xs), np.float32))


def _negative(layers: Layers, node: Node, x: Operand) -> View:
    return _scaled(layers, node, _view(node, x), node.inputs[0], np.full(1, -1, np.float32))


def _subtract(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    view, constant, tensor = _one_constant(node, x, y)
    if view is x:
        return _scaled(layers, node, view, tensor, shift=-constant)
    return _scaled(layers, node, view, tensor, np.full(1, -1, np.float32), constant)


def _multiply(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    if isinstance(x, View) and isinstance(y, View):
        return _product(layers, node, x, y)
    view, constant, tensor = _one_constant(node, x, y)
    return _scaled(layers, node, view, tensor, scale=constant)


def _product(layers: Layers, node: Node, x: View, y: View) -> View:
    """Two tensors of one shape, or an image and a pixel; x * sigmoid(x) is one layer."""
    for one, gate in ((x, y), (y, x)):
        op = _gated(layers, layers.layers[gate.layer], one.layer)
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


def _gated(layers: Layers, gate: FloatLayer, x: str) -> str | None:
    """What x times its own sigmoid is called."""
    if gate.inputs != (x,):
        return None
    if gate.op == "hard_sigmoid" and gate.attributes["beta"] == 0.5:
        return "hard_swish" if np.float32(gate.attributes["alpha"]) == np.float32(1 / 6) else None
    return "silu" if gate.op == "sigmoid" else None


def _activation(op: str, *defaults: tuple[str, float]) -> Callable[..., View]:
    """A layer of one operand and attributes that are numbers."""

    def convert(layers: Layers, node: Node, x: Operand) -> View:
        view = _view(node, x)
        attributes: dict[str, Any] = {name: float(_number(node, name, default)) for name, default in defaults}
        return replace(view, layer=layers.append(node, op, [view.layer], **attributes).layer)

    return convert


def _gelu(layers: Layers, node: Node, x: Operand) -> View:
    view, kind = _view(node, x), node.attributes.get("approximate", "none")
    if kind not in ("none", "tanh"):
        raise node.error(f"attribute 'approximate' is {str(kind)[:40]!r}, needed none or tanh")
    return replace(view, layer=layers.append(node, "gelu", [view.layer], tanh=kind == "tanh").layer)


def _leaky_relu(layers: Layers, node: Node, x: Operand) -> View:
    return _sloped(layers, node, _view(node, x), np.full(1, _number(node, "alpha", 0.01), np.float32))


def _prelu(layers: Layers, node: Node, x: Operand, slope: Operand) -> View:
    return _sloped(layers, node, _view(node, x), float32(node, _known(node, slope, "slope")))


def _sloped(layers: Layers, node: Node, view: View, slope: Array) -> View:
    view = _by_channels(layers, node, view, None)
    axis, channels = layers.channel_axis(view), layers.shapes[view.layer][-1]
    layers.charge(node, 4 * channels)
    each = (
        np.full(channels, slope.reshape(-1)[0]) if slope.size == 1 else _per_channel(node, slope, view.shape, axis or 0)
    )
    return replace(view, layer=layers.append(node, "prelu", [view.layer], {"slope": each}).layer)


def _divide(layers: Layers, node: Node, x: Operand, y: Operand) -> View:
    view, constant = _view(node, x), float32(node, _known(node, y, "divisor"))
    if not np.all(constant):
        raise node.error("divides by 0")
    return _scaled(layers, node, view, node.inputs[0], scale=(1 / constant.astype(np.float64)).astype(np.float32))


def _relu(layers: Layers, node: Node, x: Operand) -> View:
    return _clamped(layers, node, _view(node, x), 0.0, math.inf)


def _clip(layers: Layers, node: Node, x: Operand, low: Operand = None, high: Operand = None) -> View:
    """Attributes up to opset 10, operands from 11 on."""
    ends = {"min": -math.inf, "max": math.inf}
    for (name, default), operand in zip(ends.items(), (low, high), strict=True):
        ends[name] = _number(node, name, default) if operand is None else _scalar(node, operand, name)
    return _clamped(layers, node, _view(node, x), ends["min"], ends["max"])


def _scalar(node: Node, operand: Operand, what: str) -> float:
    array = _known(node, operand, what)
    if array.size != 1:
        raise node.error(f"reads {array.shape} numbers as {what}, needed one")
    return float(array.reshape(-1)[0])


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
    return views[0], [_scalar(node, x, "operand") for x in xs if x is not views[0]]


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


def _concat(layers: Layers, node: Node, *xs: Operand) -> View:
    views = [_view(node, x) for x in xs]
    axis = _number(node, "axis", None) % len(views[0].shape)
    if len(views[0].shape) == 2 and any(len(layers.shapes[view.layer]) == 3 for view in views):
        views = [layers.vector(node, view) for view in views]
    first = views[0]
    if any(layers.channel_axis(view) != axis or view.order != first.order for view in views):
        raise node.error(
            f"puts {', '.join(str(v.shape) for v in views[:4])} side by side along axis {axis}, needed the channels"
        )
    made = layers.append(node, "concat", [view.layer for view in views])
    shape = [*first.shape]
    shape[axis] = sum(view.shape[axis] for view in views)
    return replace(first, layer=made.layer, shape=tuple(shape))


# ------------------------------------------------------------------------------------------------- padding and slicing


def _pad(
    layers: Layers, node: Node, x: Operand, pads: Operand = None, fill: Operand = None, axes: Operand = None
) -> View:
    """Zero channels are a layer; rows and columns wait for the convolution or the pool that comes next."""
    view = _view(node, x)
    mode, rank = node.attributes.get("mode", "constant"), len(view.shape)
    if mode != "constant":
        raise node.error(f"has mode {str(mode)[:40]!r}, needed constant")
    given = node.attributes.get("pads") if pads is None else _known(node, pads, "pads").reshape(-1).tolist()
    places = range(rank) if axes is None else [int(axis) % rank for axis in _known(node, axes, "axes").reshape(-1)]
    counts = [int(count) for count in given or ()]
    if len(counts) != 2 * len(places) or min(counts) < 0:
        raise node.error(f"has pads {str(given)[:80]}, needed {2 * len(places)} numbers, none below 0")
    value = _number(node, "value", 0.0) if fill is None else _scalar(node, fill, "value")
    margins = dict(zip(places, zip(counts, counts[len(places) :], strict=False), strict=True))
    margins = {axis: pair for axis, pair in margins.items() if pair != (0, 0)}
    if not margins:
        return view
    order = next((order for order in ("CHW", "HWC") if layers.is_image(view, order)), None)
    if order is None or 0 in margins or (view.pads != NO_PADS and view.fill != value):
        raise node.error(f"pads {view.shape} by {counts}, needed an image padded in rows, columns or channels")
    if 1 + order.index("C") in margins:
        before, after = margins[1 + order.index("C")]
        if value != 0:
            raise node.error(f"pads channels with {value}, needed zeros")
        made = layers.append(node, "pad_channels", [view.layer], before=before, after=after)
        shape = [*view.shape]
        shape[1 + order.index("C")] += before + after
        view = replace(view, layer=made.layer, shape=tuple(shape))
    (top, bottom), (left, right) = (margins.get(1 + order.index(axis), (0, 0)) for axis in "HW")
    return replace(view, pads=_sum(view.pads, (top, left, bottom, right)), fill=value)


def _slice(layers: Layers, node: Node, x: Operand, *operands: Operand) -> View:
    """Every second row and column is a pool of single pixels; some of the channels are gathered."""
    view = _view(node, x)
    arrays = [None if operand is None else _known(node, operand, "range") for operand in operands]
    taken = [part.indices(size) for part, size in zip(slices(node, len(view.shape), *arrays), view.shape, strict=True)]
    if all(part == (0, size, 1) for part, size in zip(taken, view.shape, strict=True)):
        return view
    axis = layers.channel_axis(view)
    elsewhere = [
        part == (0, size, 1) or a == axis for a, (part, size) in enumerate(zip(taken, view.shape, strict=True))
    ]
    if axis is not None and all(elsewhere):
        return layers.gathered(node, view, axis, range(*taken[axis]))
    whole = all(start == 0 and stop == size for (start, stop, _), size in zip(taken, view.shape, strict=True))
    steps = [step for _, _, step in taken]
    if not whole or not layers.is_image(view) or steps[:2] != [1, 1] or min(steps) < 1:
        raise node.error(f"cuts {view.shape}, needed whole axes or every n-th row and column of an image")
    return layers.append(
        node, "maxpool", [view.layer], kernel_shape=(1, 1), strides=steps[2:], pads=NO_PADS, ceil_mode=False
    )


def _gather(layers: Layers, node: Node, x: Operand, indices: Operand) -> View:
    """Channels by their numbers; one number alone takes its axis away."""
    view, numbers = _view(node, x), _known(node, indices, "indices")
    axis = _number(node, "axis", 0) % len(view.shape)
    if numbers.ndim > 1 or layers.channel_axis(view) != axis:
        raise node.error(f"gathers along axis {axis} of {view.shape}, needed a row of the channels")
    found = layers.gathered(node, view, axis, numbers.reshape(-1).tolist())
    shape = found.shape if numbers.ndim else tuple(size for a, size in enumerate(found.shape) if a != axis)
    return replace(found, shape=shape)


def _split(layers: Layers, node: Node, x: Operand, sizes: Operand = None) -> list[View]:
    """A view for each of the node's outputs: neighbouring channels."""
    view, count = _view(node, x), len(node.outputs)
    axis = _number(node, "axis", 0) % len(view.shape)
    if layers.channel_axis(view) != axis:
        raise node.error(f"splits {view.shape} along axis {axis}, needed the channels")
    whole, given = view.shape[axis], node.attributes.get("split")
    each = -(-whole // count)
    lengths = [min(each, max(whole - k * each, 0)) for k in range(count)] if given is None else list(given)
    if sizes is not None:
        lengths = _known(node, sizes, "split").reshape(-1).tolist()
    if len(lengths) != count or min(lengths) < 1 or sum(lengths) != whole:
        raise node.error(f"splits {whole} channels into {str(lengths)[:80]}, needed {count} numbers with that sum")
    ends = np.cumsum(lengths).tolist()
    return [
        layers.gathered(node, view, axis, range(end - length, end)) for length, end in zip(lengths, ends, strict=True)
    ]


# ---------------------------------------------------------------------------------------------------------- other views


def _reshape(layers: Layers, node: Node, x: Operand, target: Operand) -> View:
    view = _view(node, x)
    keep_zero = bool(_number(node, "allowzero", 0))
    return _seen_as(layers, node, view, reshaped(view.shape, _known(node, target, "shape"), keep_zero))


def _seen_as(layers: Layers, node: Node, view: View, shape: tuple[int, ...]) -> View:
    if shape[:1] != (layers.batch,):
        raise node.error(f"makes {shape} of {view.shape}, needed the batch of {layers.batch} in front as it was")
    return replace(view, shape=shape)


def _flatten(layers: Layers, node: Node, x: Operand) -> View:
    view = _view(node, x)
    axis = _number(node, "axis", 1)
    axis += len(view.shape) if axis < 0 else 0
    return _seen_as(layers, node, view, (math.prod(view.shape[:axis]), math.prod(view.shape[axis:])))


def _squeeze(layers: Layers, node: Node, x: Operand, axes: Operand = None) -> View:
    view, given = _view(node, x), None if axes is None else _known(node, axes, "axes")
    return _seen_as(layers, node, view, squeezed(view.shape, axes_of(node, given)))


def _unsqueeze(layers: Layers, node: Node, x: Operand, axes: Operand = None) -> View:
    view, given = _view(node, x), None if axes is None else _known(node, axes, "axes")
    return _seen_as(layers, node, view, unsqueezed(view.shape, axes_of(node, given) or ()))


def _transpose(layers: Layers, node: Node, x: Operand) -> View:
    view = _view(node, x)
    perm = node.attributes.get("perm", tuple(reversed(range(len(view.shape)))))
    seen = layers.transposed(view, perm) or layers.shuffled(node, view, perm)
    if seen is None:
        raise node.error(f"turns {view.shape} by {perm}, needed an image between (N, C, H, W) and (N, H, W, C)")
    return seen


def _same(layers: Layers, node: Node, x: Operand, *ratio: Operand) -> View:
    return _view(node, x)


def _dropout(layers: Layers, node: Node, x: Operand, ratio: Operand = None, training: Operand = None) -> View:
    if training is not None and np.any(_known(node, training, "training mode")):
        raise node.error("is in training mode; export the network in evaluation mode")
    return _view(node, x)


def _cast(layers: Layers, node: Node, x: Operand) -> View:
    if _number(node, "to", 0) != 1:
        raise node.error("makes other numbers of float32, needed float32 throughout")
    return _view(node, x)


def _shape(layers: Layers, node: Node, x: Operand) -> Array:
    return shape_of(node, _view(node, x).shape)


_CLAMPS = ("Clip", "Max", "Min", "Relu")
_WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
_AXES = ("axes",)
_REDUCE = ("axes", "keepdims", "noop_with_empty_axes")

OPERATORS: dict[str, Operator] = {
    "Add": Operator(_add),
    "AveragePool": Operator(_average_pool, (*_WINDOW, "ceil_mode", "count_include_pad"), padded=True),
    "BatchNormalization": Operator(_batchnorm, ("epsilon", "momentum", "spatial", "training_mode")),
    "Cast": Operator(_cast, ("to", "saturate", "round_mode")),
    "Clip": Operator(_clip, ("min", "max")),
    "Concat": Operator(_concat, ("axis",)),
    "Conv": Operator(_conv, (*_WINDOW, "group"), padded=True),
    "Div": Operator(_divide),
    "Dropout": Operator(_dropout, ("ratio", "seed")),
    "Elu": Operator(_activation("elu", ("alpha", 1.0)), ("alpha",)),
    "Flatten": Operator(_flatten, ("axis",)),
    "Gather": Operator(_gather, ("axis",)),
    "Gelu": Operator(_gelu, ("approximate",)),
    "Gemm": Operator(_gemm, ("alpha", "beta", "transA", "transB")),
    "GlobalAveragePool": Operator(_global_average),
    "GlobalMaxPool": Operator(_global_max),
    "HardSigmoid": Operator(_activation("hard_sigmoid", ("alpha", 0.2), ("beta", 0.5)), ("alpha", "beta")),
    "HardSwish": Operator(_activation("hard_swish")),
    "Identity": Operator(_same, padded=True),
    "LeakyRelu": Operator(_leaky_relu, ("alpha",)),
    "MatMul": Operator(_matmul),
    "Max": Operator(_larger),
    "MaxPool": Operator(_maxpool, (*_WINDOW, "ceil_mode", "storage_order"), padded=True),
    "Mean": Operator(_average_of),
    "Min": Operator(_smaller),
    "Mul": Operator(_multiply),
    "Neg": Operator(_negative),
    "PRelu": Operator(_prelu),
    "Pad": Operator(_pad, ("mode", "pads", "value"), padded=True),
    "ReduceMax": Operator(_reduce_max, _REDUCE),
    "ReduceMean": Operator(_reduce_mean, _REDUCE),
    "ReduceSum": Operator(_reduce_sum, _REDUCE),
    "Relu": Operator(_relu),
    "Reshape": Operator(_reshape, ("allowzero",)),
    "Shape": Operator(_shape, ("start", "end")),
    "Sigmoid": Operator(_activation("sigmoid")),
    "Slice": Operator(_slice, ("starts", "ends", "axes")),
    "Split": Operator(_split, ("axis", "split", "num_outputs")),
    "Squeeze": Operator(_squeeze, _AXES),
    "Sub": Operator(_subtract),
    "Sum": Operator(_total),
    "Swish": Operator(_activation("silu")),
    "Tanh": Operator(_activation("tanh")),
    "Transpose": Operator(_transpose, ("perm",), padded=True),
    "Unsqueeze": Operator(_unsqueeze, _AXES),
}

_OTHER_ADVICE = "replace it by operators that are (docs/interop.md) and export again"
_TRAIN = "train the network with an activation that is (docs/interop.md) in its place"
_CUT = "cut the graph before it (onnx.utils.extract_model)"
_NORM = "it divides by sums over channels, which no layer does; put a BatchNormalization in its place and train again"
_EXPORT_FLOATS = "export the float network, before it was quantized"
ADVICE = {
    **dict.fromkeys(("Celu", "Mish", "Selu", "Softplus", "Softsign", "ThresholdedRelu"), _TRAIN),
    **dict.fromkeys(("InstanceNormalization", "LRN", "LayerNormalization", "LpNormalization"), _NORM),
    **dict.fromkeys(("ArgMax", "LogSoftmax", "NonMaxSuppression", "Softmax", "TopK"), _CUT),
    **dict.fromkeys(
        ("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QuantizeLinear"), _EXPORT_FLOATS
    ),
}


def _advice(node: Node) -> str:
    return ADVICE.get(node.op, _OTHER_ADVICE)
