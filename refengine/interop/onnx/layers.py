"""The layers of a float network as they are made from ONNX nodes, and what is known of each tensor meanwhile."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ...errors import NetworkError
from ...network.float_layer import FloatLayer
from ...network.float_network import Shape, output_shape
from .graph import Array, Node

CHW, HWC = "CHW", "HWC"
NO_PADS = (0, 0, 0, 0)
# how many bytes may be made of constants, and how many times the bytes of the graph's own arrays on top of that
MAX_FOLDED_BYTES = 1 << 28  # of what is computed from constants alone
MAX_CONSTANT_BYTES = 1 << 29  # of all layers and of what is computed for them, arrays that several share counted again
RATIO = 4
_LONGEST_STEM = 100
_PASSES_SIGNS = (
    "maxpool", "avgpool", "global_avgpool", "pad_channels", "flatten", "concat", "add", "mul", "gather_channels",
)  # fmt: skip
_NOT_NEGATIVE = ("relu", "sigmoid", "hard_sigmoid")

Pads: TypeAlias = tuple[int, int, int, int]
Readers: TypeAlias = Mapping[str, Sequence[Node | None]]


@dataclass(frozen=True)
class View:
    """A tensor that depends on the image: the numbers of a layer, in ``order`` (CHW or HWC), cut into ``shape``.

    ``shape`` begins with the batch.  ``pads`` (top, left, bottom, right) of the value ``fill`` lie around it and are
    in no layer and not in the shape: a node put them there whose successor must take them up.  So must it the upper
    end ``most`` of a Min.
    """

    layer: str
    shape: tuple[int, ...]
    order: str = CHW
    pads: Pads = NO_PADS
    fill: float = 0.0
    most: float = math.inf


class Layers:
    """Layers in the making.

    ``values`` is what each tensor of the graph is; ``affine`` are the batchnorm layers that are nothing but a factor
    and an offset; ``readers`` has the nodes that read a tensor, and None where it is the network's output.
    """

    def __init__(self, batch: int, constants: Mapping[str, Array], readers: Readers) -> None:
        self.batch = batch
        self.values: dict[str, View | Array] = dict(constants)
        self.layers: dict[str, FloatLayer] = {}
        self.shapes: dict[str, Shape] = {}
        self.affine: set[str] = set()
        self._readers, self._not_negative = readers, set[str]()
        self._made_by: dict[str, str] = {}  # tensor -> the layer of which it is all that is read
        own = RATIO * sum(array.nbytes for array in constants.values())
        self._constants_left, self._folding_left = MAX_CONSTANT_BYTES + own, MAX_FOLDED_BYTES + own

    # ---- growing

    def image_input(self, tensor: str, shape: tuple[int, int, int], nhwc: bool) -> None:
        """An input layer, (H, W, C), and the tensor that it is."""
        layer = FloatLayer(f"{len(self.layers):03d}_input", "input")
        self.layers[layer.name], self.shapes[layer.name] = layer, shape
        self.values[tensor] = self._ordered(self._plain_view(layer.name), HWC) if nhwc else self._plain_view(layer.name)

    def append(
        self,
        node: Node,
        op: str,
        inputs: Sequence[str],
        constants: Mapping[str, Array] | None = None,
        stem: str = "",
        **attributes: Any,
    ) -> View:
        """A new layer, and what it gives: (N, C, H, W) or (N, K); NetworkError, naming the node, if it does not fit."""
        name = f"{len(self.layers):03d}_{stem or _stem(node)}"
        self.charge(node, sum(array.nbytes for array in (constants or {}).values()))
        try:
            layer = FloatLayer(name, op, tuple(inputs), constants or {}, attributes)
            shape = output_shape(layer, *(self.shapes[key] for key in inputs))
        except NetworkError as error:
            raise node.error(f"does not fit: {error}") from None
        self.layers[name], self.shapes[name] = layer, shape
        if op in _NOT_NEGATIVE or (op in _PASSES_SIGNS and self._not_negative.issuperset(inputs)):
            self._not_negative.add(name)
        return self._plain_view(name)

    def _plain_view(self, layer: str) -> View:
        shape = self.shapes[layer]
        return View(layer, (self.batch, *(shape if len(shape) == 1 else (shape[2], *shape[:2]))))

    def give(self, node: Node, value: View | Array, made: bool) -> None:
        """Say what a node's result is, and whether it made a layer for it."""
        if isinstance(value, View):
            own = [name for name in node.inputs if self._made_by.get(name) == value.layer]
            if made or any(len(self.readers(name)) == 1 for name in own):
                self._made_by[node.outputs[0]] = value.layer
        self.values[node.outputs[0]] = value

    def charge(self, node: Node, size: int) -> None:
        """Count the bytes of constants; NetworkError where a graph asks for more than any network has."""
        self._constants_left -= size
        if self._constants_left < 0:
            raise node.error("the layers' constants would have many times as many bytes as the graph's arrays")

    def charge_folding(self, node: Node, size: int) -> None:
        """Count the bytes of what constants make; NetworkError where a graph makes much more than it has."""
        self._folding_left -= size
        if self._folding_left < 0:
            raise node.error("what is computed of constants would have many times as many bytes as the graph's arrays")
        self.charge(node, size)

    def readers(self, tensor: str) -> Sequence[Node | None]:
        """The nodes that read a tensor, and None where it is the network's output."""
        return self._readers.get(tensor, ())

    def sole_maker(self, tensor: str) -> FloatLayer | None:
        """The layer that made a tensor, if nothing else reads it in any shape, so that the layer may still change."""
        name = self._made_by.get(tensor)
        return self.layers[name] if name is not None and len(self.readers(tensor)) == 1 else None

    def change(self, layer: FloatLayer, **constants: Array) -> None:
        """Give a layer other constants."""
        self.layers[layer.name] = replace(layer, constants={**layer.constants, **constants})

    # ---- what views are

    def is_not_negative(self, view: View) -> bool:
        """Whether no number of it can be below 0."""
        return view.layer in self._not_negative

    def is_image(self, view: View, order: str = CHW) -> bool:
        """Whether it is cut as (N, C, H, W), or with ``HWC`` as (N, H, W, C)."""
        shape = self.shapes[view.layer]
        if len(shape) != 3:
            return False
        cut = shape if order == HWC else (shape[2], *shape[:2])
        return view.shape[1:] == cut and self._ordered(view, order).order == view.order

    def _ordered(self, view: View, order: str) -> View:
        """The whole image seen in an order; where there is one channel or one pixel, both orders are one."""
        shape = self.shapes[view.layer]
        cut = shape if order == HWC else (shape[2], *shape[:2])
        alike = shape[2] == 1 or shape[0] * shape[1] == 1
        return replace(view, shape=(self.batch, *cut), order=CHW if alike else order)

    def transposed(self, view: View, perm: Sequence[int]) -> View | None:
        """The view with its axes in another order, or None where no layer can be seen so."""
        if sorted(perm) != list(range(len(view.shape))) or perm[0] != 0:
            return None
        real = [axis for axis in perm if view.shape[axis] != 1 and axis]
        if real == sorted(real) and view.pads == NO_PADS:
            return replace(view, shape=tuple(view.shape[axis] for axis in perm))
        if tuple(perm) == (0, 2, 3, 1) and self.is_image(view):
            return self._ordered(view, HWC)
        if tuple(perm) == (0, 3, 1, 2) and self.is_image(view, HWC):
            return self._ordered(view, CHW)
        return None

    def gathered(self, node: Node, view: View, axis: int, channels: Sequence[int]) -> View:
        """Some of the channels, which lie along ``axis``; NetworkError for those that do not exist."""
        whole = view.shape[axis]
        if not len(channels):
            raise node.error(f"cuts {view.shape} down to no channel")
        order = np.array([number + whole if number < 0 else number for number in channels], np.float32)
        self.charge(node, order.nbytes)
        made = self.append(node, "gather_channels", [view.layer], {"order": order})
        shape = (*view.shape[:axis], len(order), *view.shape[axis + 1 :])
        return replace(view, layer=made.layer, shape=shape)

    def shuffled(self, node: Node, view: View, perm: Sequence[int]) -> View | None:
        """The view with the axes into which its channels are cut in another order; None where they are not cut so."""
        shape, cut = self.shapes[view.layer], 1
        while cut < len(view.shape) and math.prod(view.shape[1 : cut + 1]) < shape[-1]:
            cut += 1
        fixed = [*range(cut + 1, len(view.shape))]
        if sorted(perm) != list(range(len(view.shape))) or perm[0] != 0 or list(perm[cut + 1 :]) != fixed:
            return None
        if view.order != CHW or math.prod(view.shape[1 : cut + 1]) != shape[-1]:
            return None
        numbers = np.arange(shape[-1]).reshape(view.shape[1 : cut + 1])
        order = numbers.transpose([axis - 1 for axis in perm[1 : cut + 1]]).ravel()
        self.charge(node, 4 * order.size)
        made = self.append(node, "gather_channels", [view.layer], {"order": order.astype(np.float32)})
        return replace(view, layer=made.layer, shape=tuple(view.shape[axis] for axis in perm))

    def channel_axis(self, view: View) -> int | None:
        """The axis along which the layer's channels lie, whole; None where they are cut."""
        channels = self.shapes[view.layer][-1]
        if view.order == HWC:
            return len(view.shape) - 1 if view.shape[-1] == channels else None
        if len(view.shape) > 1 and view.shape[1] == channels:
            return 1
        alone = math.prod(view.shape[1:]) == channels and channels in view.shape[1:]
        return view.shape.index(channels, 1) if alone else None

    def pixel_window(self, view: View, axes: Sequence[int]) -> tuple[int, int] | None:
        """How many rows and columns of each channel ``axes`` are, one of both being all; None for other axes."""
        if self._pixel_axes(view, axes):
            return self.shapes[view.layer][0], self.shapes[view.layer][1]
        for order in (CHW, HWC):
            places = [1 + order.index(axis) for axis in "HW"]
            if len(view.shape) == 4 and self.is_image(view, order) and axes and set(axes) <= set(places):
                rows, columns = (view.shape[place] if place in axes else 1 for place in places)
                return rows, columns
        return None

    def _pixel_axes(self, view: View, axes: Sequence[int]) -> bool:
        """Whether ``axes`` are all pixels of each channel and nothing else."""
        real = [axis for axis in range(1, len(view.shape)) if view.shape[axis] != 1]
        reduced = [axis for axis in real if axis in axes]
        kept = [axis for axis in real if axis not in axes]
        shape = self.shapes[view.layer]
        together = reduced + kept if view.order == HWC else kept + reduced
        size = math.prod(view.shape[axis] for axis in reduced)
        return len(shape) == 3 and together == real and size == shape[0] * shape[1]

    def vector(self, node: Node, view: View) -> View:
        """The view as that of a layer without pixels, (N, K): flattened, where it is an image."""
        if len(self.shapes[view.layer]) == 1:
            return replace(view, shape=(self.batch, math.prod(view.shape[1:])))
        if view.order == HWC:
            raise node.error("reads an image flattened in H, W, C order, needed C, H, W (transpose it before)")
        return self.append(node, "flatten", [view.layer], stem=f"{_stem(node)}.flatten")

    def logits(self, view: View) -> str:
        """The layer that a network may end in; NetworkError unless ``view`` gives its numbers, each image a vector."""
        if view.pads != NO_PADS or view.order == HWC or view.shape[:1] != (self.batch,):
            raise NetworkError(f"the output of shape {view.shape} is padded or transposed, needed logits (N, classes)")
        return view.layer

    def ending_in(self, last: str) -> list[FloatLayer]:
        """The layers that ``last`` depends on, in order; the input is always one."""
        needed, kept = {last}, []
        for layer in reversed(self.layers.values()):
            if layer.name in needed or layer.op == "input":
                needed.update(layer.inputs)
                kept.append(layer)
        return kept[::-1]


def _stem(node: Node) -> str:
    """A layer's name without its number: the weight's or the node's, without what exporters put around it."""
    for name in node.inputs[1:2]:
        if name.endswith(".weight"):
            return _cleaned(name.removesuffix(".weight"))
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1 and parts[-1].split("_")[0] == node.op:
        parts.pop()
    return _cleaned(".".join(parts)) or node.op.lower()


def _cleaned(name: str) -> str:
    """Printable, no slash, no number in front, no longer than a key may be."""
    name = re.sub(r"^(\d{1,9}_)?", "", "".join(c if c.isprintable() and c != "/" else "." for c in name))
    return name[:_LONGEST_STEM]


def float32(node: Node, array: Array) -> Array:
    """The array as float32; NetworkError if it holds integers, or loses what float64 had."""
    if array.dtype == np.float32:
        return array
    if array.dtype.kind != "f":
        raise node.error(f"reads {array.dtype}, needed float32")
    with np.errstate(over="ignore"):
        made = array.astype(np.float32)
    if not np.array_equal(made, array, equal_nan=True):
        raise node.error(f"reads {array.dtype} that float32 cannot hold, needed float32")
    return made
