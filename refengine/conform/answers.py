"""What the contract answers to a case: every integer that comes out, by the definitions or by the kernels.

A group is a function (``round_shift``, ``requantize``, ...) or an operator (``layer_conv``, ...); ``ANSWERS`` has all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ..engine.run import run_layer
from ..network.int_network import IntLayer
from ..numbers import accumulator, nearest, rescale, rounding, stochastic
from ..numbers import requantize as numbers
from ..numbers.arith import Arithmetic, requantize_as
from ..numbers.formats import OUTPUT_FORMATS, WEIGHT_FORMATS, signed_bits
from ..numbers.requantize import Requantize
from ..ops import OPS
from ..ops.interface import bound_of
from ..ops.requantize import (
    Draws,
    coarser_kernels,
    coarser_reference,
    rescale_kernels,
    rescale_reference,
)
from ..ops.window import output_size
from ..runs.trace import partial_sums
from .case import Array, Case

Answer = dict[str, Array]

STEPS = ("multiplier", "shift", "residual_shift")
WORDS = ("rounding", "activation", "lo", "hi", "seed", "dynamic")
LAYER = "layer"


def answer(case: Case, backend: str = "reference") -> Answer:
    """Result name -> integers, as ``reference`` or ``kernels`` compute them where a group has kernels."""
    return ANSWERS[case.group](case, backend)


def step_of(case: Case) -> Requantize:
    """The requantization of a case (contract Q)."""
    words = case.parameters["requantize"]
    fields: dict[str, Any] = {name: case.inputs.get(name) for name in STEPS}
    fields |= {name: words[name] for name in WORDS}
    return Requantize(**fields, format=OUTPUT_FORMATS[words["format"]])


def layer_of(case: Case, name: str = "layer", inputs: tuple[str, ...] = (), **fields: Any) -> IntLayer:
    """The layer of a case; ``fields``: what a network around it adds."""
    parameters = case.parameters
    operator = OPS[parameters["op"]]
    bits, policy = parameters["accumulator"]
    weights = case.inputs.get("weight")
    made = IntLayer(
        name,
        parameters["op"],
        inputs,
        exponent=0,
        constants={constant: case.inputs[constant].copy() for constant in operator.CONSTANTS},
        attributes={key: attribute(value) for key, value in parameters["attributes"].items()},
        requantize=None if parameters["requantize"] is None else step_of(case),
        weight_format=parameters["weight_format"],
        weight_exponent=None if weights is None else np.zeros(len(weights), np.int64),
        accumulator_bits=bits,
        accumulator_policy=policy,
    )
    return replace(made, **fields)


def attribute(value: Any) -> Any:
    """An attribute as operators take it: JSON has lists for tuples."""
    return tuple(value) if isinstance(value, list) else value


def operands_of(case: Case) -> list[Array]:
    """Codes of ``input_0``, ``input_1``, ..."""
    return [case.inputs[name] for name in sorted(case.inputs) if name.startswith("input_") and not name.endswith("_d")]


def read(case: Case, name: str) -> Array:
    """The integers that a layer reads of an operand or residual: codes shifted by what their image chose (D4)."""
    return numbers.values(case.inputs[name], case.inputs.get(f"{name}_d"))


# ----------------------------------------------------------------------------------------------------------- functions


def _round_shift(case: Case, backend: str) -> Answer:
    bits = case.inputs.get("bits")
    mode, shift = case.parameters["rounding"], case.parameters["shift"]
    return {"rounded": rounding.round_shift(case.inputs["t"], shift, mode, bits)}


def _requantize(case: Case, backend: str) -> Answer:
    choose, scale = {
        "reference": (coarser_reference, rescale_reference),
        "kernels": (coarser_kernels, rescale_kernels),
    }[backend]
    step, acc, residual = step_of(case), case.inputs["accumulator"], case.inputs.get("residual")
    chosen = choose(acc, step, residual)
    codes, saturated = scale(acc, step, residual, _draws(case), chosen)
    return {
        "total": numbers.total(acc, step, residual),
        **({} if chosen is None else {"d": chosen}),
        "code": codes,
        "saturated": np.array(saturated, np.int64),
    }


def _draws(case: Case) -> Draws:
    return Draws(case.parameters["layer"], case.parameters["first_image"])


def _confine(case: Case, backend: str) -> Answer:
    bits, policy = case.parameters["accumulator"]
    kept, events = accumulator.confine(case.inputs["sum"], bits, policy)
    return {"accumulator": kept, "overflowed": np.array([events], np.int64)}


def _random_bits(case: Case, backend: str) -> Answer:
    words = case.parameters
    shape = tuple(words["shape"])
    return {"bits": stochastic.random_bits(words["seed"], words["layer"], words["first_image"], shape)}


def _fractions(case: Case) -> list[Fraction]:
    pairs = zip(case.inputs["numerator"].tolist(), case.inputs["denominator"].tolist(), strict=True)
    return [Fraction(n, d) for n, d in pairs]


def _nearest(case: Case, backend: str) -> Answer:
    return {"nearest": np.array([rounding.nearest(f.numerator, f.denominator) for f in _fractions(case)], np.int64)}


def _nearest_codes(case: Case, backend: str) -> Answer:
    fmt = WEIGHT_FORMATS[case.parameters["format"]]
    reals = case.inputs["real"].astype(np.float64) / case.parameters["denominator"]  # a power of two: exact
    return {"code": nearest.nearest_codes(reals, fmt)}


def _rescale(case: Case, backend: str) -> Answer:
    pairs = [rescale.multiplier_and_shift(f, case.parameters["bits"]) for f in _fractions(case)]
    return {"multiplier": np.array([m for m, _ in pairs], np.int64), "shift": np.array([s for _, s in pairs], np.int64)}


def _exponent(case: Case, backend: str) -> Answer:
    top = case.parameters["top"]
    return {"exponent": np.array([rescale.smallest_exponent(f, top) for f in _fractions(case)], np.int64)}


def _width(case: Case, backend: str) -> Answer:
    ends = zip(case.inputs["lo"].tolist(), case.inputs["hi"].tolist(), strict=True)
    return {"bits": np.array([signed_bits(lo, hi) for lo, hi in ends], np.int64)}


def _window(case: Case, backend: str) -> Answer:
    names = ("size", "kernel", "stride", "before", "after")
    columns = [case.inputs[name].tolist() for name in names]
    columns.append([case.parameters["ceil_mode"]] * len(columns[0]))
    return {"output": np.array([output_size(*row) for row in zip(*columns, strict=True)], np.int64)}


def _bound(case: Case, backend: str) -> Answer:
    words, operator = case.parameters, OPS[case.parameters["op"]]
    ranges = [attribute(ends) for ends in words["ranges"]]
    arguments = {name: case.inputs[name] for name in operator.CONSTANTS}
    arguments |= {key: attribute(value) for key, value in words["attributes"].items()}
    lo, hi = bound_of(operator)(*ranges, shape=tuple(words["shape"]), **arguments)
    return {"lo": np.asarray(lo, np.int64), "hi": np.asarray(hi, np.int64)}


def _values(case: Case, backend: str) -> Answer:
    return {"value": numbers.values(case.inputs["code"], case.inputs["d"])}


def _top(case: Case, backend: str) -> Answer:
    falling = -case.inputs["logits"].astype(np.int64)
    return {"classes": np.argsort(falling, axis=1, kind="stable").astype(np.int64)}


def _arith(case: Case, backend: str) -> Answer:
    words = case.parameters["arithmetic"]
    made = Arithmetic("a case", words["rounding"], "", words["overflow"], words["order"], None, words["product"])
    codes = requantize_as(case.inputs["accumulator"], step_of(case), made, case.inputs.get("residual"))
    return {"code": codes}


# -------------------------------------------------------------------------------------------------------------- layers


def _layer(case: Case, backend: str) -> Answer:
    layer, operator = layer_of(case), OPS[case.parameters["op"]]
    names = [f"input_{number}" for number in range(len(operands_of(case)))]
    operands = [read(case, name) if operator.ACCUMULATES else case.inputs[name] for name in names]
    residual = read(case, "residual") if "residual" in case.inputs else None
    result = run_layer(layer, operands, residual, backend, _draws(case))
    found: Answer = {}
    if "weight" in operator.CONSTANTS:
        found["partial_sums"] = partial_sums(layer, operands[0], backend)
    if result.accumulator is not None:
        found["accumulator"] = result.accumulator
        found["overflowed"] = np.array([result.overflowed], np.int64)
    if layer.requantize is not None and result.accumulator is not None:
        found["total"] = numbers.total(result.accumulator, layer.requantize, residual)
        found["saturated"] = np.array(result.saturated, np.int64)
    d = case.inputs.get("input_0_d") if not operator.ACCUMULATES else result.coarser
    if d is not None:
        found["d"] = d
    if result.accumulator is None or layer.requantize is not None:
        found["code"] = result.result
    return found


ANSWERS: Mapping[str, Callable[[Case, str], Answer]] = {
    "round_shift": _round_shift,
    "random_bits": _random_bits,
    "requantize": _requantize,
    "confine": _confine,
    "window": _window,
    "bound": _bound,
    "values": _values,
    "top": _top,
    "nearest": _nearest,
    "nearest_codes": _nearest_codes,
    "rescale": _rescale,
    "exponent": _exponent,
    "width": _width,
    "arith": _arith,
    **{f"{LAYER}_{name}": _layer for name in OPS},
}
