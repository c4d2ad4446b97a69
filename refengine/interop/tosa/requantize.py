"""Codes of accumulators by TOSA's operators (contract Q1 to Q3).

RESCALE and CLAMP where its roundings, shifts and widths allow it; else (``no_rescale``) INT64 operators, by the table
of contract R3
"""

from __future__ import annotations

import numpy as np

from ...network.int_network import IntLayer, IntNetwork
from ...numbers.formats import signed_bits
from ...numbers.requantize import Requantize
from ...numbers.rounding import DOUBLE_ROUND, addends
from .building import ZERO, Building
from .graph import Array, Tensor, bytes_of

_ROUNDING_MODES = {"half_up": "SINGLE_ROUND", DOUBLE_ROUND: "DOUBLE_ROUND"}
_SHIFTS = (2, 62)
_MULTIPLIER_BITS = 31
_ONE_ROUND_SHIFT = 31  # up to it DOUBLE_ROUND is SINGLE_ROUND


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


def requantized(building: Building, accumulator: Tensor, step: Requantize) -> Tensor:
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
    zero = -ZERO if step.format.dtype == np.uint8 else 0
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
        return building.between(codes, step.lo, step.hi)
    lo, hi = (bytes_of(np.array([end + zero], dtype)) for end in (step.lo, step.hi))
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
    codes = building.between(_shifted(building, raised, step), step.lo, step.hi)
    if step.format.dtype == np.uint8:
        codes = graph.elementwise("SUB", codes, building.number(ZERO, np.int64))
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
