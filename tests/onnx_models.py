"""Small ONNX files for tests, made by the package onnx, and what ONNX Runtime makes of them."""

import numpy as np
import pytest

from refengine import optional
from refengine.errors import NetworkError
from refengine.interop.onnx.convert import convert
from refengine.interop.onnx.graph import Graph, Node


def node(op, *inputs, out=None, **attributes):
    """A node that gives ``out``, or a tensor called like the operator in small letters."""
    out = out or op.lower()
    return Node(op, inputs, (out,), attributes, f"/net/{out}/{op}")


def graph(nodes, constants=None, shape=(2, 3, 6, 5), opset=17):
    """A graph from the image ``x`` to what the last node gives."""
    constants = {name: np.asarray(array) for name, array in (constants or {}).items()}
    return Graph("made", tuple(nodes), constants, "x", shape, nodes[-1].outputs[0], opset)


def as_bytes(graph):
    """The graph as an ONNX file."""
    onnx, helper = optional.package("onnx"), optional.package("onnx.helper")
    arrays = optional.package("onnx.numpy_helper")
    initializers = [arrays.from_array(array, name) for name, array in graph.constants.items()]
    nodes = [helper.make_node(n.op, n.inputs, n.outputs, n.name, **n.attributes) for n in graph.nodes]
    sizes = ["N" if size is None else size for size in graph.image_shape]
    image = helper.make_tensor_value_info(graph.image, onnx.TensorProto.FLOAT, sizes)
    output = helper.make_tensor_value_info(graph.output, onnx.TensorProto.FLOAT, [sizes[0], "classes"])
    made = helper.make_graph(nodes, graph.name, [image], [output], initializers)
    opsets = [helper.make_opsetid("", graph.opset)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


def floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


WEIGHT = {"w": floats(2, 3, 3, 3), "m": floats(4, 5), "v": floats(6, 5), "zero": np.float32(0), "zero0": np.int64(0)}
WEIGHT |= {"three": np.float32(3), "six": np.float32(6), "nan": np.float32(np.nan)}
PAD = node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1))


def ops_of(nodes, constants=None):
    """The operators of the layers that some nodes become, but for the input."""
    end = node("Flatten", nodes[-1].outputs[0], out="end")
    return [layer.op for layer in convert(graph([*nodes, end], WEIGHT | (constants or {}))).network.layers[1:]]


def assert_named(nodes, complaint):
    """What a node cannot be is refused in one line that names it."""
    with pytest.raises(NetworkError, match=rf"^node '.*\): .*{complaint}") as caught:
        convert(graph([*nodes, node("Flatten", nodes[-1].outputs[0], out="end")], WEIGHT))
    assert "\n" not in str(caught.value)
    assert "()" not in str(caught.value)  # no function's name of ours


def classifier(shape=(2, 3, 6, 5), opset=17, name="made"):
    """A network as exporters write it: shape arithmetic before Reshape, MatMul and Add, Softmax at the end."""
    _, channels, height, width = shape
    nodes = [
        node("Conv", "x", "stem.weight", pads=(1, 1, 1, 1), out="c"),
        node("BatchNormalization", "c", "gamma", "beta", "mean", "var", epsilon=0.001, out="b"),
        node("Clip", "b", "zero", "six", out="r"),
        node("Conv", "r", "depthwise.weight", "bias", group=4, auto_pad="SAME_UPPER", strides=(2, 2), out="d"),
        node("Relu", "d"),
        node("Shape", "relu", out="sizes"),
        node("Gather", "sizes", "index", axis=0, out="n"),
        node("Unsqueeze", "n", "axes", out="n1"),
        node("Concat", "n1", "rest", axis=0, out="target"),
        node("Reshape", "relu", "target", out="flat"),
        node("MatMul", "flat", "matrix", out="product"),
        node("Add", "product", "offset", out="logits"),
        node("Softmax", "logits", axis=1),
    ]
    features = 4 * -(-(height or 6) // 2) * -(-(width or 5) // 2)
    constants = {
        "stem.weight": floats(4, channels, 3, 3),
        "gamma": floats(4, seed=1),
        "beta": floats(4, seed=2),
        "mean": floats(4, seed=3),
        "var": np.abs(floats(4, seed=4)),
        "zero": np.float32(0),
        "six": np.float32(6),
        "depthwise.weight": floats(4, 1, 3, 3, seed=5),
        "bias": floats(4, seed=6),
        "index": np.int64(0),
        "axes": np.array([0]),
        "rest": np.array([-1]),
        "matrix": floats(features, 5, seed=7),
        "offset": floats(5, seed=8),
    }
    return Graph(name, tuple(nodes), constants, "x", shape, "softmax", opset)
