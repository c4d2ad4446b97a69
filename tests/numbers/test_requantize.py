"""Accumulators to codes (contract Q)."""

from dataclasses import replace

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.numbers.formats import INT8, INT32, UINT8
from refengine.numbers.requantize import (
    MAX_DYNAMIC,
    MAX_TOTAL,
    Requantize,
    clip,
    coarser,
    requantize,
    saturations,
    shifts,
    total,
    values,
)
from refengine.numbers.rounding import DOUBLE_ROUND, MAX_SHIFT, ROUNDINGS, STOCHASTIC, round_shift
from refengine.numbers.stochastic import random_bits


def parameters(**changed):
    """One channel: multiplier 1, shift 0, half_up, INT8, no activation, unless changed."""
    fields = {
        "multiplier": np.array([1]),
        "shift": np.array([0]),
        "residual_shift": None,
        "rounding": "half_up",
        "format": INT8,
        "activation": "none",
    } | changed
    return Requantize(**({"lo": fields["format"].lo, "hi": fields["format"].hi} | fields))


def of_channel(p, c):
    """The integers of one channel, in the oracle's words; a single entry serves all channels."""

    def pick(values):
        return int(values[c if len(values) > 1 else 0])

    return {
        "multiplier": pick(p.multiplier),
        "shift": pick(p.shift),
        "rounding": p.rounding,
        "lo": p.lo,
        "hi": p.hi,
        "residual_shift": 0 if p.residual_shift is None else pick(p.residual_shift),
    }


@given(strategies.requantize_cases())
def test_it_gives_the_integers_of_the_oracle(case):
    """Every element: multiply, add the shifted residual, round once, clip (Q1-Q3)."""
    acc, p, residual, bits = case["acc"], case["parameters"], case["residual"], case["bits"]
    codes = requantize(acc, p, residual, bits)
    assert codes.dtype == p.format.dtype
    expected = {
        index: oracle.requantize(
            int(value),
            residual=0 if residual is None else int(residual[index]),
            bits=None if bits is None else int(bits[index]),
            **of_channel(p, index[-1]),
        )
        for index, value in np.ndenumerate(acc)
    }
    assert dict(np.ndenumerate(codes)) == expected


@given(strategies.requantize_cases())
def test_saturations_are_what_the_format_cut_off(case):
    """Counted one by one: beyond an end that is not an activation's own clip (Q4)."""
    acc, p, residual, bits = case["acc"], case["parameters"], case["residual"], case["bits"]
    rounded = round_shift(total(acc, p, residual), p.shift, p.rounding, bits)
    low = sum(v < p.lo for v in rounded.ravel().tolist()) if p.activation == "none" else 0
    high = sum(v > p.hi for v in rounded.ravel().tolist()) if p.activation in ("none", "relu") else 0
    assert saturations(rounded, p) == (low, high)


@pytest.mark.parametrize(("activation", "counted"), [("none", (2, 3)), ("relu", (0, 3)), ("clip", (0, 0))])
def test_saturations_by_activation(activation, counted):
    """ReLU's zero and ReLU6's six are meant, the ends of the format are not."""
    p = parameters(format=UINT8, activation=activation)
    assert saturations(np.array([-5, -1, 0, 255, 256, 257, 2**40]), p) == counted


@pytest.mark.parametrize("multiplier", [0, 1, 2**31 - 1])
@pytest.mark.parametrize("acc", [-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1])
def test_the_product_is_exact(acc, multiplier):
    """The ends of int32 times the ends of the multiplier (Q1)."""
    product = total(np.array([acc], np.int32), parameters(multiplier=np.array([multiplier])))
    assert product.dtype == np.int64
    assert product.tolist() == [acc * multiplier]
    assert abs(acc * multiplier) <= MAX_TOTAL


@pytest.mark.parametrize(("fmt", "code"), [(UINT8, 255), (INT8, -128), (INT8, 127)])
@pytest.mark.parametrize("residual_shift", [0, 1, 31, 53])
def test_a_residual_only_shifts_left(fmt, code, residual_shift):
    """The widest codes at the longest left shift keep every bit (Q5)."""
    p = parameters(residual_shift=np.array([residual_shift]))
    codes = np.array([code], fmt.dtype)
    assert total(np.array([7], np.int32), p, codes).tolist() == [7 + code * 2**residual_shift]


@pytest.mark.parametrize("rounding", ["floor", "ceil", "half_up", "half_down"])
@given(acc=st.integers(-(2**31), 2**31 - 1), residual=st.integers(-128, 127), shift=st.integers(12, 20))
def test_a_residual_in_the_unit_of_the_codes_moves_them_by_itself(rounding, acc, residual, shift):
    """Rounding sees the sum: a residual shifted by as much as the sum is shifted back changes no fraction (Q2, Q5)."""
    shifts = {"shift": np.array([shift]), "residual_shift": np.array([shift])}
    p = parameters(**shifts, rounding=rounding, format=INT32)
    with_it = requantize(np.array([acc], np.int32), p, np.array([residual], np.int8))
    assert with_it - residual == requantize(np.array([acc], np.int32), p)


def test_two_roundings_would_differ():
    """Half and half make one; each of them alone would round up to one and the sum of those would be two (Q2)."""
    p = parameters(shift=np.array([1]), residual_shift=np.array([0]))
    assert requantize(np.array([1], np.int32), p, np.array([1], np.int8)).tolist() == [1]


@pytest.mark.parametrize("rounding", [r for r in ROUNDINGS if r != STOCHASTIC])
def test_rounding_comes_before_the_clip(rounding):
    """A clip of codes, not of what is rounded: every quarter around the ends 0 and 3 (Q3)."""
    p = parameters(shift=np.array([2]), rounding=rounding, format=UINT8, activation="clip", hi=3)
    acc = np.arange(-9, 20, dtype=np.int32)
    expected = [min(max(oracle.round_shift(int(a), 2, rounding), 0), 3) for a in acc]
    assert requantize(acc[:, None], p).ravel().tolist() == expected


def test_one_entry_serves_all_channels():
    """Arrays of one entry and arrays that repeat it give the same codes."""
    acc = np.arange(-30, 30, dtype=np.int32).reshape(2, 10, 3)
    one = parameters(multiplier=np.array([3]), shift=np.array([2]))
    three = parameters(multiplier=np.array([3] * 3), shift=np.array([2] * 3))
    np.testing.assert_array_equal(requantize(acc, one), requantize(acc, three))


def test_stochastic_codes_do_not_depend_on_the_batch():
    """Three images at once and one by one: the same codes, because the bits belong to the image."""
    p = parameters(shift=np.array([3]), rounding=STOCHASTIC, format=UINT8)
    acc = np.arange(3 * 4 * 5, dtype=np.int32).reshape(3, 4, 5)
    whole = requantize(acc, p, bits=random_bits(9, 1, 0, acc.shape))
    alone = [requantize(acc[n : n + 1], p, bits=random_bits(9, 1, n, (1, 4, 5)))[0] for n in range(3)]
    np.testing.assert_array_equal(whole, alone)


def test_clip_gives_the_storage_type():
    """int64 in, codes out."""
    assert clip(np.array([-300, 300]), parameters(format=UINT8)).dtype == np.uint8


@given(strategies.requantize_cases([rounding for rounding in ROUNDINGS if rounding != STOCHASTIC]), st.integers(1, 7))
def test_a_dynamic_image_is_a_static_one_of_its_own_shift(case, dynamic):
    """What it chooses is the oracle's, and its codes are those of Q with that much more shift (D2, D3)."""
    acc, p, residual = case["acc"], case["parameters"], case["residual"]
    if p.activation == "clip" or p.shift.max() + dynamic > MAX_SHIFT:
        return
    p = replace(p, dynamic=dynamic)
    codes, exact = requantize(acc, p, residual), total(acc, p, residual)
    for n, more in enumerate(coarser(exact, p).tolist()):
        shift = np.broadcast_to(p.shift, acc.shape[-1])
        flat = [(int(t), int(shift[place[-1]])) for place, t in np.ndenumerate(exact[n])]
        assert more == oracle.coarser(*zip(*flat, strict=True), p.lo, p.hi, dynamic)
        own = replace(p, dynamic=0, shift=p.shift + more)
        alone = None if residual is None else residual[n : n + 1]
        np.testing.assert_array_equal(codes[n : n + 1], requantize(acc[n : n + 1], own, alone))


@pytest.mark.parametrize(("fmt", "activation"), [(UINT8, "relu"), (UINT8, "none"), (INT8, "none"), (INT8, "relu")])
def test_the_choice_at_every_power_of_two(fmt, activation):
    """The last total with room, and the first without, on both sides of 0 and to the last choice; then it saturates."""
    lo = 0 if activation == "relu" else fmt.lo
    p = parameters(format=fmt, activation=activation, lo=lo, multiplier=np.array([1]), shift=np.array([2]), dynamic=3)
    for more in range(4):
        last = (fmt.hi + 1 << more + 2) - 1
        for value, chosen in ((last, more), (last + 1, min(more + 1, 3)), (-last - 1, more), (-last - 2, more + 1)):
            signed = min(chosen, 3) if value >= 0 or lo < 0 else 0
            assert coarser(np.array([[[value]]]), p).tolist() == [signed], value
    assert requantize(np.array([[[2**20]]], np.int32), p).tolist() == [[[fmt.hi]]]


def test_rounding_may_carry_over_the_end():
    """255.5 of 256 has room in 8 bits as it stands and is rounded out of them (D3)."""
    p = parameters(format=UINT8, activation="relu", multiplier=np.array([1]), shift=np.array([1]), dynamic=3)
    exact = np.array([[[511]], [[512]]])
    assert coarser(exact, p).tolist() == [0, 1]
    rounded = round_shift(exact, shifts(p, coarser(exact, p), 3), p.rounding)
    assert rounded.ravel().tolist() == [256, 128]
    assert saturations(rounded, p) == (0, 1)
    assert requantize(exact.astype(np.int32), p).ravel().tolist() == [255, 128]


@pytest.mark.parametrize(("fmt", "lo", "hi"), [(UINT8, 0, 32640), (INT8, -16384, 16256)])
def test_values_are_integers_of_16_bits(fmt, lo, hi):
    """The widest codes at the last choice (D4); static codes are handed on as they are."""
    codes = np.array([[fmt.lo], [fmt.hi]], fmt.dtype)
    moved = values(codes, np.array([MAX_DYNAMIC] * 2))
    assert moved.dtype == np.int16
    assert moved.ravel().tolist() == [lo, hi]
    assert values(codes, None) is codes


REFUSED = {
    "rounding": ({"rounding": "nearest"}, "rounding 'nearest' is unknown; available: floor, "),
    "negative multiplier": ({"multiplier": np.array([1, -1])}, "multiplier lies in 0..2147483647, found -1..1"),
    "wide multiplier": ({"multiplier": np.array([2**31])}, "found 2147483648..2147483648"),
    "type": ({"multiplier": np.array([1], np.int32)}, "multiplier is one int64 a channel, found int32 of shape (1,)"),
    "shape": ({"multiplier": np.array([[1]])}, "multiplier is one int64 a channel, found int64 of shape (1, 1)"),
    "no multiplier": ({"multiplier": np.array([], np.int64)}, "found int64 of shape (0,)"),
    "negative shift": ({"shift": np.array([-1])}, "shift lies in 0..62, found -1..-1"),
    "long shift": ({"shift": np.array([0, 63])}, "shift lies in 0..62, found 0..63"),
    "residual shift": ({"residual_shift": np.array([54])}, "residual_shift lies in 0..53, found 54..54"),
    "activation": ({"activation": "tanh"}, "activation 'tanh' is unknown; available: none, relu, clip"),
    "low end": ({"lo": -129}, "the clip -129..127 leaves int8, -128..127"),
    "high end": ({"hi": 128}, "the clip -128..128 leaves int8, -128..127"),
    "empty clip": ({"lo": 5, "hi": 4}, "the clip 5..4 leaves int8, -128..127"),
    "dynamic": ({"dynamic": 8}, "dynamic exponents differ by 0..7, found 8"),
    "dynamic and ReLU6": ({"dynamic": 1, "activation": "clip", "hi": 6}, "need a clip that ends with the format"),
    "dynamic and a clip of all codes": ({"dynamic": 1, "activation": "clip"}, "need a clip that ends with the format"),
    "dynamic and a lower end": ({"dynamic": 1, "hi": 6}, "need a clip that ends with the format"),
    "dynamic and shift": ({"dynamic": 2, "shift": np.array([61])}, "shift and dynamic come to 63, needed at most 62"),
}


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 - 1])
def test_a_seed_beyond_63_bits_is_refused(seed):
    with pytest.raises(RangeError, match=rf"^a seed lies in 0..2\*\*63-1, found {seed}$"):
        parameters(seed=seed)
    assert parameters(seed=2**63 - 1).seed == 2**63 - 1


def test_a_clip_may_be_a_single_code():
    assert requantize(np.array([[-9], [9]], np.int32), parameters(lo=3, hi=3)).tolist() == [[3], [3]]


def test_shift_and_dynamic_may_come_to_the_longest_shift():
    assert parameters(dynamic=2, shift=np.array([MAX_SHIFT - 2])).dynamic == 2


@pytest.mark.parametrize(("changed", "message"), REFUSED.values(), ids=REFUSED)
def test_wrong_parameters_are_refused(changed, message):
    """Each field is checked when the parameters are made, and the message says what was found."""
    with pytest.raises(RangeError) as caught:
        parameters(**changed)
    assert message in str(caught.value)


def test_the_ends_are_accepted():
    """The largest multiplier, shifts and residual shift are legal."""
    ends = {"multiplier": np.array([2**31 - 1]), "shift": np.array([62]), "residual_shift": np.array([53])}
    parameters(**ends, rounding=DOUBLE_ROUND)
