"""What tables and JSON say about the layers of a network."""

from typing import Any

import numpy as np

from ..network.float_network import FloatNetwork, shapes
from ..network.int_network import IntLayer, IntNetwork, accumulator_bits_needed
from ..network.units import result_divisor
from ..ops.conv import clusters_of

HEADS = ("layer", "op", "output>", "codes", "2^>", "weights", "clusters>", "nonzero>", "bits>", "multiplier>", "shift>")


def int_layers(network: IntNetwork) -> list[dict[str, Any]]:
    """Everything but the arrays of each layer of an integer network, in types that JSON knows."""
    return [
        {
            "name": layer.name,
            "op": layer.op,
            "inputs": list(layer.inputs),
            "residual": layer.residual,
            "output_shape": list(network.shapes[layer.name]),
            "format": network.formats[layer.name].name,
            "exponent": layer.exponent,
            "divisor": result_divisor(network, layer),
            "dynamic": network.dynamic[layer.name],
            "attributes": dict(layer.attributes),
            "weights": _weights(layer),
            "accumulator": _accumulator(network, layer),
            "requantize": _requantize(layer),
            "covers": list(layer.covers),
        }
        for layer in network.layers
    ]


def _weights(layer: IntLayer) -> dict[str, Any] | None:
    if "weight" not in layer.constants or layer.weight_exponent is None:
        return None
    weight = layer.constants["weight"]
    cluster = int(str(layer.attributes["cluster"]))
    return {
        "format": layer.weight_format,
        "shape": list(weight.shape),
        "cluster": cluster,
        "clusters": len(weight) * clusters_of(weight.shape[1], cluster),
        "nonzero": int(np.count_nonzero(weight)),
        "exponent": _range(layer.weight_exponent),
    }


def _accumulator(network: IntNetwork, layer: IntLayer) -> dict[str, Any] | None:
    if layer.name not in network.bounds:
        return None
    lo, hi = network.bounds[layer.name]
    return {
        "bound": [int(lo.min()), int(hi.max())],
        "bits_needed": accumulator_bits_needed(lo, hi),
        "bits": layer.accumulator_bits,
        "policy": layer.accumulator_policy,
    }


def _requantize(layer: IntLayer) -> dict[str, Any] | None:
    step = layer.requantize
    if step is None:
        return None
    return {
        "multiplier": _range(step.multiplier),
        "shift": _range(step.shift),
        "residual_shift": None if step.residual_shift is None else _range(step.residual_shift),
        "rounding": step.rounding,
        "activation": step.activation,
        "clip": [step.lo, step.hi],
    }


def _range(values: np.ndarray) -> list[int]:
    return [int(values.min()), int(values.max())]


def int_row(layer: dict[str, Any]) -> list[object]:
    """A line of the table ``HEADS``."""
    weights, accumulator, step = layer["weights"], layer["accumulator"], layer["requantize"]
    exponents = ends([layer["exponent"], layer["exponent"] + layer["dynamic"]])
    exponents += f" / {layer['divisor']}" if layer["divisor"] > 1 else ""
    row = [layer["name"], layer["op"], times(layer["output_shape"]), layer["format"], exponents]
    row += [None] * 3 if weights is None else _weight_cells(weights)
    row.append(None if accumulator is None else _bits(accumulator))
    return row + ([None] * 2 if step is None else [ends(step["multiplier"]), ends(step["shift"])])


def _weight_cells(weights: dict[str, Any]) -> list[object]:
    size = 1
    for length in weights["shape"]:
        size *= length
    nonzero = f"{weights['nonzero'] / size:.0%}"
    clusters = None if weights["format"] == "int8" else f"{weights['clusters']} of {weights['cluster']}"
    return [weights["format"], clusters, nonzero]


def _bits(accumulator: dict[str, Any]) -> str:
    needed, bits, policy = accumulator["bits_needed"], accumulator["bits"], accumulator["policy"]
    return str(needed) if bits == 32 else f"{needed} in {bits} {policy}"


def ends(pair: list[int]) -> str:
    """A range, as short as it can be said."""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}..{pair[1]}"


def times(shape: list[int]) -> str:
    """A shape as people write it.

    >>> times([28, 28, 16])
    '28x28x16'
    """
    return "x".join(str(length) for length in shape)


FLOAT_HEADS = ("layer", "op", "output>", "parameters>", "attributes")


def float_layers(network: FloatNetwork) -> list[dict[str, Any]]:
    """Everything but the arrays of each layer of a float network, in types that JSON knows."""
    found = shapes(network)
    return [
        {
            "name": layer.name,
            "op": layer.op,
            "inputs": list(layer.inputs),
            "output_shape": list(found[layer.name]),
            "constants": {name: list(array.shape) for name, array in layer.constants.items()},
            "parameters": sum(array.size for array in layer.constants.values()),
            "attributes": dict(layer.attributes),
        }
        for layer in network.layers
    ]


def float_row(layer: dict[str, Any]) -> list[object]:
    """A line of the table ``FLOAT_HEADS``."""
    attributes = " ".join(f"{name}={_short(value)}" for name, value in layer["attributes"].items())
    return [layer["name"], layer["op"], times(layer["output_shape"]), layer["parameters"] or None, attributes]


def _short(value: object) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, tuple) else str(value)
