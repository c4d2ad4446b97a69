"""ONNX operators that compute nothing: other views of a layer, and layers that move its numbers, pad or join them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .constants import axes_of, reshaped, shape_of, slices, squeezed, unsqueezed
from .graph import Array, Node
from .layers import NO_PADS, Layers, View
from .operands import Operand, Operator, constant_of, number_of, scalar_of, sum_of_pads, view_of

_AXES = ("axes",)


def _concat(layers: Layers, node: Node, *xs: Operand) -> View:
    views = [view_of(node, x) for x in xs]
    axis = number_of(node, "axis", None) % len(views[0].shape)
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


def _pad(
    layers: Layers, node: Node, x: Operand, pads: Operand = None, fill: Operand = None, axes: Operand = None
) -> View:
    """Zero channels are a layer; rows and columns wait for the convolution or the pool that comes next."""
    view = view_of(node, x)
    mode, rank = node.attributes.get("mode", "constant"), len(view.shape)
    if mode != "constant":
        raise node.error(f"has mode {str(mode)[:40]!r}, needed constant")
    given = node.attributes.get("pads") if pads is None else constant_of(node, pads, "pads").reshape(-1).tolist()
    places = range(rank) if axes is None else [int(axis) % rank for axis in constant_of(node, axes, "axes").reshape(-1)]
    counts = [int(count) for count in given or ()]
    if len(counts) != 2 * len(places) or min(counts) < 0:
        raise node.error(f"has pads {str(given)[:80]}, needed {2 * len(places)} numbers, none below 0")
    value = number_of(node, "value", 0.0) if fill is None else scalar_of(node, fill, "value")
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
    return replace(view, pads=sum_of_pads(view.pads, (top, left, bottom, right)), fill=value)


def _expand(layers: Layers, node: Node, x: Operand, shape: Operand) -> View:
    """A pixel that products alone read, each with an image of the size that it grows to: they do that by themselves."""
    view, sizes = view_of(node, x), constant_of(node, shape, "shape").reshape(-1)
    wanted = np.broadcast_shapes(view.shape, tuple(int(size) for size in sizes))
    for reader in layers.readers(node.outputs[0]) if wanted != view.shape else ():
        others = [] if reader is None else [name for name in reader.inputs if name != node.outputs[0]]
        other = layers.values.get(others[0]) if reader is not None and reader.op == "Mul" and others else None
        if not isinstance(other, View) or other.shape != wanted:
            raise node.error(f"grows {view.shape} to {wanted}, needed products with an image of that size to read it")
    return view


def _slice(layers: Layers, node: Node, x: Operand, *operands: Operand) -> View:
    """Every second row and column is a pool of single pixels; some of the channels are gathered."""
    view = view_of(node, x)
    arrays = [None if operand is None else constant_of(node, operand, "range") for operand in operands]
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
    view, numbers = view_of(node, x), constant_of(node, indices, "indices")
    axis = number_of(node, "axis", 0) % len(view.shape)
    if numbers.ndim > 1 or layers.channel_axis(view) != axis:
        raise node.error(f"gathers along axis {axis} of {view.shape}, needed a row of the channels")
    found = layers.gathered(node, view, axis, numbers.reshape(-1).tolist())
    shape = found.shape if numbers.ndim else tuple(size for a, size in enumerate(found.shape) if a != axis)
    return replace(found, shape=shape)


def _split(layers: Layers, node: Node, x: Operand, sizes: Operand = None) -> list[View]:
    """A view for each of the node's outputs: neighbouring channels."""
    view, count = view_of(node, x), len(node.outputs)
    axis = number_of(node, "axis", 0) % len(view.shape)
    if layers.channel_axis(view) != axis:
        raise node.error(f"splits {view.shape} along axis {axis}, needed the channels")
    whole, given = view.shape[axis], node.attributes.get("split")
    each = -(-whole // count)
    lengths = [min(each, max(whole - k * each, 0)) for k in range(count)] if given is None else list(given)
    if sizes is not None:
        lengths = constant_of(node, sizes, "split").reshape(-1).tolist()
    if len(lengths) != count or min(lengths) < 1 or sum(lengths) != whole:
        raise node.error(f"splits {whole} channels into {str(lengths)[:80]}, needed {count} numbers with that sum")
    ends = np.cumsum(lengths).tolist()
    return [
        layers.gathered(node, view, axis, range(end - length, end)) for length, end in zip(lengths, ends, strict=True)
    ]


def _reshape(layers: Layers, node: Node, x: Operand, target: Operand) -> View:
    view = view_of(node, x)
    keep_zero = bool(number_of(node, "allowzero", 0))
    return _seen_as(layers, node, view, reshaped(view.shape, constant_of(node, target, "shape"), keep_zero))


def _seen_as(layers: Layers, node: Node, view: View, shape: tuple[int, ...]) -> View:
    if shape[:1] != (layers.batch,):
        raise node.error(f"makes {shape} of {view.shape}, needed the batch of {layers.batch} in front as it was")
    return replace(view, shape=shape)


def _flatten(layers: Layers, node: Node, x: Operand) -> View:
    view = view_of(node, x)
    axis = number_of(node, "axis", 1)
    axis += len(view.shape) if axis < 0 else 0
    return _seen_as(layers, node, view, (math.prod(view.shape[:axis]), math.prod(view.shape[axis:])))


def _squeeze(layers: Layers, node: Node, x: Operand, axes: Operand = None) -> View:
    view, given = view_of(node, x), None if axes is None else constant_of(node, axes, "axes")
    return _seen_as(layers, node, view, squeezed(view.shape, axes_of(node, given)))


def _unsqueeze(layers: Layers, node: Node, x: Operand, axes: Operand = None) -> View:
    view, given = view_of(node, x), None if axes is None else constant_of(node, axes, "axes")
    return _seen_as(layers, node, view, unsqueezed(view.shape, axes_of(node, given) or ()))


def _transpose(layers: Layers, node: Node, x: Operand) -> View:
    view = view_of(node, x)
    perm = node.attributes.get("perm", tuple(reversed(range(len(view.shape)))))
    seen = layers.transposed(view, perm) or layers.shuffled(node, view, perm)
    if seen is None:
        raise node.error(f"turns {view.shape} by {perm}, needed an image between (N, C, H, W) and (N, H, W, C)")
    return seen


def _same(layers: Layers, node: Node, x: Operand, *ratio: Operand) -> View:
    return view_of(node, x)


def _dropout(layers: Layers, node: Node, x: Operand, ratio: Operand = None, training: Operand = None) -> View:
    if training is not None and np.any(constant_of(node, training, "training mode")):
        raise node.error("is in training mode; export the network in evaluation mode")
    return view_of(node, x)


def _cast(layers: Layers, node: Node, x: Operand) -> View:
    if number_of(node, "to", 0) != 1:
        raise node.error("makes other numbers of float32, needed float32 throughout")
    return view_of(node, x)


def _shape(layers: Layers, node: Node, x: Operand) -> Array:
    return shape_of(node, view_of(node, x).shape)


VIEWS: dict[str, Operator] = {
    "Cast": Operator(_cast, ("to", "saturate", "round_mode")),
    "Concat": Operator(_concat, ("axis",)),
    "Dropout": Operator(_dropout, ("ratio", "seed")),
    "Expand": Operator(_expand),
    "Flatten": Operator(_flatten, ("axis",)),
    "Gather": Operator(_gather, ("axis",)),
    "Identity": Operator(_same, padded=True),
    "Pad": Operator(_pad, ("mode", "pads", "value"), padded=True),
    "Reshape": Operator(_reshape, ("allowzero",)),
    "Shape": Operator(_shape, ("start", "end")),
    "Slice": Operator(_slice, ("starts", "ends", "axes")),
    "Split": Operator(_split, ("axis", "split", "num_outputs")),
    "Squeeze": Operator(_squeeze, _AXES),
    "Transpose": Operator(_transpose, ("perm",), padded=True),
    "Unsqueeze": Operator(_unsqueeze, _AXES),
}
