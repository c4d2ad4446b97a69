"""What the functions of ONNX operators share: operands and attributes, checked, and what an operator is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ...network.float_layer import MAX_SIDE
from .graph import Array, Node
from .layers import Layers, Pads, View

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


def view_of(node: Node, operand: Operand) -> View:
    if not isinstance(operand, View):
        raise node.error("has a constant where a tensor that depends on the image was needed")
    return operand


def constant_of(node: Node, operand: Operand, what: str) -> Array:
    if not isinstance(operand, np.ndarray):
        raise node.error(f"needs a constant as {what}, which is computed from the image or missing")
    return operand


def image_of(layers: Layers, node: Node, operand: Operand) -> View:
    view = view_of(node, operand)
    if not layers.is_image(view):
        raise node.error(f"reads {view.shape}, a tensor that is no longer the image (N, C, H, W) of a layer")
    return view


def integers_of(node: Node, name: str, default: Sequence[int]) -> tuple[int, ...]:
    """An attribute of as many integers as ``default``."""
    values = node.attributes.get(name, default)
    good = isinstance(values, tuple | list) and len(values) == len(default)
    if not good or not all(isinstance(value, int) and abs(value) <= MAX_SIDE for value in values):
        raise node.error(f"attribute {name!r} is {str(values)[:80]}, needed {len(default)} integers, none too large")
    return tuple(values)


def number_of(node: Node, name: str, default: Any) -> Any:
    value = node.attributes.get(name, default)
    if not isinstance(value, int | float):
        raise node.error(f"attribute {name!r} is {str(value)[:80]}, needed a number")
    return value


def scalar_of(node: Node, operand: Operand, what: str) -> float:
    array = constant_of(node, operand, what)
    if array.size != 1:
        raise node.error(f"reads {array.shape} numbers as {what}, needed one")
    return float(array.reshape(-1)[0])


def sum_of_pads(pads: Pads, others: Pads) -> Pads:
    top, left, bottom, right = (a + b for a, b in zip(pads, others, strict=True))
    return top, left, bottom, right


def by_channels(layers: Layers, node: Node, view: View, axis: int | None) -> View:
    """The view, or that of its vector, such that ``axis`` (None: any) is where the layer's channels lie."""
    found = layers.channel_axis(view)
    if found is None and len(view.shape) == 2:
        return layers.vector(node, view)
    if found is None or axis not in (None, found):
        raise node.error(f"reads {view.shape}, whose channels are not where it wants them")
    return view


def per_channel(node: Node, array: Array, shape: tuple[int, ...], axis: int) -> Array:
    """One number a channel, of an array that is broadcast over a tensor with channels at ``axis``."""
    sizes = (1,) * (len(shape) - array.ndim) + array.shape
    alike = all(size == 1 for place, size in enumerate(sizes) if place != axis)
    if len(sizes) != len(shape) or not alike or sizes[axis] not in (1, shape[axis]):
        raise node.error(f"has a constant of shape {array.shape} for {shape}, needed one number a channel")
    return np.broadcast_to(array.reshape(-1), (shape[axis],)).copy()
