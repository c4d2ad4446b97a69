"""An ONNX graph as a float network: node by node, in the graph's order, each by the function of its operator.

A tensor is either known already, an array, or a ``View``: the numbers of a layer as the graph's nodes see them, in a
shape and an order of their own.  Reshape, Flatten, Transpose and their kin only make other views; a layer is made where
something is computed.  What cannot be said in layers is refused by a NetworkError that names the node and what to do.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import NetworkError
from ...network.float_layer import FloatLayer
from ...network.float_network import CHANNELS, FloatNetwork
from ...text import PathLike, printable
from .graph import GIVES_PROBABILITIES, ONLY_SEES, Graph, Node, only_needed
from .layers import Layers, View
from .operators import convert_node
from .read import read_onnx

_FIRST_OF_ONE_AXIS = 13  # the opset from which on Softmax takes one axis, not all from it on


@dataclass(frozen=True)
class Preprocessing:
    """What the pixels go through before the graph's input, x = (pixel - mean) / std, in units of 0..255.

    ``channels`` is the order that the graph wants: RGB or BGR for three, gray for one; None: RGB or gray.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: str | None = None


@dataclass(frozen=True)
class Converted:
    """A network, and how the graph that it was wants its images: (N, C, H, W) or, with ``nhwc``, (N, H, W, C).

    ``mean`` and ``std`` are those of the graph's input, before what the graph normalises itself; ``logits`` is the
    tensor that the network ends in, and ``dropped`` the operator behind it that is left out, or an empty text.
    """

    network: FloatNetwork
    logits: str
    batch: int
    nhwc: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dropped: str = ""


def convert(
    graph: Graph,
    preprocessing: Preprocessing | None = None,
    input_shape: Sequence[int] | None = None,
    name: str = "",
    source: str = "",
    licence: str = "",
) -> Converted:
    """The graph as a float network.

    ``input_shape`` (H, W, C) stands for sizes that the graph leaves open.  NetworkError, naming the node, for what a
    float network cannot say, and for images that are not of one or three channels.
    """
    given = preprocessing or Preprocessing()
    batch, shape, nhwc = _image_shape(graph, input_shape)
    channels = given.channels or ("gray" if shape[2] == 1 else "RGB")
    if CHANNELS.get(channels) != shape[2]:
        raise NetworkError(f"channels is {channels!r}, the graph's input has {shape[2]}")
    mean, std = (_for_each(values, shape[2]) for values in (given.mean or (0.0,), given.std or (1.0,)))
    graph = only_needed(graph)
    graph, softmax = _without_probabilities(graph)
    layers = lower(graph, {graph.image: shape}, batch, nhwc)
    output = layers.values[graph.output]
    if not isinstance(output, View):
        raise NetworkError("the output does not depend on the image")
    if softmax is not None:
        _check_classes(softmax, layers.values[softmax.inputs[0]].shape, graph.opset)
    last = layers.logits(output)
    made, (own_mean, own_std) = _folded_normalisation(layers.ending_in(last), layers.affine, mean, std)
    network = FloatNetwork(
        name or graph.name or "network",
        shape,
        math.prod(layers.shapes[last]),
        own_mean,
        own_std,
        channels,
        _numbered(made),
        source,
        licence,
    )
    logits, dropped = (graph.output, "") if softmax is None else (softmax.inputs[0], softmax.op)
    return Converted(network, logits, batch, nhwc, mean, std, dropped)


def convert_file(path: PathLike, preprocessing: Preprocessing | None = None, **options: Any) -> Converted:
    """``convert`` of the graph in a file; FileError or NetworkError, naming the file."""
    graph = read_onnx(path)
    try:
        return convert(graph, preprocessing, **options)
    except NetworkError as error:
        raise NetworkError(f"{printable(os.fspath(path))}: {error}") from None


def lower(graph: Graph, images: Mapping[str, tuple[int, int, int]], batch: int, nhwc: bool = False) -> Layers:
    """The layers of a graph's nodes; ``images`` are the tensors that are no constants, and their (H, W, C)."""
    layers = Layers(batch, graph.constants, graph.readers())
    for name, shape in images.items():
        layers.image_input(name, shape, nhwc)
    for node in graph.nodes:
        convert_node(layers, node)
    return layers


def _image_shape(graph: Graph, given: Sequence[int] | None) -> tuple[int, tuple[int, int, int], bool]:
    """Batch, (H, W, C) and whether the channels come last; NetworkError where they are open or contradict ``given``."""
    found = graph.image_shape
    if len(found) != 4:
        raise NetworkError(f"the input {graph.image!r} has shape {_sizes(found)}, needed (N, C, H, W) or (N, H, W, C)")
    nhwc = found[1] not in (1, 3) and (found[3] in (1, 3))
    height, width, channels = found[1:] if nhwc else (*found[2:], found[1])
    sizes = (height, width, channels)
    if given is not None:
        if len(given) != 3 or any(own not in (None, size) for own, size in zip(sizes, given, strict=True)):
            raise NetworkError(f"input_shape is {tuple(given)}, the graph's input has (H, W, C) = {_sizes(sizes)}")
        sizes = (given[0], given[1], given[2])
    if None in sizes:
        raise NetworkError(f"the graph's input has (H, W, C) = {_sizes(sizes)}, needed an input shape (--input-shape)")
    height, width, channels = (int(size or 0) for size in sizes)
    if channels not in CHANNELS.values():
        raise NetworkError(f"the graph's input has {channels} channels, needed 1 (gray) or 3 (RGB, BGR)")
    return found[0] or 1, (height, width, channels), nhwc


def _sizes(sizes: Sequence[int | None]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in sizes) + ")"


def _for_each(values: Sequence[float], count: int) -> tuple[float, ...]:
    """One number a channel, from as many or from one for all."""
    return tuple(float(value) for value in values) * (count if len(values) == 1 else 1)


def _without_probabilities(graph: Graph) -> tuple[Graph, Node | None]:
    """The graph whose output are the logits, and the node that made probabilities of them, if it ends in one."""
    makers = {node.outputs[0]: place for place, node in enumerate(graph.nodes) if node.inputs}
    place = makers.get(graph.output)
    while place is not None and graph.nodes[place].op in ONLY_SEES:
        place = makers.get(graph.nodes[place].inputs[0])
    if place is None or graph.nodes[place].op not in GIVES_PROBABILITIES:
        return graph, None
    softmax = graph.nodes[place]
    passed = replace(softmax, op="Identity", attributes={})
    return replace(graph, nodes=(*graph.nodes[:place], passed, *graph.nodes[place + 1 :])), softmax


def _check_classes(node: Node, shape: tuple[int, ...], opset: int) -> None:
    """NetworkError unless a softmax is that of all numbers of an image, which alone keeps the order of the logits."""
    given = node.attributes.get("axis", -1 if opset >= _FIRST_OF_ONE_AXIS else 1)
    axis = given + len(shape) if isinstance(given, int) and given < 0 else given
    if axis in range(1, len(shape)):
        together = shape[axis] if opset >= _FIRST_OF_ONE_AXIS else math.prod(shape[axis:])
        if together == math.prod(shape[1:]):
            return
    raise node.error(
        f"has axis {str(given)[:20]} of {shape}, needed the classes' of (N, classes) or (N, classes, 1, 1)"
    )


def _folded_normalisation(
    layers: list[FloatLayer], affine: set[str], mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[list[FloatLayer], tuple[tuple[float, ...], tuple[float, ...]]]:
    """Mean and std with the factors and offsets that the graph begins with, and the layers without them.

    ((p - m) / s) * g + b = (p - (m - s*b/g)) / (s/g)
    """
    first = layers[1] if len(layers) > 1 else layers[0]
    readers = [layer for layer in layers if layers[0].name in layer.inputs]
    if first.name not in affine or readers != [first] or len(layers) == 2 or first.constants["gamma"].min() <= 0:
        return layers, (mean, std)
    gamma, beta = (first.constants[name].astype(np.float64).tolist() for name in ("gamma", "beta"))
    new_mean = tuple(m - s * b / g for m, s, g, b in zip(mean, std, gamma, beta, strict=True))
    new_std = tuple(s / g for s, g in zip(std, gamma, strict=True))
    rest = [_renamed(layer, {first.name: layers[0].name}) for layer in layers[2:]]
    return [layers[0], *rest], (new_mean, new_std)


def _renamed(layer: FloatLayer, names: Mapping[str, str]) -> FloatLayer:
    inputs = tuple(names.get(name, name) for name in layer.inputs)
    return replace(layer, name=names.get(layer.name, layer.name), inputs=inputs)


def _numbered(layers: Sequence[FloatLayer]) -> tuple[FloatLayer, ...]:
    """The layers called by their places in the row."""
    names = {layer.name: f"{place:03d}_{layer.name.split('_', 1)[1]}" for place, layer in enumerate(layers)}
    return tuple(_renamed(layer, names) for layer in layers)
