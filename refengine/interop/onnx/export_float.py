"""A float network as ONNX, for the engines of others.

    image  float32 (N, C, H, W)   normalised, channels in the network's order: what ``network/forward.py`` normalises to
    logits float32 (N, classes)

N is fixed or open.  Every layer becomes the node of its meaning, under its own name, in opset 17 or the first that has
all of them; ``ceil_mode`` is written as the padding that it amounts to, since engines differ in windows that reach over
the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import __version__
from ...network.float_layer import FloatLayer
from ...network.float_network import FloatNetwork, Shape, shapes
from ...network.forward import normalise
from ...optional import package

OPSET = 17
IR_VERSION = 8  # the one that came with the opset
_LATER = {"mish": (18, 8), "gelu": (20, 9)}  # operators that came later: opset, version of the file format
IMAGE, LOGITS = "image", "logits"

Array = np.ndarray[Any, Any]


def to_onnx(network: FloatNetwork, batch: int | str = 1) -> Any:
    """The network as ``onnx.ModelProto``; RefengineError where onnx is missing.

    batch: how many images it takes at once, or a name for a number that the file leaves open.
    """
    onnx, helper = package("onnx"), package("onnx.helper")
    graph = _Graph(network)
    for layer in network.layers:
        _NODES[layer.op](graph, layer, *(graph.tensors[name] for name in layer.inputs))
    last = network.layers[-1]
    graph.node("Flatten", f"{last.name}/logits", graph.tensors[last.name], output=LOGITS, axis=1)
    height, width, channels = network.input_shape
    image = helper.make_tensor_value_info(IMAGE, onnx.TensorProto.FLOAT, [batch, channels, height, width])
    logits = helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, [batch, network.classes])
    made = helper.make_graph(graph.nodes, network.name, [image], [logits], graph.initializers)
    opset, version = max((OPSET, IR_VERSION), *(_LATER.get(layer.op, (0, 0)) for layer in network.layers))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(
        made, opset_imports=opsets, ir_version=version, producer_name="refengine", producer_version=__version__
    )


def onnx_input(network: FloatNetwork, pixels: Array) -> Array:
    """uint8 images (N, H, W, C) as the float32 (N, C, H, W) that ONNX models read; NetworkError for other shapes."""
    return np.ascontiguousarray(normalise(network, pixels).transpose(0, 3, 1, 2))


class _Graph:
    """Nodes and constants as they are made, and the tensor that each layer's result is called."""

    def __init__(self, network: FloatNetwork) -> None:
        self.shapes: dict[str, Shape] = shapes(network)
        self.tensors: dict[str, str] = {}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._helper, self._arrays = package("onnx.helper"), package("onnx.numpy_helper")

    def constant(self, name: str, array: Array) -> str:
        """Store an array; returns its name."""
        self.initializers.append(self._arrays.from_array(np.ascontiguousarray(array), name))
        return name

    def constants(self, layer: FloatLayer, *names: str) -> list[str]:
        """Store those of a layer's constants that it has; returns their names."""
        known = [name for name in names if name in layer.constants]
        return [self.constant(f"{layer.name}/{name}", layer.constants[name]) for name in known]

    def node(self, op: str, name: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Append a node; returns the name of what it gives."""
        output = output or f"{name}/y"  # no layer has a slash in its name, so none is called like the model's ends
        self.nodes.append(self._helper.make_node(op, list(inputs), [output], name=name, **attributes))
        return output


# -------------------------------------------------------------------------------------------------------- node by node


def _plain(op: str, **attributes: Any) -> Callable[..., None]:
    def append(graph: _Graph, layer: FloatLayer, *inputs: str) -> None:
        graph.tensors[layer.name] = graph.node(op, layer.name, *inputs, **attributes)

    return append


def _input(graph: _Graph, layer: FloatLayer) -> None:
    graph.tensors[layer.name] = IMAGE


def _conv(graph: _Graph, layer: FloatLayer, x: str) -> None:
    kernel = layer.constants["weight"].shape[2:]
    operands = graph.constants(layer, "weight", "bias")
    graph.tensors[layer.name] = graph.node(
        "Conv", layer.name, x, *operands, kernel_shape=kernel, **dict(layer.attributes)
    )


def _batchnorm(graph: _Graph, layer: FloatLayer, x: str) -> None:
    operands = graph.constants(layer, "gamma", "beta", "mean", "var")
    epsilon = layer.attributes["epsilon"]
    graph.tensors[layer.name] = graph.node("BatchNormalization", layer.name, x, *operands, epsilon=epsilon)


def _relu(graph: _Graph, layer: FloatLayer, x: str) -> None:
    if "max" not in layer.attributes:
        graph.tensors[layer.name] = graph.node("Relu", layer.name, x)
        return
    ends = {"low": 0.0, "high": layer.attributes["max"]}
    operands = [graph.constant(f"{layer.name}/{end}", np.array(value, np.float32)) for end, value in ends.items()]
    graph.tensors[layer.name] = graph.node("Clip", layer.name, x, *operands)


def _pool(op: str, **attributes: Any) -> Callable[..., None]:
    def append(graph: _Graph, layer: FloatLayer, x: str) -> None:
        window = {name: layer.attributes[name] for name in ("kernel_shape", "strides")}
        pads = _all_pads(layer, graph.shapes[layer.inputs[0]], graph.shapes[layer.name])
        graph.tensors[layer.name] = graph.node(op, layer.name, x, pads=pads, **window, **attributes)

    return append


def _all_pads(layer: FloatLayer, before: Shape, after: Shape) -> tuple[int, ...]:
    """Padding with what ``ceil_mode`` reaches over the edge: top, left, bottom, right."""
    starts, kernel, strides = (layer.attributes[name] for name in ("pads", "kernel_shape", "strides"))
    reach = [
        (after[axis] - 1) * strides[axis] + kernel[axis] - before[axis] - starts[axis]  # beyond the last pixel
        for axis in (0, 1)
    ]
    return (*starts[:2], max(starts[2], reach[0]), max(starts[3], reach[1]))


def _pad_channels(graph: _Graph, layer: FloatLayer, x: str) -> None:
    pads = np.array([0, layer.attributes["before"], 0, 0, 0, layer.attributes["after"], 0, 0], np.int64)
    graph.tensors[layer.name] = graph.node("Pad", layer.name, x, graph.constant(f"{layer.name}/pads", pads))


def _fc(graph: _Graph, layer: FloatLayer, x: str) -> None:
    if len(graph.shapes[layer.inputs[0]]) > 1:
        x = graph.node("Flatten", f"{layer.name}/flat", x, axis=1)
    operands = graph.constants(layer, "weight", "bias")
    graph.tensors[layer.name] = graph.node("Gemm", layer.name, x, *operands, transB=1)


def _gather_channels(graph: _Graph, layer: FloatLayer, x: str) -> None:
    order = graph.constant(f"{layer.name}/order", layer.constants["order"].astype(np.int64))
    graph.tensors[layer.name] = graph.node("Gather", layer.name, x, order, axis=1)


def _prelu(graph: _Graph, layer: FloatLayer, x: str) -> None:
    rank = len(graph.shapes[layer.name])
    slope = layer.constants["slope"].reshape(-1, *[1] * (rank - 1))
    graph.tensors[layer.name] = graph.node("PRelu", layer.name, x, graph.constant(f"{layer.name}/slope", slope))


def _ends(graph: _Graph, layer: FloatLayer, x: str) -> None:
    operands = [
        graph.constant(f"{layer.name}/{end}", np.array(layer.attributes[end], np.float32)) for end in ("low", "high")
    ]
    graph.tensors[layer.name] = graph.node("Clip", layer.name, x, *operands)


def _silu(graph: _Graph, layer: FloatLayer, x: str) -> None:
    gate = graph.node("Sigmoid", f"{layer.name}/gate", x)
    graph.tensors[layer.name] = graph.node("Mul", layer.name, x, gate)


def _with_attributes(op: str) -> Callable[..., None]:
    def append(graph: _Graph, layer: FloatLayer, x: str) -> None:
        graph.tensors[layer.name] = graph.node(op, layer.name, x, **dict(layer.attributes))

    return append


def _gelu(graph: _Graph, layer: FloatLayer, x: str) -> None:
    approximate = "tanh" if layer.attributes["tanh"] else "none"
    graph.tensors[layer.name] = graph.node("Gelu", layer.name, x, approximate=approximate)


_NODES: dict[str, Callable[..., None]] = {
    "input": _input,
    "conv": _conv,
    "batchnorm": _batchnorm,
    "relu": _relu,
    "add": _plain("Add"),
    "concat": _plain("Concat", axis=1),
    "maxpool": _pool("MaxPool"),
    "avgpool": _pool("AveragePool", count_include_pad=0),
    "global_avgpool": _plain("GlobalAveragePool"),
    "pad_channels": _pad_channels,
    "flatten": _plain("Flatten", axis=1),
    "fc": _fc,
    "mul": _plain("Mul"),
    "gather_channels": _gather_channels,
    "prelu": _prelu,
    "clip": _ends,
    "elu": _with_attributes("Elu"),
    "sigmoid": _plain("Sigmoid"),
    "silu": _silu,
    "tanh": _plain("Tanh"),
    "hard_sigmoid": _with_attributes("HardSigmoid"),
    "hard_swish": _plain("HardSwish"),
    "gelu": _gelu,
    "erf": _plain("Erf"),
    "softplus": _plain("Softplus"),
    "mish": _plain("Mish"),
}
