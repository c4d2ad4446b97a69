"""One layer of an integer network as a graph of TOSA 1.1, which gives its accumulators and its codes.

A graph is what the schema ``tosa.fbs`` makes of it, written as JSON: operators, tensors, constant shapes.  Its inputs
are the codes that the layer reads, its outputs are called as a dump calls them.

    unsigned codes     int8, 128 less, with zero point -128: padding is code 0
    sums               CONV2D, DEPTHWISE_CONV2D, MUL and ADD in INT32
    weight * scale     128 * high + low, two convolutions, where the product exceeds a byte: int4 codes
    groups             SLICE, CONV2D each, CONCAT
    average pools      DEPTHWISE_CONV2D with ones, MUL by L / count (contract Avgpool1)
    wrapped sum        LOGICAL_LEFT_SHIFT and ARITHMETIC_RIGHT_SHIFT by 32 - bits
    codes              RESCALE and CLAMP; else (``no_rescale``) INT64 operators, by the table of contract R3
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from ...errors import NetworkError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.formats import signed_bits
from ...numbers.requantize import Requantize
from ...numbers.rounding import DOUBLE_ROUND, STOCHASTIC, addends
from ...ops import OPS, lookup
from ...ops.avgpool import shares
from ...ops.batchnorm import CODE_SHIFT
from ...ops.conv import integer_weights
from ...ops.input import PIXEL_SHIFT
from ...ops.interface import sources
from ...ops.window import output_hw

ACCUMULATOR, CODE = "accumulator", "code"

Array = np.ndarray[Any, Any]

_ZERO = 128  # what an unsigned code exceeds the byte by that holds it
_LIMB = 128
_ROUNDING_MODES = {"half_up": "SINGLE_ROUND", DOUBLE_ROUND: "DOUBLE_ROUND"}
_SHIFTS = (2, 62)
_MULTIPLIER_BITS = 31
_ONE_ROUND_SHIFT = 31  # up to it DOUBLE_ROUND is SINGLE_ROUND
_TYPES = {np.dtype(kind): kind.__name__.upper() for kind in (np.int8, np.int32, np.int64)} | {np.dtype(bool): "BOOL"}
_VERSION = {"_major": 1, "_minor": 1, "_patch": 0, "_draft": True}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Graph:
    """Operators as they are appended, the tensors and shapes that they read, and which are inputs and outputs."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self._operators: list[dict[str, Any]] = []
        self._tensors: list[dict[str, Any]] = []
        self._shapes: list[dict[str, Any]] = []

    def input(self, shape: Sequence[int], name: str | None = None) -> Tensor:
        """Another input: codes as int8."""
        tensor = self._tensor(name or f"input{len(self.inputs)}", shape, np.int8)
        self.inputs.append(tensor.name)
        return tensor

    def output(self, x: Tensor, name: str) -> None:
        """Another output, under a name of its own."""
        tensor = self._tensor(name, x.shape, x.dtype)
        self._append("IDENTITY", [x.name], [tensor.name])
        self.outputs.append(tensor.name)

    def constant(self, array: Array) -> Tensor:
        """A constant."""
        tensor = self._tensor(f"constant{len(self._tensors)}", array.shape, array.dtype)
        self._tensors[-1]["data"] = _bytes_of(array)
        self._append("CONST", [], [tensor.name])
        return tensor

    def number(self, value: int, dtype: type, rank: int = 1) -> Tensor:
        """A constant of one element."""
        return self.constant(np.full((1,) * rank, value, dtype))

    def shape(self, lengths: Sequence[int]) -> str:
        """A constant of lengths, positions or paddings."""
        name = f"shape{len(self._shapes)}"
        self._shapes.append({"name": name, "rank": len(lengths), "data": _bytes_of(np.array(lengths, np.int64))})
        self._append("CONST_SHAPE", [], [name])
        return name

    def node(
        self, op: str, inputs: Sequence[Tensor | str], shape: Sequence[int], dtype: Any, **attributes: Any
    ) -> Tensor:
        """What an operator gives, of a shape and type that the model checks."""
        tensor = self._tensor(f"{op.lower()}{len(self._tensors)}", shape, dtype)
        names = [one if isinstance(one, str) else one.name for one in inputs]
        self._append(op, names, [tensor.name], **attributes)
        return tensor

    def elementwise(self, op: str, *operands: Tensor, **attributes: Any) -> Tensor:
        """The same, of operands that are broadcast."""
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        extra = (self.number(0, np.int8),) if op == "MUL" else ()
        dtype = np.bool_ if op in ("GREATER", "EQUAL") else operands[-1].dtype
        return self.node(op, [*operands, *extra], shape, dtype, **attributes)

    def cast(self, x: Tensor, dtype: type) -> Tensor:
        """The same integers in another type; between bytes and INT64 there is no way but by INT32."""
        if x.dtype == dtype:
            return x
        if {x.dtype.itemsize, np.dtype(dtype).itemsize} == {1, 8}:
            x = self.cast(x, np.int32)
        return self.node("CAST", [x], x.shape, dtype)

    def document(self) -> dict[str, Any]:
        """The graph, ready to be written as JSON."""
        block = {
            "name": "main",
            "operators": self._operators,
            "tensors": self._tensors,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "shapes": self._shapes,
        }
        return {"version": _VERSION, "regions": [{"name": "main", "blocks": [block]}]}

    def _tensor(self, name: str, shape: Sequence[int], dtype: Any) -> Tensor:
        tensor = Tensor(name, tuple(int(length) for length in shape), np.dtype(dtype))
        self._tensors.append({"name": name, "shape": list(tensor.shape), "type": _TYPES[tensor.dtype]})
        return tensor

    def _append(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        kind = "".join(word.capitalize() for word in op.split("_")) + "Attribute"
        self._operators.append(
            {"op": op, "attribute_type": kind, "attribute": attributes, "inputs": inputs, "outputs": outputs}
        )


def _bytes_of(array: Array) -> list[int]:
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return np.frombuffer(little_endian.tobytes(), np.uint8).tolist()


# ---------------------------------------------------------------------------------------------------- what is expressed


@dataclass(frozen=True)
class LayerGraph:
    """A layer as a TOSA graph.

    document: the graph.  inputs: the tensors that it reads, in the order of the layer's operands, residual last.
    outputs: stage -> tensor that holds it.
    """

    document: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: Mapping[str, str]


def layer_graph(network: IntNetwork, layer: IntLayer, images: int) -> LayerGraph:
    """The layer on that many images; codes and pixels that go in and out are held as ``signed`` holds them.

    Stages for which ``left_out`` has a reason are missing.  NetworkError for dynamic exponents.
    """
    network.require_static("TOSA")
    building = Building(network, layer, images, Graph())
    stages = {stage: tensor.name for stage, tensor in layer_stages(building).items()}
    building.graph.outputs.extend(stages.values())
    return LayerGraph(building.graph.document(), tuple(building.graph.inputs), stages)


def layer_stages(building: Building) -> dict[str, Tensor]:
    """Append a layer's operators to the graph: stage -> tensor; NetworkError for an operator without any."""
    layer = building.layer
    if layer.op not in SUMS and layer.op not in PASS and not OPS[layer.op].MOVES:
        known = ", ".join(name for name in OPS if name in SUMS or name in PASS or OPS[name].MOVES)
        raise NetworkError(
            f"layer {layer.name!r} ({layer.op}): the export to TOSA has no graph for this operator; it has: {known}"
        )
    operands = [building.operand(name) for name in layer.inputs or [None]]
    if not OPS[layer.op].ACCUMULATES:
        return {CODE: PASS.get(layer.op, _moved)(building, operands)}
    stages = {ACCUMULATOR: _confined(building, SUMS[layer.op](building, operands))}
    if layer.requantize is not None and CODE not in left_out(layer):
        stages[CODE] = _requantized(building, stages[ACCUMULATOR], layer.requantize)
    return stages


def left_out(layer: IntLayer) -> dict[str, str]:
    """Stages of a layer that TOSA cannot express -> why."""
    if layer.requantize is not None and layer.requantize.rounding == STOCHASTIC:
        return {CODE: f"{STOCHASTIC} rounding, whose draws no operator makes"}
    return {}


def no_rescale(network: IntNetwork, layer: IntLayer) -> str | None:
    """Why RESCALE cannot give a layer's codes; None where it can, or where there is nothing to rescale."""
    step = layer.requantize
    if step is None:
        return None
    if layer.residual is not None:
        return "a residual is added before the rounding"
    if step.rounding not in _ROUNDING_MODES:
        return f"{step.rounding} is none of its roundings"
    if _raised(network, layer, step) is None:
        return f"its shifts are {_SHIFTS[0]}..{_SHIFTS[1]}, of values with at most as many bits"
    return None


def signed(codes: Array) -> Array:
    """Codes as a graph holds them: unsigned ones 128 less, int8.

    >>> signed(np.array([0, 255], np.uint8)), signed(np.array([-3], np.int8))
    (array([-128,  127], dtype=int8), array([-3], dtype=int8))
    """
    return (codes.astype(np.int16) - _ZERO).astype(np.int8) if codes.dtype == np.uint8 else codes


def unsigned(codes: Array) -> Array:
    """The unsigned codes that ``signed`` took 128 from."""
    return (codes.astype(np.int16) + _ZERO).astype(np.uint8)


class Building:
    """One layer under construction; ``made``: tensors of the graph that hold codes of layers, or (None) the pixels."""

    def __init__(
        self,
        network: IntNetwork,
        layer: IntLayer,
        images: int,
        graph: Graph,
        made: Mapping[str | None, Tensor] = MappingProxyType({}),
    ) -> None:
        self.network, self.layer, self.images, self.graph, self.made = network, layer, images, graph, made
        self.shape = (images, *network.shapes[layer.name])

    def operand(self, name: str | None) -> Tensor:
        """The codes of a layer, or the pixels: what is made already, or else another input."""
        if name in self.made:
            return self.made[name]
        shape = self.network.input_shape if name is None else self.network.shapes[name]
        return self.graph.input((self.images, *shape))

    def zero(self, name: str | None) -> int:
        """The byte that holds code 0 of a layer, or pixel 0."""
        return -_ZERO if name is None or self.network.formats[name].dtype == np.uint8 else 0

    def wide(self, x: Tensor, name: str | None, dtype: type = np.int32) -> Tensor:
        """The integers that bytes stand for."""
        values = self.graph.cast(x, dtype)
        zero = self.zero(name)
        return self.graph.elementwise("SUB", values, self.number(zero, dtype)) if zero else values

    def number(self, value: int, dtype: type) -> Tensor:
        """A number that broadcasts to the layer's result or operands."""
        return self.graph.number(value, dtype, len(self.shape))

    def by_channel(self, array: Array) -> Tensor:
        """Numbers by channel, or one for all, that broadcast to the layer's result."""
        return self.graph.constant(array.reshape((1,) * (len(self.shape) - 1) + (-1,)))

    def biased(self, x: Tensor) -> Tensor:
        """Plus the layer's bias."""
        return self.graph.elementwise("ADD", x, self.by_channel(self.layer.constants["bias"]))


# ---------------------------------------------------------------------------------------------- sums, by operator


def _input(building: Building, operands: list[Tensor]) -> Tensor:
    graph, (x,) = building.graph, operands
    if building.layer.attributes["flip"]:
        x = graph.node("REVERSE", [x], x.shape, x.dtype, axis=3)
    unit = building.number(1 << PIXEL_SHIFT, np.int32)
    return building.biased(graph.elementwise("MUL", building.wide(x, None), unit))


def _conv(building: Building, operands: list[Tensor]) -> Tensor:
    layer, attributes = building.layer, building.layer.attributes
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], attributes["cluster"])
    zero = building.zero(layer.inputs[0])
    x, pad = _windows(building, operands[0], weight.shape[2:], attributes, zero)
    window = {"pad": pad, "stride": list(attributes["strides"])}
    return _convolved(building, x, zero, weight, layer.constants["bias"], attributes["group"], window)


def _fc(building: Building, operands: list[Tensor]) -> Tensor:
    """A convolution of one pixel."""
    graph, layer = building.graph, building.layer
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    weight = weight[:, :, None, None]
    x = _reshaped(graph, _flat(building, operands), (building.images, 1, 1, weight.shape[1]))
    window = {"pad": [0, 0, 0, 0], "stride": [1, 1]}
    y = _convolved(building, x, building.zero(layer.inputs[0]), weight, layer.constants["bias"], 1, window)
    return _reshaped(graph, y, building.shape)


def _windows(
    building: Building, x: Tensor, kernel: Sequence[int], attributes: Mapping[str, Any], filler: int
) -> tuple[Tensor, list[int]]:
    """What the windows read, and TOSA's padding of it, in its order: windows must end where the padded image ends.

    Where they do not, the image is padded beforehand, with ``filler``, and cut.
    """
    graph, sides = building.graph, x.shape[1:3]
    before, strides = attributes["pads"][:2], attributes["strides"]
    out = output_hw(sides, kernel, strides, attributes["pads"], attributes.get("ceil_mode", False))
    extent = [(count - 1) * stride + size for count, stride, size in zip(out, strides, kernel, strict=True)]
    after = [whole - side - first for whole, side, first in zip(extent, sides, before, strict=True)]
    if min(after) >= 0:
        return x, [before[0], after[0], before[1], after[1]]
    pads = [(0, 0), *((first, max(0, last)) for first, last in zip(before, after, strict=True)), (0, 0)]
    padded = _padded(graph, x, pads, filler)
    shape = (x.shape[0], *extent, x.shape[3])
    return _part(graph, padded, (0, 0, 0, 0), shape), [0, 0, 0, 0]


def _convolved(
    building: Building, x: Tensor, zero: int, weight: Array, bias: Array, group: int, window: dict[str, Any]
) -> Tensor:
    """Sums of products of codes and integer weights, plus bias; within the bound of contract A2 at every step."""
    graph, shape = building.graph, (building.images, *_hw(x, weight, window), len(weight))
    if np.abs(weight).max() < _LIMB:
        return _products(graph, x, zero, weight, bias, group, shape, window)
    high = np.sign(weight) * (np.abs(weight) // _LIMB)  # of one sign with low, so that neither sum exceeds the bound
    upper = _products(graph, x, zero, high, np.zeros_like(bias), group, shape, window)
    lower = _products(graph, x, zero, weight - high * _LIMB, bias, group, shape, window)
    return graph.elementwise("ADD", graph.elementwise("MUL", upper, graph.number(_LIMB, np.int32, 4)), lower)


def _hw(x: Tensor, weight: Array, window: Mapping[str, Any]) -> tuple[int, int]:
    top, bottom, left, right = window["pad"]
    return output_hw(x.shape[1:3], weight.shape[2:], window["stride"], (top, left, bottom, right))


def _products(
    graph: Graph,
    x: Tensor,
    zero: int,
    weight: Array,
    bias: Array,
    group: int,
    shape: tuple[int, ...],
    window: Mapping[str, Any],
) -> Tensor:
    """One convolution, or one a group."""
    zeros = [graph.number(zero, np.int8), graph.number(0, np.int8)]
    common = {**window, "dilation": [1, 1], "local_bound": False, "acc_type": "INT32"}
    inputs, outputs = weight.shape[1], len(weight) // group
    if inputs == 1 and group > 1:
        filters = weight.reshape(group, outputs, *weight.shape[2:]).transpose(2, 3, 0, 1)
        read = [x, graph.constant(filters.astype(np.int8)), graph.constant(bias), *zeros]
        return graph.node("DEPTHWISE_CONV2D", read, shape, np.int32, **common)
    parts = []
    for first in range(group):
        ours = slice(first * outputs, (first + 1) * outputs)
        part = x
        if group > 1:
            part = _part(graph, x, (0, 0, 0, first * inputs), (*x.shape[:3], inputs))
        filters = weight[ours].transpose(0, 2, 3, 1)
        read = [part, graph.constant(filters.astype(np.int8)), graph.constant(bias[ours]), *zeros]
        parts.append(graph.node("CONV2D", read, (*shape[:3], outputs), np.int32, **common))
    return parts[0] if group == 1 else graph.node("CONCAT", parts, shape, np.int32, axis=3)


def _batchnorm(building: Building, operands: list[Tensor]) -> Tensor:
    factor = building.by_channel(building.layer.constants["sign"].astype(np.int32) << CODE_SHIFT)
    wide = building.wide(operands[0], building.layer.inputs[0])
    return building.biased(building.graph.elementwise("MUL", wide, factor))


def _add(building: Building, operands: list[Tensor]) -> Tensor:
    layer = building.layer
    shifted = [
        building.graph.elementwise("MUL", building.wide(x, name), building.number(1 << shift, np.int32))
        for x, name, shift in zip(operands, layer.inputs, layer.attributes["shifts"], strict=True)
    ]
    return building.graph.elementwise("ADD", *shifted)


def _avgpool(building: Building, operands: list[Tensor]) -> Tensor:
    layer, attributes = building.layer, building.layer.attributes
    shape = building.network.shapes[layer.inputs[0]]
    total = _summed(building, operands[0], attributes["kernel_shape"], attributes)
    share = shares(shape, **attributes).astype(np.int32)[None, :, :, None]
    return building.graph.elementwise("MUL", total, building.graph.constant(share))


def _global_avgpool(building: Building, operands: list[Tensor]) -> Tensor:
    return _summed(building, operands[0], operands[0].shape[1:3], {"strides": (1, 1), "pads": (0, 0, 0, 0)})


def _summed(building: Building, x: Tensor, kernel: Sequence[int], attributes: Mapping[str, Any]) -> Tensor:
    """The sum of each window: a convolution of every channel with ones, whose padding adds nothing."""
    channels, zero = x.shape[3], building.zero(building.layer.inputs[0])
    x, pad = _windows(building, x, kernel, attributes, zero)
    window = {"pad": pad, "stride": list(attributes["strides"])}
    ones = np.ones((channels, 1, *kernel), np.int32)
    return _convolved(building, x, zero, ones, np.zeros(channels, np.int32), channels, window)


def _requantize(building: Building, operands: list[Tensor]) -> Tensor:
    return building.wide(operands[0], building.layer.inputs[0])


def _lookup(building: Building, operands: list[Tensor]) -> Tensor:
    """TABLE, whose entries are those of the bytes from -128 on; a table a channel: SLICE, TABLE each, CONCAT."""
    graph, layer, (x,) = building.graph, building.layer, operands
    table, held = layer.constants["table"], building.zero(layer.inputs[0])
    zero = 0 if table.min() < 0 else -_ZERO
    entries = (table[:, np.arange(-_ZERO, _ZERO) - held & (lookup.ENTRIES - 1)] + zero).astype(np.int8)
    if len(entries) == 1:
        found = graph.node("TABLE", [x, graph.constant(entries[0])], x.shape, np.int8)
    else:
        one = (*x.shape[:-1], 1)
        start = (0,) * (len(one) - 1)
        parts = [
            graph.node("TABLE", [_part(graph, x, (*start, c), one), graph.constant(row)], one, np.int8)
            for c, row in enumerate(entries)
        ]
        found = graph.node("CONCAT", parts, x.shape, np.int8, axis=len(one) - 1)
    wide = graph.cast(found, np.int32)
    return graph.elementwise("SUB", wide, building.number(zero, np.int32)) if zero else wide


def _mul(building: Building, operands: list[Tensor]) -> Tensor:
    names = building.layer.inputs
    return building.graph.elementwise("MUL", *map(building.wide, operands, names))


_Operator = Callable[[Building, list[Tensor]], Tensor]

SUMS: dict[str, _Operator] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "avgpool": _avgpool,
    "global_avgpool": _global_avgpool,
    "requantize": _requantize,
    "lookup": _lookup,
    "mul": _mul,
}


def _confined(building: Building, x: Tensor) -> Tensor:
    """The sum as a narrow accumulator holds it (contract A3, A4)."""
    layer, graph = building.layer, building.graph
    if layer.accumulator_policy == "saturate":
        top = 1 << (layer.accumulator_bits - 1)
        return _between(building, x, -top, top - 1)
    if layer.accumulator_policy == "wrap" and layer.accumulator_bits < 32:
        unused = building.number(32 - layer.accumulator_bits, np.int32)
        return graph.elementwise(
            "ARITHMETIC_RIGHT_SHIFT", graph.elementwise("LOGICAL_LEFT_SHIFT", x, unused), unused, round=False
        )
    return x


def _between(building: Building, x: Tensor, lo: int, hi: int) -> Tensor:
    kind, graph = x.dtype.type, building.graph
    raised = graph.elementwise("MAXIMUM", x, building.number(lo, kind), nan_mode="PROPAGATE")
    return graph.elementwise("MINIMUM", raised, building.number(hi, kind), nan_mode="PROPAGATE")


# ------------------------------------------------------------------------------------------------- contract Q1 to Q3


def _requantized(building: Building, accumulator: Tensor, step: Requantize) -> Tensor:
    """Codes of accumulators, as ``signed`` holds them."""
    network, layer = building.network, building.layer
    raised = _raised(network, layer, step) if no_rescale(network, layer) is None else None
    return _by_int64(building, accumulator, step) if raised is None else _rescaled(building, accumulator, step, *raised)


def _raised(network: IntNetwork, layer: IntLayer, step: Requantize) -> tuple[Array, Array] | None:
    """Multipliers and shifts as RESCALE takes them, both raised by the same bits where it wants longer shifts.

    None where no such bits exist, or where they would bring a second rounding into being.
    """
    top = 1 << (layer.accumulator_bits - 1)
    lo, hi = (np.clip(ends, -top, top - 1) for ends in network.bounds[layer.name])
    bits = [signed_bits(*ends) for ends in zip(lo.tolist(), hi.tolist(), strict=True)]
    if layer.accumulator_policy == "wrap":
        bits = [min(32, layer.accumulator_bits)]
    multiplier, shift, wanted = np.broadcast_arrays(step.multiplier, step.shift, np.maximum(bits, _SHIFTS[0]))
    more = np.maximum(wanted - shift, 0)
    raised = multiplier << more
    once = step.rounding != DOUBLE_ROUND or not (more.any() and (shift + more).max() > _ONE_ROUND_SHIFT)
    fits = raised.max() < 1 << _MULTIPLIER_BITS and (shift + more).max() <= _SHIFTS[1]
    return (raised, shift + more) if fits and once else None


def _rescaled(building: Building, accumulator: Tensor, step: Requantize, multiplier: Array, shift: Array) -> Tensor:
    graph, dtype = building.graph, _held(step)
    zero = -_ZERO if step.format.dtype == np.uint8 else 0
    constants = [
        graph.constant(multiplier.astype(np.int32)),
        graph.constant(shift.astype(np.int8)),
        graph.number(0, np.int32),
        graph.number(zero, dtype),
    ]
    codes = graph.node(
        "RESCALE",
        [accumulator, *constants],
        accumulator.shape,
        dtype,
        scale32=True,
        rounding_mode=_ROUNDING_MODES[step.rounding],
        per_channel=len(multiplier) > 1,
        input_unsigned=False,
        output_unsigned=False,
    )
    if (step.lo, step.hi) == (step.format.lo, step.format.hi):
        return codes
    if dtype != np.int8:
        return _between(building, codes, step.lo, step.hi)
    lo, hi = (_bytes_of(np.array([end + zero], dtype)) for end in (step.lo, step.hi))
    return graph.node("CLAMP", [codes], codes.shape, dtype, min_val=lo, max_val=hi, nan_mode="PROPAGATE")


def _by_int64(building: Building, accumulator: Tensor, step: Requantize) -> Tensor:
    """The same by the operators of INT64."""
    graph, layer = building.graph, building.layer
    total = graph.elementwise("MUL", graph.cast(accumulator, np.int64), building.by_channel(step.multiplier))
    if layer.residual is not None and step.residual_shift is not None:
        residual = building.wide(building.operand(layer.residual), layer.residual, np.int64)
        unit = building.by_channel(np.int64(1) << step.residual_shift)
        total = graph.elementwise("ADD", total, graph.elementwise("MUL", residual, unit))
    raised = graph.elementwise("ADD", total, _addend(building, total, step))
    codes = _between(building, _shifted(building, raised, step), step.lo, step.hi)
    if step.format.dtype == np.uint8:
        codes = graph.elementwise("SUB", codes, building.number(_ZERO, np.int64))
    return graph.cast(codes, _held(step))


def _addend(building: Building, total: Tensor, step: Requantize) -> Tensor:
    """What is added before the shift (contract R3): by the total's sign and by whether its quotient is odd."""
    graph, table = building.graph, np.moveaxis(addends(step.shift, step.rounding), -1, 0)
    if (table == table[0]).all():
        return building.by_channel(table[0])
    even, odd, even_negative, odd_negative = (building.by_channel(column) for column in table)
    one, zero = building.number(1, np.int64), building.number(0, np.int64)
    is_odd = graph.elementwise("EQUAL", graph.elementwise("BITWISE_AND", _shifted(building, total, step), one), one)
    positive, negative = (
        graph.elementwise("SELECT", is_odd, *pair) for pair in ((odd, even), (odd_negative, even_negative))
    )
    return graph.elementwise("SELECT", graph.elementwise("GREATER", zero, total), negative, positive)


def _shifted(building: Building, x: Tensor, step: Requantize) -> Tensor:
    return building.graph.elementwise("ARITHMETIC_RIGHT_SHIFT", x, building.by_channel(step.shift), round=False)


def _held(step: Requantize) -> type:
    return np.int8 if step.format.dtype == np.uint8 else step.format.dtype


# ----------------------------------------------------------------------------------------------------- codes, passed on


def _maxpool(building: Building, operands: list[Tensor]) -> Tensor:
    attributes, lowest = building.layer.attributes, -_ZERO
    kernel = attributes["kernel_shape"]
    x, pad = _windows(building, operands[0], kernel, attributes, lowest)
    window = {"kernel": list(kernel), "stride": list(attributes["strides"]), "pad": pad, "nan_mode": "PROPAGATE"}
    return building.graph.node("MAX_POOL2D", [x], building.shape, np.int8, **window)


def _concat(building: Building, operands: list[Tensor]) -> Tensor:
    return building.graph.node("CONCAT", operands, building.shape, np.int8, axis=len(building.shape) - 1)


def _pad_channels(building: Building, operands: list[Tensor]) -> Tensor:
    layer = building.layer
    pads = [*[(0, 0)] * (len(building.shape) - 1), (layer.attributes["before"], layer.attributes["after"])]
    return _padded(building.graph, operands[0], pads, building.zero(layer.inputs[0]))


def _flat(building: Building, operands: list[Tensor]) -> Tensor:
    """Vectors in the order C, H, W."""
    graph, (x,) = building.graph, operands
    if len(x.shape) == 4:
        n, h, w, c = x.shape
        x = graph.node("TRANSPOSE", [x], (n, c, h, w), x.dtype, perms=[0, 3, 1, 2])
    return _reshaped(graph, x, (building.images, int(np.prod(x.shape[1:]))))


PASS: dict[str, _Operator] = {
    "maxpool": _maxpool,
    "concat": _concat,
    "pad_channels": _pad_channels,
    "flatten": _flat,
}


def _moved(building: Building, operands: list[Tensor]) -> Tensor:
    """Codes that only move, by their numbers in the operands laid end to end; the last number is code 0."""
    graph, layer, images = building.graph, building.layer, building.images
    found = sources(OPS[layer.op], [building.network.shapes[name] for name in layer.inputs], layer.arguments)
    flat = [_reshaped(graph, x, (images, prod(x.shape[1:]), 1)) for x in operands]
    if found.min() < 0:
        flat.append(graph.constant(np.full((images, 1, 1), building.zero(layer.inputs[0]), np.int8)))
    count = sum(x.shape[1] for x in flat)
    together = graph.node("CONCAT", flat, (images, count, 1), np.int8, axis=1) if len(flat) > 1 else flat[0]
    order = graph.constant(np.tile((found % count).astype(np.int32).ravel(), (images, 1)))
    moved = graph.node("GATHER", [together, order], (*order.shape, 1), np.int8)
    return _reshaped(graph, moved, building.shape)


def _reshaped(graph: Graph, x: Tensor, shape: Sequence[int]) -> Tensor:
    return graph.node("RESHAPE", [x, graph.shape(shape)], shape, x.dtype)


def _part(graph: Graph, x: Tensor, start: Sequence[int], shape: Sequence[int]) -> Tensor:
    return graph.node("SLICE", [x, graph.shape(start), graph.shape(shape)], shape, x.dtype)


def _padded(graph: Graph, x: Tensor, pads: Sequence[tuple[int, int]], filler: int) -> Tensor:
    shape = [length + sum(pair) for length, pair in zip(x.shape, pads, strict=True)]
    flat = [count for pair in pads for count in pair]
    return graph.node("PAD", [x, graph.shape(flat), graph.number(filler, x.dtype.type)], shape, x.dtype)
