"""An integer network as QONNX, which FINN and its kin read: float tensors that hold integers, and thresholds.

    image   float32 (N, C, H, W)   pixels 0..255
    logits  float32 (N, classes)   the contract's int32

Sums are ONNX's float operators on integers that float32 holds: no partial sum may exceed 2**24, by the bounds of
contract A2.  A requantization is a ``MultiThreshold``:

    code = lo + number of thresholds t[c, k] <= acc[c],   t[c, k] = the least acc whose code is lo + k + 1

which is exact whatever the rounding, since a code never falls where its accumulator rises.  Every layer's tensors are
called LAYER.accumulator and LAYER.code.  N is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import __version__
from ...errors import NetworkError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.accumulator import confine
from ...numbers.formats import INT32
from ...numbers.rounding import STOCHASTIC
from ...ops import OPS, lookup
from ...ops.avgpool import shares
from ...ops.batchnorm import CODE_SHIFT
from ...ops.conv import integer_weights
from ...ops.input import PIXEL_SHIFT
from ...ops.requantize import rescale_reference
from ...ops.window import output_hw
from ...optional import package
from .engines import EXTRA

OPSET, IR_VERSION, DOMAIN = 17, 8, "qonnx.custom_op.general"
IMAGE, LOGITS = "image", "logits"
EXACT = 1 << 24  # up to it float32 holds every integer

Array = np.ndarray[Any, Any]


def to_qonnx(network: IntNetwork, images: int = 1) -> Any:
    """The network for batches of ``images`` as ``onnx.ModelProto``; RefengineError where onnx is missing.

    NetworkError, naming the layer, for residuals, dynamic exponents, stochastic rounding, wrapping accumulators, sums
    beyond 2**24, codes of more than 8 bits, and operators that QONNX has no nodes for.
    """
    network.require_static("QONNX")
    for layer in network.layers:
        _check(network, layer)
    onnx, helper = package("onnx", EXTRA), package("onnx.helper", EXTRA)
    graph = _Graph(network, images)
    for layer in network.layers:
        _append(graph, layer)
    last = graph.codes[network.layers[-1].name]
    if len(network.shapes[network.layers[-1].name]) == 3:
        last = graph.node("Transpose", [last], f"{LOGITS}/pixels", perm=(0, 2, 3, 1))
    graph.node("Flatten", [last], LOGITS, axis=1)
    height, width, channels = network.input_shape
    image = helper.make_tensor_value_info(IMAGE, onnx.TensorProto.FLOAT, [images, channels, height, width])
    logits = helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, [images, network.classes])
    made = helper.make_graph(graph.nodes, network.name, [image], [logits], graph.initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
    names = {"producer_name": "refengine", "producer_version": __version__}
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, **names)
    helper.set_model_props(model, {"model_hash": network.hash, "contract": str(network.contract)})
    return model


def thresholds(network: IntNetwork, layer: IntLayer) -> Array:
    """The least accumulator of each code but the lowest: int64 (C or 1, codes - 1), by bisection.

    A code that no accumulator within the bounds of contract A2 reaches has the bound plus 1, or the lower bound where
    all do.
    """
    step = layer.requantize
    if step is None:
        raise NetworkError(f"layer {layer.name!r} ({layer.op}): has no codes, so no thresholds")
    bounds = [end.reshape(-1) for end in network.bounds[layer.name]]
    channels = max(step.multiplier.size, step.shift.size, *(end.size for end in bounds))
    wanted = np.arange(step.lo + 1, step.hi + 1)[:, None]
    low, high = (np.broadcast_to(end, (len(wanted), channels)).copy() for end in (bounds[0], bounds[1] + 1))
    while np.any(low < high):
        middle = low + (high - low) // 2
        held = confine(middle.astype(np.int32), layer.accumulator_bits, layer.accumulator_policy)[0]
        reached = rescale_reference(held, step)[0] >= wanted
        low, high = np.where(reached | (low >= high), low, middle + 1), np.where(reached, middle, high)
    return low.T


def _check(network: IntNetwork, layer: IntLayer) -> None:
    """NetworkError, naming the layer, for what the dialect cannot say."""
    step, reason = layer.requantize, None
    if layer.residual is not None:
        reason = "a residual, which makes a code depend on two numbers; thresholds compare one"
    elif step is not None and step.rounding == STOCHASTIC:
        reason = f"{STOCHASTIC} rounding, whose draws are no thresholds"
    elif step is not None and step.format.dtype == INT32.dtype:
        reason = "codes of 32 bits, which would need a threshold each"
    elif layer.accumulator_policy == "wrap" and layer.accumulator_bits < 32:
        reason = "an accumulator that wraps, so that codes fall where sums rise"
    elif layer.op not in _SUMS and layer.op not in _MOVED:
        reason = f"an operator without nodes; it has: {', '.join((*_SUMS, *_MOVED))}"
    elif OPS[layer.op].ACCUMULATES and _largest(network, layer) > EXACT:
        reason = f"sums up to {_largest(network, layer):,}, beyond the 2**24 that float32 holds exactly"
    if reason is not None:
        raise NetworkError(f"layer {layer.name!r} ({layer.op}): the export to QONNX cannot say {reason}")


def _largest(network: IntNetwork, layer: IntLayer) -> int:
    """What no partial sum exceeds, in whatever order: the bound, and the bias once more."""
    bias = layer.constants.get("bias", np.zeros(1, np.int64)).astype(np.int64)
    return int(max(np.abs(end).max() for end in network.bounds[layer.name]) + np.abs(bias).max())


class _Graph:
    """Nodes and constants as they are made, and the tensors that hold each layer's codes."""

    def __init__(self, network: IntNetwork, images: int) -> None:
        self.network, self.images = network, images
        self.codes: dict[str | None, str] = {None: IMAGE}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node and the name of its result."""
        self.nodes.append(package("onnx.helper").make_node(op, inputs, [output], output, **attributes))
        return output

    def constant(self, array: Array, name: str, dtype: type = np.float32) -> str:
        """A constant, float32 unless told."""
        self.initializers.append(package("onnx.numpy_helper").from_array(np.asarray(array, dtype), name))
        return name

    def by_channel(self, layer: IntLayer, array: Array, name: str) -> str:
        """Numbers by channel that broadcast to the layer's result."""
        rank = len(self.network.shapes[layer.name])
        return self.constant(array.reshape((1, -1) + (1,) * (rank - 1)), f"{layer.name}/{name}")

    def scaled(self, layer: IntLayer, x: str, factor: Array, name: str) -> str:
        """Times numbers by channel, or one for all."""
        by = self.by_channel(layer, np.asarray(factor), f"{name}_factor")
        return self.node("Mul", [x, by], f"{layer.name}/{name}")

    def biased(self, layer: IntLayer, x: str) -> str:
        """Plus the layer's bias."""
        return self.node("Add", [x, self.by_channel(layer, layer.constants["bias"], "bias")], f"{layer.name}/biased")


def _append(graph: _Graph, layer: IntLayer) -> None:
    """A layer's sums and, where it requantizes, its thresholds."""
    operands = [graph.codes[name] for name in layer.inputs or [None]]
    if not OPS[layer.op].ACCUMULATES:
        moved = _MOVED[layer.op](graph, layer, operands)
        graph.codes[layer.name] = graph.node("Identity", [moved], f"{layer.name}.code")
        return
    made = _saturated(graph, layer, _SUMS[layer.op](graph, layer, operands))
    accumulator = graph.codes[layer.name] = graph.node("Identity", [made], f"{layer.name}.accumulator")
    step = layer.requantize
    if step is None:
        return
    steps = thresholds(graph.network, layer)
    graph.codes[layer.name] = graph.node(
        "MultiThreshold",
        [accumulator, graph.constant(steps, f"{layer.name}/thresholds")],
        f"{layer.name}.code",
        domain=DOMAIN,
        out_dtype=np.dtype(step.format.dtype).name.upper(),
        out_bias=float(step.lo),
        data_layout="NCHW" if len(graph.network.shapes[layer.name]) == 3 else "NC",
    )


def _saturated(graph: _Graph, layer: IntLayer, x: str) -> str:
    """The sum as a narrow accumulator holds it that saturates (contract A3)."""
    top = 1 << (layer.accumulator_bits - 1)
    if layer.accumulator_policy != "saturate" or top > EXACT:
        return x
    ends = [graph.constant(np.array(end), f"{layer.name}/{end}") for end in (-top, top - 1)]
    return graph.node("Clip", [x, *ends], f"{layer.name}/saturated")


# ------------------------------------------------------------------------------------------------ sums, by operator


def _input(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    (x,) = operands
    if layer.attributes["flip"]:
        order = graph.constant(np.array([2, 1, 0]), f"{layer.name}/order", np.int64)
        x = graph.node("Gather", [x, order], f"{layer.name}/flipped", axis=1)
    return graph.biased(layer, graph.scaled(layer, x, np.array(1 << PIXEL_SHIFT), "pixels"))


def _conv(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    at = layer.attributes
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], at["cluster"])
    read = [*operands, graph.constant(weight, f"{layer.name}/weight")]
    window = {"strides": at["strides"], "pads": at["pads"], "group": at["group"]}
    return graph.biased(layer, graph.node("Conv", read, f"{layer.name}/products", **window))


def _fc(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    vectors = graph.node("Flatten", operands, f"{layer.name}/vectors", axis=1)
    read = [vectors, graph.constant(weight.T, f"{layer.name}/weight")]
    return graph.biased(layer, graph.node("MatMul", read, f"{layer.name}/products"))


def _batchnorm(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    factor = layer.constants["sign"].astype(np.int64) << CODE_SHIFT
    return graph.biased(layer, graph.scaled(layer, operands[0], factor, "codes"))


def _add(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    shifts = layer.attributes["shifts"]
    shifted = [
        graph.scaled(layer, x, np.array(1 << shift), f"operand{number}")
        for number, (x, shift) in enumerate(zip(operands, shifts, strict=True))
    ]
    return graph.node("Add", shifted, f"{layer.name}/sum")


def _mul(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    return graph.node("Mul", operands, f"{layer.name}/product")


def _avgpool(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    at, shape = layer.attributes, graph.network.shapes[layer.inputs[0]]
    ones = graph.constant(np.ones((shape[2], 1, *at["kernel_shape"])), f"{layer.name}/ones")
    window = {"strides": at["strides"], "pads": _pads(shape, at), "group": shape[2]}
    total = graph.node("Conv", [*operands, ones], f"{layer.name}/sums", **window)
    share = graph.constant(shares(shape, **at)[None, None], f"{layer.name}/shares")
    return graph.node("Mul", [total, share], f"{layer.name}/shared")


def _global_avgpool(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    axes = graph.constant(np.array([2, 3]), f"{layer.name}/axes", np.int64)
    return graph.node("ReduceSum", [*operands, axes], f"{layer.name}/sum", keepdims=1)


def _requantize(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    return operands[0]


def _lookup(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    """Gather from all tables end to end, by the low 8 bits of the code and the channel's number."""
    table = layer.constants["table"]
    whole = graph.node("Cast", operands, f"{layer.name}/codes", to=package("onnx").TensorProto.INT64)
    size = graph.constant(np.array(lookup.ENTRIES), f"{layer.name}/entries", np.int64)
    address = graph.node("Mod", [whole, size], f"{layer.name}/address")
    rank = len(graph.network.shapes[layer.name])
    first = (np.arange(len(table)) * lookup.ENTRIES).reshape((1, -1) + (1,) * (rank - 1))
    place = graph.node("Add", [address, graph.constant(first, f"{layer.name}/first", np.int64)], f"{layer.name}/places")
    return graph.node("Gather", [graph.constant(table.ravel(), f"{layer.name}/table"), place], f"{layer.name}/found")


_Operator = Callable[[_Graph, IntLayer, list[str]], str]

_SUMS: dict[str, _Operator] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "mul": _mul,
    "avgpool": _avgpool,
    "global_avgpool": _global_avgpool,
    "requantize": _requantize,
    "lookup": _lookup,
}


# ----------------------------------------------------------------------------------------------------- codes, passed on


def _pads(shape: Sequence[int], attributes: Any) -> list[int]:
    """Pads such that windows without ``ceil_mode`` are those of the layer."""
    kernel, strides, pads = (attributes[name] for name in ("kernel_shape", "strides", "pads"))
    out = output_hw(shape[:2], kernel, strides, pads, attributes["ceil_mode"])
    extent = [(count - 1) * stride + size for count, stride, size in zip(out, strides, kernel, strict=True)]
    after = [max(0, whole - side - first) for whole, side, first in zip(extent, shape[:2], pads[:2], strict=True)]
    return [*pads[:2], *after]


def _maxpool(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    at, shape = layer.attributes, graph.network.shapes[layer.inputs[0]]
    window = {"kernel_shape": at["kernel_shape"], "strides": at["strides"], "pads": _pads(shape, at)}
    return graph.node("MaxPool", operands, f"{layer.name}/pooled", **window)


def _concat(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    return graph.node("Concat", operands, f"{layer.name}/joined", axis=1)


def _pad_channels(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    rank, at = len(graph.network.shapes[layer.name]), layer.attributes
    counts = [0, at["before"], *[0] * (rank - 1), 0, at["after"], *[0] * (rank - 1)]
    pads = graph.constant(np.array(counts), f"{layer.name}/pads", np.int64)
    return graph.node("Pad", [*operands, pads], f"{layer.name}/padded")


def _flatten(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    return graph.node("Flatten", operands, f"{layer.name}/vectors", axis=1)


def _gather_channels(graph: _Graph, layer: IntLayer, operands: list[str]) -> str:
    order = graph.constant(layer.constants["order"], f"{layer.name}/order", np.int64)
    return graph.node("Gather", [*operands, order], f"{layer.name}/chosen", axis=1)


_MOVED: dict[str, _Operator] = {
    "maxpool": _maxpool,
    "concat": _concat,
    "pad_channels": _pad_channels,
    "flatten": _flatten,
    "gather_channels": _gather_channels,
}
