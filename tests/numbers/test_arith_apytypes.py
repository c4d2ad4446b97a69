"""ap_fixed's casts against APyTypes, an independent library of fixed-point types (contract Arith)."""

import numpy as np
import pytest
from everyday import everyday

from refengine.numbers.arith import ARITHMETICS, Arithmetic, requantize_as
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.requantize import Requantize
from refengine.numbers.rounding import MODES

apytypes = pytest.importorskip("apytypes", reason="the owner's check needs apytypes: pip install '.[arith]'")

QUANTIZATION = {
    "floor": "TRN",
    "ceil": "TRN_INF",
    "toward_zero": "TRN_ZERO",
    "away_from_zero": "TRN_AWAY",
    "half_up": "RND",
    "half_down": "RND_MIN_INF",
    "half_away": "RND_INF",
    "half_toward_zero": "RND_ZERO",
    "half_even": "RND_CONV",
}
OVERFLOW = {"wrap": "WRAP", "saturate": "SAT"}
INT16 = np.arange(-(2**15), 2**15, dtype=np.int32)


def cast(values, shift, rounding, overflow, signed):
    """int16 values with ``shift`` fractional bits, cast to eight bits without any."""
    fixed = apytypes.APyFixedArray((values & 0xFFFF).tolist(), int_bits=16 - shift, frac_bits=shift)
    quantization = getattr(apytypes.QuantizationMode, QUANTIZATION[rounding])
    overflowing = getattr(apytypes.OverflowMode, OVERFLOW[overflow])
    eight = fixed.cast(int_bits=8, frac_bits=0, quantization=quantization, overflow=overflowing)
    codes = np.array(eight.to_numpy(), np.int64)
    return codes if signed else codes & 0xFF


@pytest.mark.parametrize("overflow", everyday(OVERFLOW, 2))
@pytest.mark.parametrize("rounding", MODES)
def test_every_int16_at_every_shift(rounding, overflow):
    """Nine roundings, two overflows, 65,536 values, shifts 0..15."""
    arithmetic = Arithmetic("x", rounding, "test", overflow)
    for shift in range(16):
        p = Requantize(np.array([1]), np.array([shift]), None, "half_up", INT8, "none", INT8.lo, INT8.hi)
        wanted = cast(INT16, shift, rounding, overflow, signed=True)
        np.testing.assert_array_equal(requantize_as(INT16[:, None], p, arithmetic)[:, 0], wanted, f"shift {shift}")


@pytest.mark.parametrize("rounding", MODES)
def test_wrapping_to_unsigned_codes_keeps_the_low_bits(rounding):
    """UINT8 without activation: the same eight bits, read without a sign."""
    arithmetic = Arithmetic("x", rounding, "test", "wrap")
    p = Requantize(np.array([1]), np.array([5]), None, "half_up", UINT8, "none", UINT8.lo, UINT8.hi)
    wanted = cast(INT16, 5, rounding, "wrap", signed=False)
    np.testing.assert_array_equal(requantize_as(INT16[:, None], p, arithmetic)[:, 0], wanted)


def test_the_presets_are_these_modes():
    """AP_X is APyTypes' X: the names of the family say which."""
    for name, arithmetic in ARITHMETICS.items():
        if name.startswith("ap-fixed-") and name.endswith(("-wrap", "-sat")):
            mode, overflow = name.removeprefix("ap-fixed-").rsplit("-", 1)
            assert QUANTIZATION[arithmetic.rounding] == mode.replace("-", "_").upper()
            assert OVERFLOW[arithmetic.overflow] == overflow.upper()
