"""How other designs bring an accumulator to a code: presets, and the one function that computes them (contract Arith).

A preset says which rounding a design has, what it does with a value that does not fit, and what it loses on the way.
Beside the nine modes of ``rounding.py`` and ``double_round`` there are two things that no mode says:

    two_steps   gemmlowp's: the product is rounded twice, first by the multiplier's own width b, then by the rest
                q = round_shift(round_shift(t, min(s, b), half_up), s - min(s, b), half_away)
    float32     accumulator, multiplier and product are each rounded to 24 significant bits, ties to even, before

Nothing that runs a network imports this file: a model's own requantization is ``requantize.py``.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import RangeError
from .requantize import MAX_TOTAL, Requantize, total
from .rounding import DOUBLE_ROUND, ROUNDINGS, round_shift

TWO_STEPS = "two_steps"
OVERFLOWS = ("saturate", "wrap", "saturate_symmetric", "saturate_to_zero")
ORDERS = ("round, clip", "clip, round")
PRODUCTS = ("exact", "float32")
FLOAT32_BITS = 24


@dataclass(frozen=True)
class Arithmetic:
    """How a design requantizes, and who says so.

    rounding: one of ROUNDINGS or ``two_steps``.  overflow: one of OVERFLOWS, what happens beyond the format.  order:
    whether the design rounds or clips first; both give the same codes (contract Arith).  multiplier_bits: the widest
    multiplier that the design has, 1 where it only shifts, None where it leaves that open.  product: ``exact``, or
    ``float32`` where it is computed in floating point.  RangeError for a word that is none of these.
    """

    name: str
    rounding: str
    source: str
    overflow: str = "saturate"
    order: str = "round, clip"
    multiplier_bits: int | None = None
    product: str = "exact"

    def __post_init__(self) -> None:
        for what, known in (
            ("rounding", (*ROUNDINGS, TWO_STEPS)),
            ("overflow", OVERFLOWS),
            ("order", ORDERS),
            ("product", PRODUCTS),
        ):
            if getattr(self, what) not in known:
                raise RangeError(f"{what} {getattr(self, what)!r} is unknown; available: {', '.join(known)}")
        if self.order == "clip, round" and self.overflow != "saturate":
            raise RangeError(f"{self.overflow!r} acts on codes, it cannot come before the rounding")

    @property
    def rule(self) -> str:
        """What decides a code, in one line; arithmetics of the same rule give the same integers.

        >>> ARITHMETICS["cmsis"].rule, ARITHMETICS["onnxruntime"].rule
        ('two_steps, saturate', 'float32, half_even, saturate')
        """
        return ", ".join([*([] if self.product == "exact" else [self.product]), self.rounding, self.overflow])

    @property
    def obstacle(self) -> str | None:
        """Why no ``Requantize`` can express this arithmetic, or None if one can."""
        if self.overflow != "saturate":
            return f"its overflow is {self.overflow!r}, and a layer can only saturate"
        if self.rounding == TWO_STEPS:
            return "it rounds twice, by its multiplier's width and by the rest, and a layer rounds once"
        if self.product != "exact":
            return f"its product is {self.product}, {FLOAT32_BITS} significant bits, and a layer's is exact"
        return None


def _fixed_point() -> list[Arithmetic]:
    """The casts of ap_fixed and ac_fixed: seven quantization modes times four overflow modes."""
    roundings = {
        "trn": "floor",
        "trn-zero": "toward_zero",
        "rnd": "half_up",
        "rnd-zero": "half_toward_zero",
        "rnd-min-inf": "half_down",
        "rnd-inf": "half_away",
        "rnd-conv": "half_even",
    }
    overflows = {"wrap": "wrap", "sat": "saturate", "sat-sym": "saturate_symmetric", "sat-zero": "saturate_to_zero"}
    return [
        Arithmetic(
            f"ap-fixed-{q}-{o}",
            rounding,
            f"AMD UG1399, AP_{q.replace('-', '_').upper()} and AP_{o.replace('-', '_').upper()}",
            overflow,
            multiplier_bits=1,
        )
        for q, rounding in roundings.items()
        for o, overflow in overflows.items()
    ]


_DESIGNS = (
    Arithmetic("tosa", "half_up", "TOSA apply_scale_32, SINGLE_ROUND", multiplier_bits=31),
    Arithmetic("tosa-double", DOUBLE_ROUND, "TOSA apply_scale_32, DOUBLE_ROUND", multiplier_bits=31),
    Arithmetic("tflite", TWO_STEPS, "TFLite MultiplyByQuantizedMultiplier, gemmlowp fixedpoint.h", multiplier_bits=31),
    Arithmetic("tflite-single", "half_up", "the same, built with TFLITE_SINGLE_ROUNDING", multiplier_bits=31),
    Arithmetic("cmsis", TWO_STEPS, "CMSIS-NN arm_nn_requantize", multiplier_bits=31),
    Arithmetic("cmsis-single", "half_up", "the same, built with CMSIS_NN_USE_SINGLE_ROUNDING", multiplier_bits=31),
    Arithmetic("gemmini", "half_even", "Gemmini ROUNDING_RIGHT_SHIFT", multiplier_bits=1),
    Arithmetic(
        "gemmini-float", "half_even", "Gemmini ACC_SCALE, ROUND_NEAR_EVEN", multiplier_bits=24, product="float32"
    ),
    Arithmetic("nvdla", "half_away", "NVDLA, Precision Preservation: convertor", multiplier_bits=15),
    Arithmetic("dory", "floor", "PULP-NN pulp_nn_bn_quant_u8, which DORY calls"),
    Arithmetic("nemo", "floor", "NEMO pact_quantized_requantize"),
    Arithmetic("deeploy", "half_up", "Deeploy RequantShift with rounding; quantlib #11", multiplier_bits=31),
    Arithmetic("qonnx", "half_even", "QONNX int_quant, ROUND", order="clip, round"),
    Arithmetic("onnx", "half_even", "ONNX QuantizeLinear", multiplier_bits=24),
    Arithmetic("onnx-reference", "half_even", "onnx.reference QLinearConv", order="clip, round", multiplier_bits=24),
    Arithmetic("onnxruntime", "half_even", "ONNX Runtime QLinearConv", multiplier_bits=24, product="float32"),
    Arithmetic(
        "ristretto", "half_away", "Ristretto Trim2FixedPoint_cpu, NEAREST", order="clip, round", multiplier_bits=1
    ),
    Arithmetic("fxpmath-default", "toward_zero", "fxpmath Config: trunc, saturate", multiplier_bits=1),
    Arithmetic("ap-fixed-default", "floor", "AMD UG1399: AP_TRN, AP_WRAP; hls4ml's", "wrap", multiplier_bits=1),
    Arithmetic("ac-fixed-default", "floor", "ac_fixed.h: AC_TRN, AC_WRAP", "wrap", multiplier_bits=1),
)

ARITHMETICS = {arithmetic.name: arithmetic for arithmetic in (*_DESIGNS, *_fixed_point())}


def arithmetic_named(name: str) -> Arithmetic:
    """The preset of that name; RangeError with the list of them otherwise."""
    if name not in ARITHMETICS:
        raise RangeError(f"arithmetic {name!r} is unknown; available: {', '.join(ARITHMETICS)}")
    return ARITHMETICS[name]


def requantize_as(
    acc: np.ndarray[Any, Any],
    parameters: Requantize,
    arithmetic: Arithmetic,
    residual: np.ndarray[Any, Any] | None = None,
    bits: np.ndarray[Any, Any] | None = None,
) -> np.ndarray:
    """Accumulators to codes as another design computes them (contract, section Arithmetics).

        code = fit(round_shift(acc * multiplier + (residual << residual_shift), shift))

    acc int32 (..., C), residual codes like it or None -> codes of the format.  The integers are those of
    ``parameters``; its rounding is not looked at.  ``bits``: random bits, for stochastic rounding alone.  RangeError
    where a residual has no residual_shift.

    >>> from .formats import INT8
    >>> half = Requantize(np.array([1]), np.array([1]), None, "half_up", INT8, "none", -128, 127)
    >>> for name in ("tosa", "nvdla", "ap-fixed-default"):
    ...     requantize_as(np.array([[-3], [301]]), half, ARITHMETICS[name]).ravel().tolist()
    [-1, 127]
    [-2, 127]
    [-2, -106]
    """
    t = _total(np.asarray(acc), parameters, arithmetic, residual)
    if arithmetic.order == "clip, round":
        return _divide(_clip_before(t, parameters), parameters, arithmetic, bits).astype(parameters.format.dtype)
    return fit(_divide(t, parameters, arithmetic, bits), parameters, arithmetic.overflow)


def fit(rounded: np.ndarray, parameters: Requantize, overflow: str) -> np.ndarray:
    """Codes of the format from rounded values, int64 like codes: the activation's clip, then the overflow mode.

    A value v beyond the format's codes ``lo..hi`` becomes: ``saturate`` the nearer end; ``wrap``
    ``(v - lo) mod 2**bits + lo``; ``saturate_symmetric`` the nearer end of ``max(lo, -hi)..hi`` (and lo itself
    becomes -hi); ``saturate_to_zero`` 0.
    """
    fmt = parameters.format
    value = _activated(rounded, parameters)
    fits = (value >= fmt.lo) & (value <= fmt.hi)
    if overflow == "wrap":
        value = (value - fmt.lo) % (1 << fmt.bits) + fmt.lo
    elif overflow == "saturate_symmetric":
        value = np.clip(value, max(fmt.lo, -fmt.hi), fmt.hi)
    elif overflow == "saturate_to_zero":
        value = np.where(fits, value, 0)
    return np.clip(value, parameters.lo, parameters.hi).astype(fmt.dtype)


def _activated(rounded: np.ndarray, parameters: Requantize) -> np.ndarray:
    """What an activation cuts on purpose is cut before anything can overflow (contract Q4)."""
    if parameters.activation == "relu":
        return np.maximum(rounded, parameters.lo)
    return np.clip(rounded, parameters.lo, parameters.hi) if parameters.activation == "clip" else rounded


def _total(
    acc: np.ndarray, parameters: Requantize, arithmetic: Arithmetic, residual: np.ndarray[Any, Any] | None
) -> np.ndarray:
    if arithmetic.product == "exact":
        return total(acc, parameters, residual)
    multiplier = significant(parameters.multiplier, FLOAT32_BITS)
    product = significant(significant(acc.astype(np.int64), FLOAT32_BITS) * multiplier, FLOAT32_BITS)
    nothing = replace(parameters, multiplier=np.zeros_like(parameters.multiplier))
    return product if residual is None else product + total(acc, nothing, residual)


def significant(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers rounded to ``bits`` significant bits, ties to even: what a float of that width holds of them.

    int64, |v| <= 2**62 -> int64.

    >>> significant(np.array([2**24 + 1, 2**24 + 3, -(2**24) - 1]), 24).tolist()
    [16777216, 16777220, -16777216]
    """
    excess = np.maximum(bit_lengths(np.abs(values)) - bits, 0)
    return values if not excess.any() else round_shift(values, excess, "half_even") << excess


def bit_lengths(values: np.ndarray) -> np.ndarray:
    """``int.bit_length`` of int64 values >= 0.

    >>> bit_lengths(np.array([0, 1, 255, 256, 2**62])).tolist()
    [0, 1, 8, 9, 63]
    """
    length = np.zeros_like(values)
    for step in (32, 16, 8, 4, 2, 1):
        length += np.where(values >> (length + step) > 0, step, 0)
    return length + (values > 0)


def _clip_before(t: np.ndarray, parameters: Requantize) -> np.ndarray:
    """``t`` within the clip's ends, which are left-shifted to its unit; ends beyond 2**62 cut nothing."""
    ends = [
        np.array([max(-MAX_TOTAL, min(MAX_TOTAL, end << shift)) for shift in parameters.shift.tolist()])
        for end in (parameters.lo, parameters.hi)
    ]
    return np.clip(t, *ends)


def _divide(
    t: np.ndarray, parameters: Requantize, arithmetic: Arithmetic, bits: np.ndarray[Any, Any] | None
) -> np.ndarray:
    shift = parameters.shift
    if arithmetic.rounding != TWO_STEPS:
        return round_shift(t, shift, arithmetic.rounding, bits)
    first = np.minimum(shift, bit_lengths(parameters.multiplier))
    return round_shift(round_shift(t, first, "half_up"), shift - first, "half_away")
