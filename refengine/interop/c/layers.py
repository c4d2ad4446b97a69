"""Each layer in C: its constants as tables, what describes it, and the call that computes it.

One function an operator, in ``OPERATORS``; the piece of C that it calls is ``pieces/OPERATOR.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...errors import NetworkError, RangeError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.formats import INT8, INT32
from ...numbers.requantize import Requantize
from ...ops import OPS
from ...ops.avgpool import common_count
from ...ops.conv import clusters_of
from .identifiers import layer_identifiers
from .memory import Memory
from .pieces import constant
from .tables import LOG2_BITS, Table, packed_table, table

PACKED, BYTES = "packed", "bytes"
WEIGHTS = (PACKED, BYTES)


@dataclass(frozen=True)
class Naming:
    """What the emitters of all layers share: the network, how its layers are called, the arena, the weights' form."""

    network: IntNetwork
    identifiers: dict[str, str]
    memory: Memory
    weights: str

    def layer(self, name: str) -> str:
        """The address of a layer's description."""
        return f"&layer_{self.identifiers[name]}"


@dataclass(frozen=True)
class Emitted:
    """A layer in C: declarations of its constants, and the lines of ``run`` that compute it."""

    constants: tuple[Table, ...]
    calls: tuple[str, ...]


def naming(network: IntNetwork, memory: Memory, weights: str) -> Naming:
    """Names for the layers of a network."""
    names = [layer.name for layer in network.layers]
    return Naming(network, dict(zip(names, layer_identifiers(names), strict=True)), memory, weights)


def emitted(layer: IntLayer, names: Naming) -> Emitted:
    """One layer: NetworkError, naming it, where its operator has no piece of C."""
    if layer.op not in OPERATORS:
        raise NetworkError(f"layer {layer.name!r} ({layer.op}): the export to C does not know its operator")
    own = OPERATORS[layer.op](layer, names)
    return Emitted((*_step(layer, names), _description(layer, names), *own.constants), own.calls)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(H, W, C) of a result; (K,) is one pixel of K channels."""
    return (1, 1, shape[0]) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def partial_sums_fit(layer: IntLayer, network: IntNetwork) -> None:
    """RangeError where the sum of a cluster of scale 0, which no bound of the accumulator covers, leaves INT32."""
    weight, scale = layer.constants["weight"], layer.constants["scale"]
    cluster = layer.attributes["cluster"]
    lo, hi = network.read_ranges[layer.inputs[0]]
    taps = np.abs(weight.astype(np.int64)).reshape(len(weight), weight.shape[1], -1).sum(axis=2)
    sums = np.add.reduceat(taps, np.arange(0, weight.shape[1], cluster), axis=1)
    worst = int(np.where(scale == 0, sums, 0).max()) * max(abs(lo), abs(hi))
    if worst > INT32.hi:
        raise RangeError(
            f"layer {layer.name!r} ({layer.op}): the sum of a cluster of scale 0 can reach {worst}, beyond INT32"
        )


# --------------------------------------------------------------------------------------------- what every layer has


def _step(layer: IntLayer, names: Naming) -> tuple[Table, ...]:
    """Q's integers (contract Q1, Q2), where the layer has them."""
    step = layer.requantize
    if step is None:
        return ()
    own = names.identifiers[layer.name]
    arrays = {"multiplier": "int32_t", "shift": "uint8_t", "residual_shift": "uint8_t"}
    values = _equally_long(step)
    tables = [table(ctype, f"{what}_{own}", values[what]) for what, ctype in arrays.items() if what in values]
    residual_shift = f"residual_shift_{own}" if "residual_shift" in values else "NULL"
    fields = (
        f"multiplier_{own}, shift_{own}, {residual_shift}, {int(len(values['shift']) > 1)}",
        f"{'NULL' if layer.residual is None else names.layer(layer.residual)}, {constant(step.rounding)}",
        f"{step.lo}, {step.hi}, {step.hi.bit_length()}, UINT64_C({step.seed})",
    )
    return (*tables, _structure("step", f"step_{own}", fields))


def _equally_long(step: Requantize) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """The arrays of a step, each with an entry a channel or each with a single one."""
    arrays = {"multiplier": step.multiplier, "shift": step.shift, "residual_shift": step.residual_shift}
    present = {what: array for what, array in arrays.items() if array is not None}
    return {what: np.broadcast_to(array, max(map(len, present.values()))) for what, array in present.items()}


def _description(layer: IntLayer, names: Naming) -> Table:
    network, own = names.network, names.identifiers[layer.name]
    height, width, channels = image_shape(network.shapes[layer.name])
    last = layer is network.layers[-1]
    fields = (
        f"{network.layers.index(layer)}, {names.memory.offsets[layer.name]}, {height}, {width}, {channels}",
        f"{int(network.formats[layer.name] == INT8)}, {int(last)}, {layer.exponent}, {network.dynamic[layer.name]}",
        f"{layer.accumulator_bits}, {constant(layer.accumulator_policy)}",
        "NULL" if layer.requantize is None else f"&step_{own}",
    )
    return _structure("layer", f"layer_{own}", fields)


def _structure(ctype: str, name: str, fields: tuple[str, ...]) -> Table:
    """A structure of pointers and sizes; what it takes depends on the machine and is not counted."""
    return Table(f"static const {ctype} {name} = {{\n    " + ",\n    ".join(fields) + "\n};", 0)


# -------------------------------------------------------------------------------------------------------- the operators


def _call(layer: IntLayer, names: Naming, *arguments: str) -> tuple[str, ...]:
    inputs = [names.layer(name) for name in layer.inputs]
    return (f"{layer.op}({', '.join(['&r', names.layer(layer.name), *inputs, *arguments])});",)


def _plain(layer: IntLayer, names: Naming) -> Emitted:
    """An operator that has nothing but its operands."""
    return Emitted((), _call(layer, names))


def _input(layer: IntLayer, names: Naming) -> Emitted:
    bias = f"bias_{names.identifiers[layer.name]}"
    flip = str(int(layer.attributes["flip"]))
    return Emitted((table("int32_t", bias, layer.constants["bias"]),), _call(layer, names, "image", bias, flip))


def _weights(layer: IntLayer, names: Naming) -> tuple[list[Table], list[str]]:
    """Tables of weights, scales and biases, and the fields of ``weights`` that name them."""
    partial_sums_fit(layer, names.network)
    own, constants = names.identifiers[layer.name], layer.constants
    log2_bits = LOG2_BITS[str(layer.weight_format)]
    if names.weights == PACKED:
        codes, form = packed_table(f"weight_{own}", constants["weight"], log2_bits), [str(log2_bits)]
    else:
        codes, form = table("int8_t", f"weight_{own}", constants["weight"]), []
    tables = [
        codes,
        table("uint8_t", f"scale_{own}", constants["scale"]),
        table("int32_t", f"bias_{own}", constants["bias"]),
    ]
    inputs, cluster = constants["weight"].shape[1], layer.attributes["cluster"]
    sizes = [str(inputs), str(min(cluster, inputs)), str(clusters_of(inputs, cluster)), *form]
    return tables, [f"weight_{own}, scale_{own}, bias_{own}", ", ".join(sizes)]


def _conv(layer: IntLayer, names: Naming) -> Emitted:
    tables, fields = _weights(layer, names)
    kernel, strides = layer.constants["weight"].shape[2:], layer.attributes["strides"]
    geometry = (*kernel, *strides, *layer.attributes["pads"][:2], layer.attributes["group"])
    own = f"conv_{names.identifiers[layer.name]}"
    whole = _structure("convolution", own, (f"{{{', '.join(fields)}}}", ", ".join(map(str, geometry))))
    return Emitted((*tables, whole), _call(layer, names, f"&{own}"))


def _fc(layer: IntLayer, names: Naming) -> Emitted:
    tables, fields = _weights(layer, names)
    own = f"fc_{names.identifiers[layer.name]}"
    return Emitted((*tables, _structure("weights", own, tuple(fields))), _call(layer, names, f"&{own}"))


def _batchnorm(layer: IntLayer, names: Naming) -> Emitted:
    own = names.identifiers[layer.name]
    tables = (
        table("int8_t", f"sign_{own}", layer.constants["sign"]),
        table("int32_t", f"bias_{own}", layer.constants["bias"]),
    )
    return Emitted(tables, _call(layer, names, f"sign_{own}", f"bias_{own}"))


def _add(layer: IntLayer, names: Naming) -> Emitted:
    return Emitted((), _call(layer, names, *map(str, layer.attributes["shifts"])))


def _window(layer: IntLayer, names: Naming) -> tuple[Table, str]:
    own, attributes = f"window_{names.identifiers[layer.name]}", layer.attributes
    numbers = (*attributes["kernel_shape"], *attributes["strides"], *attributes["pads"][:2])
    return _structure("window", own, (", ".join(map(str, numbers)),)), f"&{own}"


def _maxpool(layer: IntLayer, names: Naming) -> Emitted:
    whole, own = _window(layer, names)
    return Emitted((whole,), _call(layer, names, own))


def _avgpool(layer: IntLayer, names: Naming) -> Emitted:
    whole, own = _window(layer, names)
    common = common_count(names.network.shapes[layer.inputs[0]], **layer.attributes)
    return Emitted((whole,), _call(layer, names, own, str(common)))


def _concat(layer: IntLayer, names: Naming) -> Emitted:
    calls, first = [], 0
    for name in layer.inputs:
        calls.append(f"concat(&r, {names.layer(layer.name)}, {names.layer(name)}, {first});")
        first += names.network.shapes[name][-1]
    return Emitted((), tuple(calls))


def _pad_channels(layer: IntLayer, names: Naming) -> Emitted:
    return Emitted((), _call(layer, names, str(layer.attributes["before"])))


def _lookup(layer: IntLayer, names: Naming) -> Emitted:
    own, entries = f"table_{names.identifiers[layer.name]}", layer.constants["table"]
    stride = str(entries.shape[1] if len(entries) > 1 else 0)
    return Emitted((table("int16_t", own, entries),), _call(layer, names, own, stride))


def _gather_channels(layer: IntLayer, names: Naming) -> Emitted:
    own = f"order_{names.identifiers[layer.name]}"
    return Emitted((table("int32_t", own, layer.constants["order"]),), _call(layer, names, own))


OPERATORS: dict[str, Callable[[IntLayer, Naming], Emitted]] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "global_avgpool": _plain,
    "concat": _concat,
    "pad_channels": _pad_channels,
    "flatten": _plain,
    "requantize": _plain,
    "lookup": _lookup,
    "gather_channels": _gather_channels,
    "mul": _plain,
}


def accumulates(layer: IntLayer) -> bool:
    """Whether the layer has accumulators, rather than codes that pass through."""
    return bool(OPS[layer.op].ACCUMULATES)
