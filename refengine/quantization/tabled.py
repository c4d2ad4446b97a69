"""Activations of any shape: a lookup layer, whose table has the function's value for each code that may come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..errors import SchemeError
from ..numbers.formats import INT8, UINT8, CodeFormat
from ..numbers.requantize import Requantize
from ..numbers.rescale import power_of_two, smallest_exponent
from ..numbers.rounding import STOCHASTIC, nearest
from ..ops import lookup as operator
from .calibrate import Reals, output_exponent
from .entries import Value, values_of
from .fold import Affine
from .fuse import Group
from .walk import Made, Tensor, Walk, new_layer

_FINE_BITS = 24


def lookup(walk: Walk, group: Group) -> Made:
    """The table of the layer's function, its exponent chosen on what the calibration images come to."""
    x = walk.tensors[group.inputs[0]]
    if max(x.hi - x.lo, x.format.hi - x.format.lo) >= operator.ENTRIES:
        raise SchemeError("reads codes of dynamic exponents, which no table has an entry for")
    rows = [_row(value, x) for value in values_of(group.core)]
    fmt = UINT8 if min(map(min, rows)) >= 0 else INT8
    exponent = _exponent(walk, x, rows, fmt)
    table = np.array([[_code(value, exponent, fmt) for value in row] for row in rows], np.int16)
    one, rounding = np.ones(1, np.int64), walk.scheme.rounding
    seed = walk.scheme.seed if rounding == STOCHASTIC else 0
    step = Requantize(one, one - 1, None, rounding, fmt, "none", fmt.lo, fmt.hi, seed)
    layer = new_layer(walk, group, "lookup")
    layer = replace(layer, constants={"table": table}, exponent=exponent, requantize=step)
    codes: np.ndarray = operator.reference(x.codes, table=table).astype(fmt.dtype)
    return Made((layer,), Tensor(layer.name, codes, exponent, fmt, int(table.min()), int(table.max())))


def _row(value: Value, x: Tensor) -> list[Fraction]:
    """The function's values by address: of code 0 to 255, or of 0 to 127 and -128 to -1."""
    codes = [code if code <= x.format.hi else code - operator.ENTRIES for code in range(operator.ENTRIES)]
    return [value(code * power_of_two(x.exponent)) for code in codes]


def _exponent(walk: Walk, x: Tensor, rows: Sequence[Sequence[Fraction]], fmt: CodeFormat) -> int:
    """By the scheme's rule, from values that are far finer than codes."""
    largest = max(abs(value) for row in rows for value in row)
    unit = smallest_exponent(largest, 2**_FINE_BITS) if largest else 0
    fine = np.array([[_units(value, unit) for value in row] for row in rows], np.int32)
    acc = operator.reference(x.codes, table=fine)
    rule = "max" if walk.scheme.exponents == "dynamic" else walk.scheme.exponents
    return output_exponent(Reals(acc, Affine((power_of_two(unit),), (Fraction(0),))), fmt, rule)


def _units(value: Fraction, exponent: int) -> int:
    scaled = value * power_of_two(-exponent)
    return nearest(scaled.numerator, scaled.denominator)


def _code(value: Fraction, exponent: int, fmt: CodeFormat) -> int:
    return min(max(_units(value, exponent), fmt.lo), fmt.hi)
