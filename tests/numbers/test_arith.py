"""Arithmetics of other designs (contract Arith).

The second opinion is each source's own formula, in plain Python integers and Fractions: C's shifts, masks and cutting
divisions where the source is C, ``struct`` where it computes in single precision.
"""

import math
import struct
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import strategies
from everyday import everyday
from hypothesis import assume, given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.numbers.arith import (
    ARITHMETICS,
    OVERFLOWS,
    TWO_STEPS,
    Arithmetic,
    arithmetic_named,
    bit_lengths,
    requantize_as,
    significant,
)
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.requantize import MAX_TOTAL, Requantize, requantize
from refengine.numbers.rounding import DOUBLE_ROUND

HALF = Fraction(1, 2)


# ------------------------------------------------------------------------------------------------ the sources' formulas


def away(x):
    """C's round: nearest, ties away from zero."""
    return math.floor(x + HALF) if x >= 0 else -math.floor(-x + HALF)


def tosa(value, shift):
    return (value + (1 << shift >> 1)) >> shift


def tosa_double(value, shift):
    addend = 1 << shift >> 1
    if shift > 31:
        addend += 1 << 30 if value >= 0 else -(1 << 30)
    return (value + addend) >> shift


def doubling_high_multiply(product):
    """gemmlowp: a nudge by the product's sign, then a division that cuts toward zero."""
    nudge = 1 << 30 if product >= 0 else 1 - (1 << 30)
    return math.trunc(Fraction(product + nudge, 1 << 31))


def divide_by_power_of_two(x, exponent):
    """gemmlowp: remainder against a threshold that is one higher below zero."""
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def as_31_bits(multiplier, shift):
    """The exponent that turns the pair into a multiplier of 31 bits, and what it leaves of the shift."""
    widened = 31 - multiplier.bit_length()
    return widened, shift + widened - 31


def tflite(value, multiplier, shift):
    widened, right = as_31_bits(multiplier, shift)
    left = max(-right, 0)
    return divide_by_power_of_two(doubling_high_multiply(value << (left + widened)), max(right, 0))


def cmsis(value, multiplier, shift):
    """arm_nn_doubling_high_mult_no_sat adds half and shifts; the division tests the sign of its quotient."""
    widened, right = as_31_bits(multiplier, shift)
    high = ((value << (max(-right, 0) + widened)) + (1 << 30)) >> 31
    mask = (1 << max(right, 0)) - 1
    result = high >> max(right, 0)
    return result + ((high & mask) > (mask >> 1) + (result < 0))


def cmsis_single(value, shift):
    return value if shift == 0 else ((value >> (shift - 1)) + 1) >> 1


def gemmini(x, shift):
    """Gemmini's macro: the bit below, and either a bit below that or an odd quotient."""
    if shift == 0:
        return x
    below = (x >> (shift - 1)) & 1
    sticky = shift > 1 and x & ((1 << (shift - 1)) - 1) != 0
    return (x >> shift) + (below & (sticky | ((x >> shift) & 1)))


def single(x):
    """A number through an IEEE single."""
    return struct.unpack("f", struct.pack("f", x))[0]


def in_single(acc, multiplier):
    return int(single(single(acc) * single(multiplier)))  # a double holds the product of two singles


def deeploy(value, shift):
    return (value + (1 << (shift - 1)) if shift > 0 else value) >> shift


def exactly(rounding):
    """A rounding of the exact quotient."""
    return lambda value, shift: rounding(Fraction(value, 1 << shift))


ROUNDINGS = {
    "tosa": tosa,
    "tosa-double": tosa_double,
    "tflite-single": tosa,
    "cmsis-single": cmsis_single,
    "gemmini": gemmini,
    "gemmini-float": exactly(round),
    "nvdla": exactly(away),
    "dory": lambda value, shift: value >> shift,
    "nemo": exactly(math.floor),
    "deeploy": deeploy,
    "qonnx": exactly(round),
    "onnx": exactly(round),
    "onnx-reference": exactly(round),
    "onnxruntime": exactly(round),
    "ristretto": exactly(away),
    "fxpmath-default": exactly(math.trunc),
    "ap-fixed-default": exactly(math.floor),
    "ac-fixed-default": exactly(math.floor),
}
TWICE = {"tflite": tflite, "cmsis": cmsis}
FLOATS = ("gemmini-float", "onnxruntime")
QUANTIZATION = {
    "trn": exactly(math.floor),
    "trn-zero": exactly(math.trunc),
    "rnd": exactly(lambda x: math.floor(x + HALF)),
    "rnd-zero": exactly(lambda x: math.ceil(x - HALF) if x >= 0 else math.floor(x + HALF)),
    "rnd-min-inf": exactly(lambda x: math.ceil(x - HALF)),
    "rnd-inf": exactly(away),
    "rnd-conv": exactly(round),
}


def saturated(value, lo, hi):
    return min(max(value, lo), hi)


def wrapped(value, lo, hi):
    """The low bits, read as the format reads them."""
    low = value & (hi - lo)
    return low - (hi - lo + 1) if low > hi else low


def symmetric(value, lo, hi):
    return saturated(value, -hi if lo < 0 else lo, hi)


def to_zero(value, lo, hi):
    return value if lo <= value <= hi else 0


OVERFLOW = {"wrap": wrapped, "sat": saturated, "sat-sym": symmetric, "sat-zero": to_zero}
FAMILY = {
    f"ap-fixed-{q}-{o}": (rounding, overflow)
    for q, rounding in QUANTIZATION.items()
    for o, overflow in OVERFLOW.items()
}
CLIPPED_FIRST = ("qonnx", "onnx-reference", "ristretto")


def expected(name, acc, p, channel, residual=0):
    """One code, by the source of the preset ``name``."""
    multiplier = int(p.multiplier[channel % len(p.multiplier)])
    shift = int(p.shift[channel % len(p.shift)])
    added = residual << int(p.residual_shift[channel % len(p.residual_shift)]) if p.residual_shift is not None else 0
    product = in_single(acc, multiplier) if name in FLOATS else acc * multiplier
    value = product + added
    rounding, overflow = FAMILY.get(name, (ROUNDINGS.get(name), saturated))
    if name in ("ap-fixed-default", "ac-fixed-default"):
        overflow = wrapped
    if name in CLIPPED_FIRST:
        unit = Fraction(1 << shift)
        return {"ristretto": away}.get(name, round)(saturated(value / unit, p.lo, p.hi))
    rounded = TWICE[name](value, multiplier, shift) if name in TWICE else rounding(value, shift)
    if p.activation != "none":
        rounded = max(rounded, p.lo)
    if p.activation == "clip":
        rounded = min(rounded, p.hi)
    return saturated(overflow(rounded, p.format.lo, p.format.hi), p.lo, p.hi)


# ---------------------------------------------------------------------------------------------------------------- tests


def test_casts_of_fixed_point_types_shift_and_have_no_multiplier():
    """28 of them, named by AMD's two modes, which stand in their source too; the defaults are truncate and wrap."""
    casts = {name: one for name, one in ARITHMETICS.items() if name.startswith("ap-fixed-") and name.count("-") > 2}
    assert len(casts) == 28
    for name, one in casts.items():
        quantization, _, overflow = name.removeprefix("ap-fixed-").rpartition("-")
        if overflow in ("sym", "zero") and quantization.endswith("-sat"):
            quantization, overflow = quantization.removesuffix("-sat"), f"sat-{overflow}"
        modes = (f"AP_{word.replace('-', '_').upper()}" for word in (quantization, overflow))
        assert (one.source, one.multiplier_bits) == (f"AMD UG1399, {' and '.join(modes)}", 1), name
    for name in ("ap-fixed-default", "ac-fixed-default"):
        assert (ARITHMETICS[name].rounding, ARITHMETICS[name].overflow) == ("floor", "wrap")
        assert ARITHMETICS[name].multiplier_bits == 1


def test_every_preset_has_a_formula():
    """A preset that no source's formula checks is a claim."""
    assert set(ARITHMETICS) == {*ROUNDINGS, *TWICE, *FAMILY}
    assert all(name == arithmetic.name and arithmetic.source for name, arithmetic in ARITHMETICS.items())


def step(fmt=INT8, activation="none", multiplier=(1,), shift=(0,), hi=None, lo=None):
    lo = lo if lo is not None else fmt.lo if activation == "none" else 0
    arrays = np.array(multiplier, np.int64), np.array(shift, np.int64)
    return Requantize(*arrays, None, "half_up", fmt, activation, lo, fmt.hi if hi is None else hi)


ENDS = (step(), step(UINT8, "relu"), step(UINT8), step(INT8, "clip", hi=40))


@pytest.mark.parametrize("name", everyday(ARITHMETICS, 2))
def test_every_small_accumulator_gives_the_oracles_code(name):
    """All of -140..140, shifts 0..4, multipliers without and with several bits, each kind of clip."""
    pairs = [(m, s) for m in (0, 3) for s in range(5)]
    acc = np.arange(-140, 141, dtype=np.int32)[:, None].repeat(len(pairs), 1)
    for ends in ENDS:
        p = replace(ends, multiplier=np.array([m for m, _ in pairs]), shift=np.array([s for _, s in pairs]))
        codes = requantize_as(acc, p, ARITHMETICS[name])
        assert codes.dtype == p.format.dtype
        wanted = [[expected(name, int(a), p, c) for c in range(len(pairs))] for a in acc[:, 0]]
        np.testing.assert_array_equal(codes, wanted)


@pytest.mark.parametrize("name", [*ROUNDINGS, *TWICE, "ap-fixed-rnd-conv-wrap", "ap-fixed-rnd-min-inf-sat-sym"])
@given(case=strategies.requantize_cases())
def test_accumulators_of_32_bits_give_the_oracles_codes(name, case):
    """Accumulators of 32 bits, multipliers of up to 31, shifts of up to 62, residuals."""
    acc, p, residual = case["acc"], case["parameters"], case["residual"]
    codes = requantize_as(acc, p, ARITHMETICS[name], residual)
    for index, value in np.ndenumerate(acc):
        added = 0 if residual is None else int(residual[index])
        assert codes[index] == expected(name, int(value), p, index[-1], added), index


totals = st.integers(-(2**31), 2**31 - 1)
designs = st.sampled_from(sorted(ARITHMETICS))


@st.composite
def near_ties(draw):
    """An accumulator whose product lies within one of a tie between two codes, its multiplier and shift."""
    multiplier, shift = draw(st.integers(1, 255)), draw(st.integers(1, 38))
    acc = (2 * draw(st.integers(-300, 300)) + 1 << shift >> 1) // multiplier + draw(st.integers(-1, 1))
    assume(-(2**31) <= acc < 2**31)
    return acc, multiplier, shift


@given(designs, near_ties())
def test_near_ties_every_rule_gives_the_oracles_code(name, case):
    """Where rules differ."""
    acc, multiplier, shift = case
    for ends in ENDS:
        p = replace(ends, multiplier=np.array([multiplier]), shift=np.array([shift]))
        assert requantize_as(np.array([acc], np.int32), p, ARITHMETICS[name])[0] == expected(name, acc, p, 0)


@given(near_ties() | st.tuples(totals, st.integers(1, 2**31 - 1), st.integers(0, 40)))
def test_tosa_double_rounding_of_a_wide_multiplier_is_tflite_s(case):
    """With the multiplier widened to 31 bits, the one formula of TOSA gives the two roundings of gemmlowp."""
    acc, multiplier, shift = case
    widened = 31 - multiplier.bit_length()
    assume(shift + widened <= 62 and abs(acc * multiplier << widened) <= MAX_TOTAL)
    narrow = step(multiplier=[multiplier], shift=[shift])
    wide = step(multiplier=[multiplier << widened], shift=[shift + widened])
    value = np.array([acc])
    tflite_codes = requantize_as(value, narrow, ARITHMETICS["tflite"])
    assert tflite_codes == requantize_as(value, wide, ARITHMETICS["tosa-double"])
    assert tflite_codes == requantize_as(value, wide, ARITHMETICS["tflite"])


@given(near_ties(), st.integers(0, 20))
def test_a_longer_multiplier_and_shift_change_no_exact_arithmetic(case, k):
    """multiplier << k and shift + k are the same factor; only double_round and single precision could tell."""
    acc, multiplier, shift = case
    assume(shift + k <= 62 and abs(acc * multiplier << k) <= MAX_TOTAL and multiplier << k < 2**31)
    for name, arithmetic in ARITHMETICS.items():
        if arithmetic.rounding != DOUBLE_ROUND:
            short, long = (step(multiplier=[multiplier << n], shift=[shift + n]) for n in (0, k))
            values = [requantize_as(np.array([acc]), p, arithmetic) for p in (short, long)]
            assert values[0] == values[1], name


@given(strategies.requantize_cases(), st.sampled_from([a for a in ARITHMETICS.values() if a.overflow == "saturate"]))
def test_the_order_of_clip_and_rounding_cannot_be_seen(case, arithmetic):
    """Ends are integers: every rounding commutes with the clip."""
    acc, p, residual = case["acc"], case["parameters"], case["residual"]
    either = [
        requantize_as(acc, p, replace(arithmetic, order=order), residual) for order in ("round, clip", "clip, round")
    ]
    np.testing.assert_array_equal(*either)


@given(strategies.requantize_cases(), designs)
def test_what_a_layer_can_express_it_expresses(case, name):
    """Without an obstacle, the preset is Requantize with the preset's rounding."""
    acc, p, residual = case["acc"], case["parameters"], case["residual"]
    arithmetic = ARITHMETICS[name]
    assume(arithmetic.obstacle is None)
    own = requantize(acc, replace(p, rounding=arithmetic.rounding), residual)
    np.testing.assert_array_equal(own, requantize_as(acc, p, arithmetic, residual))


@given(strategies.requantize_cases(), st.sampled_from(["round, clip", "clip, round"]))
def test_any_rounding_of_the_contract_can_be_asked_for(case, order):
    """The contract's own arithmetic is one of them, random bits included, whichever comes first."""
    acc, p = case["acc"], case["parameters"]
    own = Arithmetic("own", p.rounding, "the contract", order=order)
    codes = requantize_as(acc, p, own, case["residual"], case["bits"])
    np.testing.assert_array_equal(codes, requantize(acc, p, case["residual"], case["bits"]))


@given(strategies.requantize_cases(), designs)
def test_a_code_is_within_the_clip(case, name):
    """Whatever overflows, later layers read what they were promised."""
    p = case["parameters"]
    codes = requantize_as(case["acc"], p, ARITHMETICS[name], case["residual"])
    assert codes.dtype == p.format.dtype
    assert ((codes >= p.lo) & (codes <= p.hi)).all()


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_a_relu_never_overflows_at_zero(overflow):
    """What an activation cuts on purpose is cut before anything can wrap (Arith5)."""
    arithmetic = Arithmetic("x", "floor", "test", overflow)
    assert requantize_as(np.array([-1, -(2**31)]), step(UINT8, "relu"), arithmetic).tolist() == [0, 0]


def test_what_each_rule_makes_of_one_value():
    """2.5 and -2.5, 300 and -129 in the arithmetics that differ there."""
    p = step(shift=[1])
    table = {
        "tosa": [3, -2, 127, -128],
        "nvdla": [3, -3, 127, -128],
        "onnx": [2, -2, 127, -128],
        "dory": [2, -3, 127, -128],
        "fxpmath-default": [2, -2, 127, -128],
        "ap-fixed-default": [2, -3, 44, 127],
        "ap-fixed-trn-sat-sym": [2, -3, 127, -127],
        "ap-fixed-trn-sat-zero": [2, -3, 0, 0],
    }
    found = {name: requantize_as(np.array([5, -5, 600, -258]), p, ARITHMETICS[name]).tolist() for name in table}
    assert found == table


def test_two_roundings_go_over_a_tie_from_below():
    """182/2**17 of 1260 is 1.7496, of 360 it is 0.49988: by 8 bits it becomes 256, exactly half, and goes up."""
    p = step(multiplier=[182], shift=[17])
    acc = np.array([360, -360])
    assert requantize_as(acc, p, ARITHMETICS["tflite"]).tolist() == [1, -1]
    assert requantize_as(acc, p, ARITHMETICS["tosa"]).tolist() == [0, 0]


def to_significant(value, bits):
    """Nearest multiple of the last place that ``bits`` bits leave, ties to even."""
    last = 2 ** max(abs(value).bit_length() - bits, 0)
    return round(Fraction(value, last)) * last


@given(st.integers(-(2**62), 2**62), st.integers(-(2**53), 2**53))
def test_significant_is_what_a_float_holds(wide, exact_in_a_double):
    """24 bits are an IEEE single, 53 a double."""
    assert significant(np.array([wide]), 24).tolist() == [to_significant(wide, 24)]
    assert significant(np.array([wide]), 53).tolist() == [int(float(wide))]
    assert significant(np.array([exact_in_a_double]), 24).tolist() == [int(np.float32(exact_in_a_double))]


@pytest.mark.parametrize("length", range(25, 63))
def test_significant_ties_go_to_the_even_neighbour(length):
    """Exactly half of the last place, above an even and an odd one, and one to either side of it."""
    last = 2 ** (length - 24)
    ties = [sign * (2 ** (length - 1) + odd * last + last // 2) for sign in (1, -1) for odd in (0, 1)]
    values = [tie + nudge for tie in ties for nudge in (-1, 0, 1)]
    assert significant(np.array(values), 24).tolist() == [to_significant(value, 24) for value in values]


def test_single_precision_rounds_three_times_before_the_code():
    """Found by search: where the accumulator is not rounded by itself, or nothing is, the codes are others."""
    cases = [(-802072234, 249, 32), (1230450120, 185, 33), (1141272780, 159, 31), (163166664, 153, 29)]
    acc, multiplier, shift = (np.array(values) for values in zip(*cases, strict=True))
    p = step(multiplier=multiplier, shift=shift)
    assert requantize_as(acc, p, ARITHMETICS["onnxruntime"]).tolist() == [-47, 27, 85, 46]
    assert requantize_as(acc, p, ARITHMETICS["onnx"]).tolist() == [-47, 27, 85, 47]
    rounded_once = [round(Fraction(int(single(a * m)), 2**s)) for a, m, s in cases]
    assert rounded_once == [-46, 26, 84, 47]


def test_bit_lengths_at_every_power_of_two():
    values = [v for e in range(63) for v in (2**e - 1, 2**e, min(2**e + 1, 2**62))]
    assert bit_lengths(np.array(values)).tolist() == [v.bit_length() for v in values]


def test_one_entry_serves_all_channels():
    """As in the contract's own requantization, also where the two arrays have different lengths."""
    acc = np.arange(-60, 60, dtype=np.int32).reshape(-1, 3)
    for arithmetic in ARITHMETICS.values():
        one = requantize_as(acc, step(multiplier=[5], shift=[4]), arithmetic)
        for multiplier, shift in (([5] * 3, [4] * 3), ([5], [4] * 3), ([5] * 3, [4])):
            np.testing.assert_array_equal(one, requantize_as(acc, step(multiplier=multiplier, shift=shift), arithmetic))


def test_obstacles_name_the_property():
    """Overflow first, then the second rounding, then the product."""
    assert ARITHMETICS["tosa-double"].obstacle is None
    assert "'wrap'" in ARITHMETICS["ap-fixed-default"].obstacle
    assert "rounds twice" in ARITHMETICS["cmsis"].obstacle
    assert "float32" in ARITHMETICS["onnxruntime"].obstacle


def test_a_name_is_found_or_the_known_ones_are_listed():
    assert arithmetic_named("nvdla") is ARITHMETICS["nvdla"]
    with pytest.raises(RangeError, match="arithmetic 'gpu' is unknown; available: tosa, tosa-double, "):
        arithmetic_named("gpu")


REFUSED = {
    "rounding": ({"rounding": "bankers"}, "rounding 'bankers' is unknown; available: floor, "),
    "overflow": ({"overflow": "trap"}, "overflow 'trap' is unknown; available: saturate, wrap"),
    "order": ({"order": "clip"}, "order 'clip' is unknown"),
    "product": ({"product": "bfloat16"}, "product 'bfloat16' is unknown; available: exact, float32"),
    "wrap first": ({"order": "clip, round", "overflow": "wrap"}, "'wrap' acts on codes, it cannot come before"),
}


@pytest.mark.parametrize(("changed", "message"), REFUSED.values(), ids=REFUSED)
def test_contradicting_fields_are_refused(changed, message):
    with pytest.raises(RangeError) as caught:
        Arithmetic(**{"name": "x", "rounding": TWO_STEPS, "source": "test"} | changed)
    assert message in str(caught.value)


def test_a_residual_needs_its_shift():
    for arithmetic in ARITHMETICS.values():
        with pytest.raises(RangeError, match="a residual needs a residual_shift"):
            requantize_as(np.array([1]), step(), arithmetic, np.array([1], np.int8))
