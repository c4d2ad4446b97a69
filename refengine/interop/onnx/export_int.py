"""An integer network as ONNX: standard operators on integers alone, which give every integer of the contract.

    image   uint8 (N, H, W, C)   pixels as the image file stores them, any N
    logits  int32 (N, classes)   contract L1

Between them tensors are (N, C, H, W).  ``LAYER.accumulator`` int32 and ``LAYER.code`` uint8 or int8 are called what
they are called in a dump (docs/formats.md), and the nodes that lead to them LAYER/STEP.  What ONNX has no operator for
is composed of those that it has, each of them exact:

    x >> s            (x - Mod(x, 2**s)) / 2**s          Mod takes the divisor's sign, Div cuts and has nothing to cut
    a, b signed       a + 128, b + 128 with zero points   the products of unsigned bytes are exact everywhere
    weight * scale    128 * high + low                    where the product exceeds a byte: int4 codes
    wrapped sum       Mod(x + 2**(b-1), 2**b) - 2**(b-1)
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ... import __version__
from ...errors import NetworkError
from ...network.int_network import IntLayer, IntNetwork
from ...network.units import result_divisor
from ...numbers.requantize import Requantize
from ...numbers.rounding import STOCHASTIC, addends
from ...ops import OPS
from ...ops.avgpool import shares
from ...ops.batchnorm import CODE_SHIFT
from ...ops.conv import integer_weights
from ...ops.input import PIXEL_SHIFT
from ...ops.interface import sources
from ...ops.window import reach
from ...optional import package

EXTRA = 'pip install "refengine[onnx]"'
OPSET = 21
IR_VERSION = 10  # the one that came with the opset
IMAGE, LOGITS, BATCH = "image", "logits", "N"
ACCUMULATOR, CODE = "accumulator", "code"

_ZERO = 128  # the byte that stands for 0 where signed numbers are stored unsigned
_LIMB = 128

Array = np.ndarray[Any, Any]


def to_onnx(network: IntNetwork, layers: bool = False) -> Any:
    """The network as ``onnx.ModelProto``; ``layers``: every layer's accumulators and codes are outputs too.

    NetworkError, naming the layer, for dynamic exponents and stochastic rounding; RefengineError where onnx is missing.
    """
    check_exportable(network)
    helper, onnx = package("onnx.helper", EXTRA), package("onnx", EXTRA)
    graph = _Graph(network)
    for layer in network.layers:
        _append(graph, layer)
    outputs = [_logits(graph)]
    if layers:
        outputs = [*graph.stages, *outputs]
    image = helper.make_tensor_value_info(IMAGE, onnx.TensorProto.UINT8, [BATCH, *network.input_shape])
    made = helper.make_graph(graph.nodes, network.name, [image], outputs, graph.initializers)
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="refengine",
        producer_version=__version__,
    )
    helper.set_model_props(model, properties(network))
    return model


def check_exportable(network: IntNetwork) -> None:
    """NetworkError, naming the layer, unless ONNX operators can give every integer of the network."""
    network.require_static("the export to ONNX")
    for layer in network.layers:
        if layer.op not in SUMS and layer.op not in PASS and not OPS[layer.op].MOVES:
            known = ", ".join(name for name in OPS if name in SUMS or name in PASS or OPS[name].MOVES)
            raise NetworkError(
                f"layer {layer.name!r} ({layer.op}): the export to ONNX has no nodes for this operator; it has: {known}"
            )
        if layer.requantize is not None and layer.requantize.rounding == STOCHASTIC:
            raise NetworkError(
                f"layer {layer.name!r} ({layer.op}) rounds {STOCHASTIC}, by draws that no ONNX operator makes; "
                "the export to ONNX needs a rounding without draws"
            )


def properties(network: IntNetwork) -> dict[str, str]:
    """What the model's metadata says: which network, by which rules, and what a logit is worth."""
    return {
        "model_hash": network.hash,
        "contract": str(network.contract),
        "channels": network.channels,
        "logits_exponent": str(network.layers[-1].exponent),
        "logits_divisor": str(result_divisor(network, network.layers[-1])),
    }


def serialized(model: Any) -> bytes:
    """The model as the bytes of a file, the same for the same model."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


# ------------------------------------------------------------------------------------------------------------ the graph


class _Graph:
    """Nodes and constants as they are made, what each layer's result is called, and the stages of all layers."""

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.results: dict[str, str] = {}
        self.stages: list[Any] = []
        self._helper, self._arrays = package("onnx.helper", EXTRA), package("onnx.numpy_helper", EXTRA)
        self._unsigned: dict[str, str] = {}

    def node(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; what it gives has the same name."""
        self.nodes.append(self._helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: Array) -> str:
        """Store an array; returns its name."""
        self.initializers.append(self._arrays.from_array(np.ascontiguousarray(array), name))
        return name

    def number(self, name: str, value: int, dtype: type) -> str:
        """Store one number; returns its name."""
        return self.constant(name, np.array(value, dtype))

    def by_channel(self, name: str, layer: IntLayer, array: Array) -> str:
        """Store numbers by channel, or one for all, so that they broadcast to the layer's result."""
        return self.constant(name, array.reshape(-1, *[1] * (len(self.network.shapes[layer.name]) - 1)))

    def cast(self, name: str, x: str, dtype: type) -> str:
        """The same integers in another type."""
        return self.node(name, "Cast", x, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def stage(self, layer: IntLayer, stage: str, x: str, dtype: type) -> str:
        """The integers of a stage: a tensor under the name that a dump gives it, cast to its type."""
        name = self.cast(f"{layer.name}.{stage}", x, dtype)
        *sides, channels = self.network.shapes[layer.name]
        shape = [BATCH, channels, *sides]
        element = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.stages.append(self._helper.make_tensor_value_info(name, element, shape))
        return name

    def unsigned(self, layer: str) -> tuple[str, int]:
        """A layer's codes as uint8, and which of them stands for 0."""
        result = self.results[layer]
        if self.network.formats[layer].dtype == np.uint8:
            return result, 0
        if layer not in self._unsigned:
            wide = self.cast(f"{layer}/code_wide", result, np.int32)
            lifted = self.node(f"{layer}/code_lifted", "Add", wide, self.number(f"{layer}/zero", _ZERO, np.int32))
            self._unsigned[layer] = self.cast(f"{layer}/code_unsigned", lifted, np.uint8)
        return self._unsigned[layer], _ZERO


def _append(graph: _Graph, layer: IntLayer) -> None:
    """All nodes of one layer."""
    if not OPS[layer.op].ACCUMULATES:
        dtype = graph.network.formats[layer.name].dtype
        made = PASS.get(layer.op, _moved)
        graph.results[layer.name] = graph.stage(layer, CODE, made(graph, layer), dtype)
        return
    total = _confined(graph, layer, SUMS[layer.op](graph, layer))
    accumulator = graph.stage(layer, ACCUMULATOR, total, np.int32)
    graph.results[layer.name] = accumulator
    if layer.requantize is not None:
        code = _requantized(graph, layer, accumulator, layer.requantize)
        graph.results[layer.name] = graph.stage(layer, CODE, code, layer.requantize.format.dtype)


def _logits(graph: _Graph) -> Any:
    """The last layer's integers as vectors, in the order of the engine's: pixels first, then channels."""
    onnx, last = package("onnx", EXTRA), graph.network.layers[-1].name
    x = graph.cast(f"{last}/logits_wide", graph.results[last], np.int32)
    if len(graph.network.shapes[last]) == 3:
        x = graph.node(f"{last}/pixels_first", "Transpose", x, perm=[0, 2, 3, 1])
    graph.node(LOGITS, "Flatten", x, axis=1)
    helper = package("onnx.helper", EXTRA)
    return helper.make_tensor_value_info(LOGITS, onnx.TensorProto.INT32, [BATCH, graph.network.classes])


# ---------------------------------------------------------------------------------------------- sums, by operator


def _input(graph: _Graph, layer: IntLayer) -> str:
    name = layer.name
    x = graph.node(f"{name}/channels_first", "Transpose", IMAGE, perm=[0, 3, 1, 2])
    if layer.attributes["flip"]:
        order = graph.constant(f"{name}/order", np.arange(graph.network.input_shape[2], dtype=np.int64)[::-1])
        x = graph.node(f"{name}/flipped", "Gather", x, order, axis=1)
    wide = graph.cast(f"{name}/pixel", x, np.int32)
    unit = graph.number(f"{name}/pixel_unit", 1 << PIXEL_SHIFT, np.int32)
    return _biased(graph, layer, graph.node(f"{name}/shifted", "Mul", wide, unit))


def _conv(graph: _Graph, layer: IntLayer) -> str:
    attributes = layer.attributes
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], attributes["cluster"])
    window = {name: attributes[name] for name in ("strides", "pads", "group")}
    x, zero = graph.unsigned(layer.inputs[0])
    products = _products(graph, layer, "ConvInteger", x, zero, weight, kernel_shape=weight.shape[2:], **window)
    return _biased(graph, layer, products)


def _fc(graph: _Graph, layer: IntLayer) -> str:
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    x, zero = graph.unsigned(layer.inputs[0])
    flat = graph.node(f"{layer.name}/flat", "Flatten", x, axis=1)
    return _biased(graph, layer, _products(graph, layer, "MatMulInteger", flat, zero, weight.T))


def _products(graph: _Graph, layer: IntLayer, op: str, x: str, zero: int, weight: Array, **window: Any) -> str:
    """Sums of products of codes and integer weights: int32, within the bound of contract A2 at every step.

    Weights are bytes with a zero point, not signed bytes: products of an unsigned and a signed byte are added up in 16
    bits, and saturate, in ONNX Runtime on x86 processors without VNNI.
    """
    name = layer.name
    zero_x = graph.number(f"{name}/zero_point", zero, np.uint8)
    zero_w = graph.number(f"{name}/weight_zero_point", _ZERO, np.uint8)

    def summed(step: str, limb: Array) -> str:
        stored = graph.constant(f"{name}/{step}_weight", (limb + _ZERO).astype(np.uint8))
        return graph.node(f"{name}/{step}", op, x, stored, zero_x, zero_w, **window)

    if np.abs(weight).max() < _LIMB:
        return summed("sum", weight)
    high = np.sign(weight) * (np.abs(weight) // _LIMB)  # of one sign with low, so that neither sum exceeds the bound
    low = weight - high * _LIMB
    unit = graph.number(f"{name}/limb", _LIMB, np.int32)
    shifted = graph.node(f"{name}/high_shifted", "Mul", summed("high", high), unit)
    return graph.node(f"{name}/sum", "Add", shifted, summed("low", low))


def _biased(graph: _Graph, layer: IntLayer, x: str) -> str:
    bias = graph.by_channel(f"{layer.name}/bias", layer, layer.constants["bias"])
    return graph.node(f"{layer.name}/biased", "Add", x, bias)


def _batchnorm(graph: _Graph, layer: IntLayer) -> str:
    factor = layer.constants["sign"].astype(np.int32) << CODE_SHIFT
    wide = graph.cast(f"{layer.name}/wide", graph.results[layer.inputs[0]], np.int32)
    product = graph.node(f"{layer.name}/turned", "Mul", wide, graph.by_channel(f"{layer.name}/factor", layer, factor))
    return _biased(graph, layer, product)


def _add(graph: _Graph, layer: IntLayer) -> str:
    name, shifted = layer.name, []
    for side, source, shift in zip("ab", layer.inputs, layer.attributes["shifts"], strict=True):
        wide = graph.cast(f"{name}/{side}", graph.results[source], np.int32)
        unit = graph.number(f"{name}/{side}_unit", 1 << shift, np.int32)
        shifted.append(graph.node(f"{name}/{side}_shifted", "Mul", wide, unit))
    return graph.node(f"{name}/sum", "Add", *shifted)


def _avgpool(graph: _Graph, layer: IntLayer) -> str:
    """A convolution of every channel with ones, whose padding is 0 and adds nothing."""
    name, source = layer.name, layer.inputs[0]
    shape = graph.network.shapes[source]
    window = _whole_windows(graph, layer)
    x, zero = graph.unsigned(source)
    ones = graph.constant(f"{name}/ones", np.ones((shape[2], 1, *window["kernel_shape"]), np.uint8))
    zero_point = graph.number(f"{name}/zero_point", zero, np.uint8)
    total = graph.node(f"{name}/sum", "ConvInteger", x, ones, zero_point, group=shape[2], **window)
    share = shares(shape, **layer.attributes).astype(np.int32)
    return graph.node(f"{name}/shared", "Mul", total, graph.constant(f"{name}/share", share))


def _global_avgpool(graph: _Graph, layer: IntLayer) -> str:
    wide = graph.cast(f"{layer.name}/wide", graph.results[layer.inputs[0]], np.int32)
    axes = graph.constant(f"{layer.name}/axes", np.array([2, 3], np.int64))
    return graph.node(f"{layer.name}/sum", "ReduceSum", wide, axes, keepdims=1)


def _lookup(graph: _Graph, layer: IntLayer) -> str:
    """Entries of the tables laid end to end: those of channel c begin at 256 * c."""
    name, table = layer.name, layer.constants["table"].astype(np.int32)
    address = graph.cast(f"{name}/wide", graph.results[layer.inputs[0]], np.int32)
    if graph.network.formats[layer.inputs[0]].dtype != np.uint8:
        entries = graph.number(f"{name}/entries", table.shape[1], np.int32)
        address = graph.node(f"{name}/address", "Mod", address, entries)
    if len(table) > 1:
        first = np.arange(len(table), dtype=np.int32) * table.shape[1]
        address = graph.node(f"{name}/place", "Add", address, graph.by_channel(f"{name}/first", layer, first))
    return graph.node(f"{name}/entry", "Gather", graph.constant(f"{name}/table", table.ravel()), address)


def _mul(graph: _Graph, layer: IntLayer) -> str:
    name = layer.name
    wide = [
        graph.cast(f"{name}/{side}", graph.results[x], np.int32) for side, x in zip("ab", layer.inputs, strict=True)
    ]
    return graph.node(f"{name}/multiplied", "Mul", *wide)


SUMS: dict[str, Callable[[_Graph, IntLayer], str]] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "avgpool": _avgpool,
    "global_avgpool": _global_avgpool,
    "requantize": lambda graph, layer: graph.results[layer.inputs[0]],
    "lookup": _lookup,
    "mul": _mul,
}


def _confined(graph: _Graph, layer: IntLayer, x: str) -> str:
    """The sum as a narrow accumulator holds it (contract A3, A4)."""
    name, top = layer.name, 1 << (layer.accumulator_bits - 1)
    if layer.accumulator_policy == "saturate":
        ends = (graph.number(f"{name}/{end}", value, np.int32) for end, value in (("least", -top), ("most", top - 1)))
        return graph.node(f"{name}/saturated", "Clip", x, *ends)
    if layer.accumulator_policy == "wrap":
        half, whole = graph.number(f"{name}/half", top, np.int64), graph.number(f"{name}/whole", 2 * top, np.int64)
        lifted = graph.node(f"{name}/lifted", "Add", graph.cast(f"{name}/wide_sum", x, np.int64), half)
        return graph.node(f"{name}/wrapped", "Sub", graph.node(f"{name}/modulo", "Mod", lifted, whole), half)
    return x


# ------------------------------------------------------------------------------------------------- contract Q1 to Q3


def _requantized(graph: _Graph, layer: IntLayer, accumulator: str, step: Requantize) -> str:
    """Codes of accumulators: int64, not yet cast to their format."""
    name = layer.name

    def by_channel(what: str, values: Array) -> str:
        return graph.by_channel(f"{name}/{what}", layer, values)

    wide = graph.cast(f"{name}/accumulator_wide", accumulator, np.int64)
    total = graph.node(f"{name}/product", "Mul", wide, by_channel("multiplier", step.multiplier))
    if layer.residual is not None and step.residual_shift is not None:
        wide = graph.cast(f"{name}/residual", graph.results[layer.residual], np.int64)
        unit = by_channel("residual_unit", np.int64(1) << step.residual_shift)
        total = graph.node(f"{name}/total", "Add", total, graph.node(f"{name}/residual_shifted", "Mul", wide, unit))
    unit = by_channel("unit", np.int64(1) << step.shift)
    addend = _addend(graph, layer, total, unit, step)
    quotient = _shifted(graph, f"{name}/rounded", graph.node(f"{name}/raised", "Add", total, addend), unit)
    ends = (graph.number(f"{name}/{end}", value, np.int64) for end, value in (("lo", step.lo), ("hi", step.hi)))
    return graph.node(f"{name}/clipped", "Clip", quotient, *ends)


def _addend(graph: _Graph, layer: IntLayer, total: str, unit: str, step: Requantize) -> str:
    """What is added before the shift (contract R3): by the total's sign and by whether its quotient is odd."""
    name, table = layer.name, np.moveaxis(addends(step.shift, step.rounding), -1, 0)
    by_sign, by_parity = (not np.array_equal(table, table[order]) for order in ([2, 3, 0, 1], [1, 0, 3, 2]))
    kinds = [("even", 0), ("odd", 1), ("even_negative", 2), ("odd_negative", 3)]
    columns = [
        graph.by_channel(f"{name}/addend_{kind}", layer, table[column])
        for kind, column in kinds
        if (by_parity or column % 2 == 0) and (by_sign or column < 2)
    ]
    if by_parity:
        quotient, two = _shifted(graph, f"{name}/quotient", total, unit), graph.number(f"{name}/two", 2, np.int64)
        parity = graph.cast(f"{name}/odd", graph.node(f"{name}/parity", "Mod", quotient, two), np.bool_)
        pairs = zip(columns[::2], columns[1::2], strict=True)
        columns = [
            graph.node(f"{name}/by_parity_{n}", "Where", parity, odd, even) for n, (even, odd) in enumerate(pairs)
        ]
    if by_sign:
        negative = graph.node(f"{name}/negative", "Less", total, graph.number(f"{name}/zero_total", 0, np.int64))
        return graph.node(f"{name}/by_sign", "Where", negative, columns[1], columns[0])
    return columns[0]


def _shifted(graph: _Graph, name: str, x: str, unit: str) -> str:
    """int64 x >> s, with ``unit`` = 2**s."""
    remainder = graph.node(f"{name}_remainder", "Mod", x, unit)
    return graph.node(name, "Div", graph.node(f"{name}_multiple", "Sub", x, remainder), unit)


# ----------------------------------------------------------------------------------------------------- codes, passed on


def _maxpool(graph: _Graph, layer: IntLayer) -> str:
    x = graph.results[layer.inputs[0]]
    return graph.node(f"{layer.name}/largest", "MaxPool", x, **_whole_windows(graph, layer))


def _whole_windows(graph: _Graph, layer: IntLayer) -> dict[str, Any]:
    """A pool's window with the padding after the image that its windows reach: no engine's ``ceil_mode`` is asked."""
    kernel, strides = layer.attributes["kernel_shape"], layer.attributes["strides"]
    pads = reach(graph.network.shapes[layer.inputs[0]][:2], **layer.attributes)
    return {"kernel_shape": kernel, "strides": strides, "pads": pads}


def _concat(graph: _Graph, layer: IntLayer) -> str:
    return graph.node(f"{layer.name}/joined", "Concat", *(graph.results[name] for name in layer.inputs), axis=1)


def _pad_channels(graph: _Graph, layer: IntLayer) -> str:
    before, after = layer.attributes["before"], layer.attributes["after"]
    pads = graph.constant(f"{layer.name}/pads", np.array([0, before, 0, 0, 0, after, 0, 0], np.int64))
    return graph.node(f"{layer.name}/padded", "Pad", graph.results[layer.inputs[0]], pads)


def _flatten(graph: _Graph, layer: IntLayer) -> str:
    return graph.node(f"{layer.name}/flat", "Flatten", graph.results[layer.inputs[0]], axis=1)


def _moved(graph: _Graph, layer: IntLayer) -> str:
    """Codes that only move, by their numbers in the operands laid end to end; the number after the last is code 0."""
    name, shapes = layer.name, [graph.network.shapes[source] for source in layer.inputs]
    found, dtype = sources(OPS[layer.op], shapes, layer.arguments), graph.network.formats[layer.inputs[0]].dtype
    flat = []
    for number, (source, shape) in enumerate(zip(layer.inputs, shapes, strict=True)):
        x = graph.results[source]
        if len(shape) == 3:
            x = graph.node(f"{name}/{number}_pixels_first", "Transpose", x, perm=[0, 2, 3, 1])
        flat.append(graph.node(f"{name}/{number}_flat", "Flatten", x, axis=1))
    together = graph.node(f"{name}/together", "Concat", *flat, axis=1) if len(flat) > 1 else flat[0]
    if found.min() < 0:
        one_more = graph.constant(f"{name}/one_more", np.array([0, 0, 0, 1], np.int64))
        together = graph.node(f"{name}/with_zero", "Pad", together, one_more, graph.number(f"{name}/zero", 0, dtype))
        found = found % (sum(prod(shape) for shape in shapes) + 1)
    order = np.moveaxis(found, -1, 0)
    moved = graph.node(f"{name}/moved", "Gather", together, graph.constant(f"{name}/order", order.ravel()), axis=1)
    return graph.node(f"{name}/shaped", "Reshape", moved, graph.constant(f"{name}/shape", np.array([0, *order.shape])))


def _gather_channels(graph: _Graph, layer: IntLayer) -> str:
    order = graph.constant(f"{layer.name}/order", layer.constants["order"])
    return graph.node(f"{layer.name}/gathered", "Gather", graph.results[layer.inputs[0]], order, axis=1)


PASS: dict[str, Callable[[_Graph, IntLayer], str]] = {
    "gather_channels": _gather_channels,
    "maxpool": _maxpool,
    "concat": _concat,
    "pad_channels": _pad_channels,
    "flatten": _flatten,
}
