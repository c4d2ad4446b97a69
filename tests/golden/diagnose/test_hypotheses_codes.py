"""Faults between accumulator and code, each stated a second time on plain Python integers."""

from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from golden_cases import cases_of, conv_case
from networks import seeded

from refengine.golden.diagnose.hypotheses import HYPOTHESES
from refengine.golden.diagnose.machine import STAGES, machine_of
from refengine.golden.diagnose.recompute import recompute
from refengine.numbers.rounding import STOCHASTIC

CASES = {
    "relu": conv_case(0, residual=True, finer=2),
    "clip": conv_case(1, activation="clip", top=90, rounding="half_even"),
    "none": conv_case(2, activation="none", signed=True, residual=True, rounding="half_away", shift=12),
    "alone": conv_case(3, activation="none", signed=True, shift=12),
}
SIGNED = {"relu": False, "clip": False, "none": True, "alone": True}


def low(value, bits, signed):
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


def elements(case):
    """What each element is made of: acc, its constants m, s, r, the residual, all constants of the layer, ends."""
    step, shape = case.layer.requantize, (case.count, *case.shape)
    acc = recompute(machine_of(case), ["accumulator"])["accumulator"]
    for place in np.ndindex(*shape):
        c = place[-1]
        yield place, SimpleNamespace(
            acc=int(acc[place]), c=c, C=shape[-1], M=step.multiplier.tolist(), S=step.shift.tolist(),
            m=int(step.multiplier[c]), s=int(step.shift[c]), lo=step.lo, hi=step.hi, mode=step.rounding,
            r=0 if case.residual is None else int(step.residual_shift[c]),
            residual=0 if case.residual is None else int(case.residual[place]),
            signed=step.format.lo < 0, active=step.activation != "none", own=int(case.operands[0].dtype == np.int8),
        )  # fmt: skip


def total(e):
    return e.acc * e.m + e.residual * 2**e.r


def clip(e, value):
    return min(max(value, e.lo), e.hi)


def rounded(e, t, mode=None, s=None):
    return oracle.round_shift(t, e.s if s is None else s, mode or e.mode)


def code(e, t, mode=None, s=None):
    return clip(e, rounded(e, t, mode, s))


def product_first(e, mode):
    first = rounded(e, e.acc * e.m, mode)
    return code(e, first * 2**e.s + e.residual * 2**e.r)


def byte(e, value):
    return low(value, 8, e.signed)


def with_multiplier(e, m):
    return code(e, e.acc * m + e.residual * 2**e.r)


def saturated_before(e):
    integer, fraction = divmod(total(e), 2**e.s)
    return byte(e, rounded(e, clip(e, integer) * 2**e.s + fraction))


def two_steps(e):
    first = min(e.s, e.m.bit_length())
    half = oracle.round_shift(total(e), first, "half_up")
    return clip(e, oracle.round_shift(half, e.s - first, "half_away"))


FAULTS = {
    **{f"rounds_{mode}": (lambda e, mode=mode: code(e, total(e), mode)) for mode in oracle.ROUNDINGS},
    "double_round": lambda e: code(e, total(e), "double_round"),
    "rounds_two_steps": two_steps,
    "rounding_offset_twice": lambda e: code(e, total(e) + 2**e.s // 2),
    "rounding_offset_halved": lambda e: clip(e, (total(e) + 2**e.s // 4) // 2**e.s),
    "product_rounded_first": lambda e: product_first(e, None),
    "product_cut_first": lambda e: product_first(e, "toward_zero"),
    "product_floored_first": lambda e: product_first(e, "floor"),
    "residual_floored_first": lambda e: code(e, e.acc * e.m + e.residual * 2**e.r // 2**e.s * 2**e.s),
    "wraps_before_activation": lambda e: clip(e, low(rounded(e, total(e)), 8, True)),
    "wraps_unclipped": lambda e: byte(e, rounded(e, total(e))),
    "upper_end_low": lambda e: min(code(e, total(e)), e.hi - 1),
    "upper_end_high": lambda e: byte(e, min(max(rounded(e, total(e)), e.lo), e.hi + 1)),
    "lower_end_high": lambda e: max(code(e, total(e)), e.lo + 1),
    "lower_end_low": lambda e: byte(e, min(max(rounded(e, total(e)), e.lo - 1), e.hi)),
    "clips_before_rounding": saturated_before,
    "relu_missing": lambda e: byte(e, min(max(rounded(e, total(e)), -128), 127)),
    "relu_missing_unclipped": lambda e: byte(e, min(rounded(e, total(e)), e.hi)),
    "relu_added": lambda e: max(code(e, total(e)), 0),
    "relu_before_residual": lambda e: code(e, max(e.acc * e.m, 0) + e.residual * 2**e.r),
    "upper_end_127": lambda e: min(code(e, total(e)), 127),
    "relu6_end_missing": lambda e: min(max(rounded(e, total(e)), 0), 255),
    "saturates_to_zero": lambda e: clip(e, 0 if overflows(e) else rounded(e, total(e))),
    "wraps": lambda e: clip(e, byte(e, rounded(e, total(e))) if overflows(e) else rounded(e, total(e))),
    "shift_more": lambda e: code(e, total(e), s=e.s + 1),
    "shift_less": lambda e: code(e, total(e), s=e.s - 1),
    "shift_of_next_channel": lambda e: code(e, total(e), s=e.S[(e.c + 1) % e.C]),
    "shift_of_previous_channel": lambda e: code(e, total(e), s=e.S[e.c - 1]),
    "shift_of_channel_0": lambda e: code(e, total(e), s=e.S[0]),
    "multiplier_more": lambda e: with_multiplier(e, e.m + 1),
    "multiplier_less": lambda e: with_multiplier(e, e.m - 1),
    "multiplier_of_next_channel": lambda e: with_multiplier(e, e.M[(e.c + 1) % e.C]),
    "multiplier_of_previous_channel": lambda e: with_multiplier(e, e.M[e.c - 1]),
    "multiplier_of_channel_0": lambda e: with_multiplier(e, e.M[0]),
    "multiplier_cut_by_1": lambda e: with_multiplier(e, e.m // 2 * 2),
    "multiplier_cut_by_2": lambda e: with_multiplier(e, e.m // 4 * 4),
    "multiplier_cut_to_8": lambda e: code(e, total(e)),
    "multiplier_low_7_bits": lambda e: with_multiplier(e, e.m % 128),
    "multiplier_signed": lambda e: with_multiplier(e, low(e.m, 8, True)),
    "multiplier_1": lambda e: with_multiplier(e, 1),
    "factor_of_next_channel": lambda e: code(
        e, e.acc * e.M[(e.c + 1) % e.C] + e.residual * 2**e.r, s=e.S[(e.c + 1) % e.C]
    ),
    "factor_of_previous_channel": lambda e: code(e, e.acc * e.M[e.c - 1] + e.residual * 2**e.r, s=e.S[e.c - 1]),
    "factor_of_channel_0": lambda e: code(e, e.acc * e.M[0] + e.residual * 2**e.r, s=e.S[0]),
    "residual_missing": lambda e: code(e, e.acc * e.m),
    "residual_negated": lambda e: code(e, e.acc * e.m - e.residual * 2**e.r),
    "residual_doubled": lambda e: code(e, e.acc * e.m + 2 * e.residual * 2**e.r),
    "residual_unshifted": lambda e: code(e, e.acc * e.m + e.residual),
    "residual_halved": lambda e: code(e, e.acc * e.m + e.residual * 2 ** (e.r - 1)),
    "residual_after_clip": lambda e: code(e, code(e, e.acc * e.m) * 2**e.s + e.residual * 2**e.r),
    "residual_before_scale": lambda e: code(e, (e.acc + e.residual) * e.m),
    "residual_other_sign": lambda e: code(e, e.acc * e.m + e.residual % 256 * 2**e.r),
    "read_as_other_sign": lambda e: low(code(e, total(e)), 8, not e.signed),
}  # fmt: skip


def overflows(e):
    """Whether a code does not fit although its activation has been applied."""
    value = rounded(e, total(e))
    if e.active:
        value = max(value, e.lo) if e.hi == 255 else clip(e, value)
    return not (-128 <= value <= 127 if e.signed else 0 <= value <= 255)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_codes_is_what_it_says(name):
    applied = 0
    for case in CASES.values():
        machine = HYPOTHESES[name](machine_of(case))
        if machine is None:
            continue
        found = recompute(machine, STAGES, None, ["code"])["code"]
        wrong = {place: (int(found[place]), e) for place, e in elements(case) if found[place] != FAULTS[name](e)}
        assert not wrong
        applied += 1
    assert applied


def test_what_is_no_fault_of_a_layer_is_none():
    for name in ("relu_before_residual", "residual_missing", "product_rounded_first", "residual_is_input"):
        assert HYPOTHESES[name](machine_of(CASES["alone"])) is None
    for name in ("relu_missing", "relu6_end_missing", "wraps_unclipped"):
        assert HYPOTHESES[name](machine_of(CASES["none"])) is None
    assert HYPOTHESES["rounds_half_up"](machine_of(CASES["relu"])) is None
    tall = conv_case(0, shift=1, outputs=12)
    assert HYPOTHESES["shift_less"](machine_of(tall)) is None, "a shift of -1 is no machine"


def test_a_product_in_float32():
    """24 significant bits of the product, ties to even, as numpy's float32 has them."""
    case = conv_case(5, shift=17, kernel=(3, 3), weight_format="int8", inputs=16)
    found = recompute(HYPOTHESES["product_in_float32"](machine_of(case)), ["code"])["code"]
    for place, e in elements(case):
        assert found[place] == code(e, int(np.float32(np.float32(e.acc) * np.float32(e.m))))


def test_draws_counted_from_another_image():
    for case, _ in cases_of(seeded(3, ["conv"], (STOCHASTIC,)), 3, first_image=5):
        if case.layer.requantize is None:
            continue
        from_zero = recompute(machine_of(type(case)(case.network, case.layer, case.operands, case.residual)), ["code"])
        np.testing.assert_array_equal(
            recompute(HYPOTHESES["draws_from_image_0"](machine_of(case)), ["code"])["code"], from_zero["code"]
        )
        part = recompute(HYPOTHESES["draws_from_image_0"](machine_of(case.images(1, 3))), ["code"])["code"]
        np.testing.assert_array_equal(part, from_zero["code"][1:])


def test_the_input_added_for_the_residual():
    case = conv_case(6, residual=True, inputs=3, activation="none", signed=True, signed_input=True)
    alike = type(case)(case.network, case.layer, case.operands, case.operands[0])
    np.testing.assert_array_equal(
        recompute(HYPOTHESES["residual_is_input"](machine_of(case)), ["code"])["code"],
        recompute(machine_of(alike), ["code"])["code"],
    )
