"""ONNX operators over windows or whole images: convolutions, pools, reductions, and products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...ops.window import output_size, spread_size
from .by_channel import scaled
from .constants import axes_of
from .graph import Array, Node
from .layers import HWC, NO_PADS, Layers, Pads, View, float32
from .operands import (
    MINUS_INFINITY,
    Operand,
    Operator,
    constant_of,
    image_of,
    integers_of,
    number_of,
    per_channel,
    sum_of_pads,
    view_of,
)

_WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
_REDUCE = ("axes", "keepdims", "noop_with_empty_axes")


def _dilations(node: Node, kernel: Sequence[int]) -> tuple[int, ...]:
    """How many pixels apart the taps lie: 1 along an axis with one tap."""
    given = integers_of(node, "dilations", (1, 1))
    return tuple(1 if size == 1 else step for step, size in zip(given, kernel, strict=True))


def _window(layers: Layers, node: Node, view: View, kernel: Sequence[int]) -> tuple[tuple[int, ...], Pads]:
    """Strides and the operator's own pads, those of ``auto_pad`` computed, for windows of a size."""
    strides = integers_of(node, "strides", (1, 1))
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        top, left, bottom, right = integers_of(node, "pads", NO_PADS)
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


def _conv(layers: Layers, node: Node, x: Operand, weight: Operand, bias: Operand = None) -> View:
    weight = float32(node, constant_of(node, weight, "weight"))
    if weight.ndim == 3 and isinstance(x, View) and layers.shapes[x.layer] == (1, 1, x.shape[-1]):
        return _along_channels(layers, node, x, weight, bias)
    view = image_of(layers, node, x)
    if weight.ndim != 4:
        raise node.error(f"has a weight of shape {weight.shape}, needed (O, I, KH, KW)")
    if integers_of(node, "kernel_shape", weight.shape[2:]) != weight.shape[2:]:
        raise node.error(f"has kernel_shape {node.attributes['kernel_shape']}, its weight is {weight.shape}")
    if view.pads != NO_PADS and view.fill != 0:
        raise node.error(f"reads an image padded with {view.fill}, needed zeros")
    apart = _dilations(node, weight.shape[2:])
    size = [spread_size(*pair) for pair in zip(weight.shape[2:], apart, strict=True)]
    strides, pads = _window(layers, node, view, size)
    constants = {"weight": weight}
    if bias is not None:
        constants["bias"] = float32(node, constant_of(node, bias, "bias"))
    window: dict[str, Any] = {
        "strides": strides,
        "pads": sum_of_pads(pads, view.pads),
        "group": number_of(node, "group", 1),
    }
    if apart != (1, 1):
        window["dilations"] = apart
    return layers.append(node, "conv", [view.layer], constants, **window)


def _along_channels(layers: Layers, node: Node, view: View, weight: Array, bias: Operand) -> View:
    """A 1-D convolution of one pixel's channels (N, 1, C), as ECA gates them: a 1x1 of a band of weights."""
    if weight.shape[:2] != (1, 1) or len(view.shape) != 3 or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise node.error(
            f"has a weight of shape {weight.shape}, needed (O, I, KH, KW), or (1, 1, K) along the channels"
        )
    channels, taps = view.shape[-1], weight.reshape(-1)
    (stride,), (apart,) = integers_of(node, "strides", (1,)), integers_of(node, "dilations", (1,))
    before, after = integers_of(node, "pads", (0, 0))
    spread, padded = spread_size(len(taps), apart), channels + before + after
    possible = len(taps) and min(stride, apart) > 0 and min(before, after) >= 0 and spread <= padded
    if not possible or view.pads != NO_PADS:
        raise node.error(f"has no window of {spread} along {channels} channels padded by {before} and {after}")
    starts = np.arange(0, padded - spread + 1, stride) - before
    layers.charge(node, 4 * channels * len(starts))
    band = np.zeros((len(starts), channels, 1, 1), np.float32)
    for number, tap in enumerate(taps):
        sees = starts + number * apart
        inside = (sees >= 0) & (sees < channels)
        band[np.flatnonzero(inside), sees[inside], 0, 0] = tap
    constants = {"weight": band}
    if bias is not None:
        offset = float32(node, constant_of(node, bias, "bias"))
        if offset.shape != (1,):
            raise node.error(f"has a bias of shape {offset.shape}, needed (1,)")
        constants["bias"] = np.full(len(starts), offset[0])
    made = layers.append(node, "conv", [view.layer], constants, strides=(1, 1), pads=NO_PADS, group=1)
    return replace(made, shape=(layers.batch, 1, len(starts)))


def _maxpool(layers: Layers, node: Node, x: Operand) -> View:
    view = image_of(layers, node, x)
    if view.pads != NO_PADS and view.fill > MINUS_INFINITY and not (view.fill == 0 and layers.is_not_negative(view)):
        raise node.error(f"reads an image padded with {view.fill}, which could win; needed a ReLU before it")
    kernel = integers_of(node, "kernel_shape", (0, 0))
    apart = _dilations(node, kernel)
    strides, pads = _window(layers, node, view, _spread(node, kernel, apart))
    pads = sum_of_pads(pads, view.pads)
    if apart == (1, 1):
        return _pool(layers, node, "maxpool", view, kernel, strides, pads)
    return _dilated_maxpool(layers, node, view, kernel, strides, pads, apart)


def _spread(node: Node, kernel: Sequence[int], apart: Sequence[int]) -> tuple[int, ...]:
    """The sides of windows whose taps lie ``apart``."""
    if min(apart) < 1:
        raise node.error(f"has dilations {node.attributes['dilations']}, needed 1 or more")
    return tuple(spread_size(*pair) for pair in zip(kernel, apart, strict=True))


def _dilated_maxpool(
    layers: Layers,
    node: Node,
    view: View,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Pads,
    apart: Sequence[int],
) -> View:
    """A pool of every n-th row and column, which are all that windows see that begin there, n pixels apart each."""
    steps = (*strides, *pads)
    if any(step % apart[axis % 2] for axis, step in enumerate(steps)) or number_of(node, "ceil_mode", 0):
        raise node.error(
            f"has dilations {tuple(apart)}, strides {tuple(strides)} and pads {pads}; a dilated pool needs strides and "
            "pads that are multiples of its dilations, and no ceil_mode"
        )
    seen = _pool(layers, node, "maxpool", view, (1, 1), apart, NO_PADS)
    rows, columns = apart
    top, left, bottom, right = pads
    fewer = (top // rows, left // columns, bottom // rows, right // columns)
    closer = [stride // step for stride, step in zip(strides, apart, strict=True)]
    return _pool(layers, node, "maxpool", seen, kernel, closer, fewer)


def _pool(
    layers: Layers, node: Node, op: str, view: View, kernel: Sequence[int], strides: Sequence[int], pads: Pads
) -> View:
    ceil_mode = bool(number_of(node, "ceil_mode", 0))
    return layers.append(node, op, [view.layer], kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=ceil_mode)


def _average_pool(layers: Layers, node: Node, x: Operand) -> View:
    """Averages that count the padding are those of a convolution with equal weights for each channel."""
    view = image_of(layers, node, x)
    kernel = integers_of(node, "kernel_shape", (0, 0))
    apart = _dilations(node, kernel)
    spread = _spread(node, kernel, apart)
    strides, pads = _window(layers, node, view, spread)
    counted = bool(number_of(node, "count_include_pad", 0))
    if view.pads != NO_PADS and view.fill != 0:
        raise node.error(f"reads an image padded with {view.fill}, needed zeros")
    if view.pads != NO_PADS and pads != NO_PADS and not counted:
        raise node.error("counts the zeros of the Pad before it but not its own; needed count_include_pad, or no pads")
    if apart != (1, 1) and not (counted or pads == NO_PADS):
        raise node.error(
            f"has dilations {apart} and pads {pads} that are not counted; needed count_include_pad, or none"
        )
    if apart == (1, 1) and view.pads == NO_PADS and (pads == NO_PADS or not counted):
        return _pool(layers, node, "avgpool", view, kernel, strides, pads)
    pads = sum_of_pads(pads, view.pads)
    channels = view.shape[1]
    if number_of(node, "ceil_mode", 0):
        grown = [
            _windows_more(size, k, s, *pads[a::2])
            for a, (size, k, s) in enumerate(_axes_of_pool(view, spread, strides))
        ]
        if any(grown) and apart != (1, 1):
            raise node.error(f"has dilations {apart}, and ceil_mode adds windows over the edge; needed ceil_mode 0")
        if any(grown):
            return _padded_average(layers, node, view, kernel, strides, pads, grown)
    layers.charge(node, 4 * channels * math.prod(kernel))
    weight = np.full((channels, 1, *kernel), 1 / math.prod(kernel), np.float32)
    window: dict[str, Any] = {"strides": strides, "pads": pads, "group": channels}
    if apart != (1, 1):
        window["dilations"] = apart
    return layers.append(node, "conv", [view.layer], {"weight": weight}, **window)


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
    return layers.append(node, "global_avgpool", [image_of(layers, node, x).layer])


def _global_max(layers: Layers, node: Node, x: Operand) -> View:
    view = image_of(layers, node, x)
    return _pool(layers, node, "maxpool", view, view.shape[2:], (1, 1), NO_PADS)


def _reduced(layers: Layers, node: Node, x: Operand, axes: Operand, op: str) -> View:
    """What a pool of whole rows, columns or images gives, seen without the axes that are gone."""
    view = view_of(node, x)
    given = axes_of(node, None if axes is None else constant_of(node, axes, "axes")) or ()
    reduced = {axis % len(view.shape) for axis in given}
    window = layers.pixel_window(view, sorted(reduced))
    if window is None or 0 in view.shape:
        raise node.error(f"reduces {view.shape} over axes {given}, needed H, W or both: the pixels of an image")
    keep = number_of(node, "keepdims", 1)
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
    view, mean = view_of(node, x), _reduced(layers, node, x, axes, "avgpool")
    count = math.prod(layers.shapes[view.layer]) // math.prod(layers.shapes[mean.layer])
    return scaled(layers, node, mean, node.inputs[0], np.full(1, count, np.float32))


def _gemm(layers: Layers, node: Node, x: Operand, weight: Operand, bias: Operand = None) -> View:
    if number_of(node, "transA", 0):
        raise node.error("has transA, which mixes the images of a batch; needed 0")
    weight = float32(node, constant_of(node, weight, "weight"))
    weight = weight if number_of(node, "transB", 0) else weight.T
    alpha, beta = (np.float32(number_of(node, name, 1.0)) for name in ("alpha", "beta"))
    made = _fully_connected(layers, node, view_of(node, x), weight if alpha == 1 else weight * alpha)
    if bias is None:
        return made
    offset = float32(node, constant_of(node, bias, "bias"))
    offset = offset if beta == 1 else offset * beta
    layers.change(layers.layers[made.layer], bias=per_channel(node, offset, made.shape, 1))
    return made


def _matmul(layers: Layers, node: Node, x: Operand, weight: Operand) -> View:
    view, weight = view_of(node, x), float32(node, constant_of(node, weight, "weight"))
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


WINDOWS: dict[str, Operator] = {
    "AveragePool": Operator(_average_pool, (*_WINDOW, "ceil_mode", "count_include_pad"), padded=True),
    "Conv": Operator(_conv, (*_WINDOW, "group"), padded=True),
    "Gemm": Operator(_gemm, ("alpha", "beta", "transA", "transB")),
    "GlobalAveragePool": Operator(_global_average),
    "GlobalMaxPool": Operator(_global_max),
    "MatMul": Operator(_matmul),
    "MaxPool": Operator(_maxpool, (*_WINDOW, "ceil_mode", "storage_order"), padded=True),
    "ReduceMax": Operator(_reduce_max, _REDUCE),
    "ReduceMean": Operator(_reduce_mean, _REDUCE),
    "ReduceSum": Operator(_reduce_sum, _REDUCE),
}
