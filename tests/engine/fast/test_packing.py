"""Panels and tables: where each weight stands, two limbs that add up, and a rescale in 32 bits that is the definition's
wherever there is a table, and that no sum overflows."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import networks
import numpy as np
import plans
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.engine.fast.packing import exact_table, in_reading_order, missing, panels, table, widths
from refengine.kernels.fast.epilogue import HALF, LIFT, MULTIPLIER, RESIDUAL_SHIFT, SHIFT
from refengine.kernels.fast.plan import ADDENDS, EXACT_HEIGHT
from refengine.kernels.instruction_sets import PAIRED, TARGETS, WORDS
from refengine.numbers import requantize
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.rounding import DOUBLE_ROUND, MODES, round_shift

# -------------------------------------------------------------------------------------------------------------- weights


@given(st.integers(1, 20), st.sampled_from([(64, 32, 16), (16,), (32, 16)]))
def test_panels_cover_every_channel_once(vectors, available):
    channels = 16 * vectors
    covered = [
        first + n * width + c
        for first, width, count in widths(channels, available)
        for n in range(count)
        for c in range(width)
    ]
    assert covered == list(range(channels))


@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([16, 32]), st.integers(0, 64), st.integers(0, 99))
def test_every_weight_stands_in_its_panel(count, fours, width, first, seed):
    """Neighbours of as many limbs together, and 128 * high + low is the weight."""
    rng = np.random.default_rng(seed)
    tops = rng.choice([1, 127, 128, 127 * 127], (count, 1)).repeat(width, axis=0)
    rows = (rng.integers(-(10**6), 10**6, (count * width, 4 * fours)) % (2 * tops + 1) - tops).astype(np.int32)
    found = {}
    limbs_of = []
    for packed in panels(rows, first, width):
        assert packed.weights.dtype == np.int8
        assert packed.width == width
        assert packed.weights.shape == (packed.count, packed.limbs, fours, width, 4)
        limbs_of.append(packed.limbs)
        for panel, channel in np.ndindex(packed.count, width):
            limbs = packed.weights[panel, :, :, channel].astype(int).reshape(packed.limbs, -1)
            whole = limbs[0] if packed.limbs == 1 else 128 * limbs[0] + limbs[1]
            found[packed.first + panel * width + channel] = whole.tolist()
            needed = 1 if np.abs(rows.reshape(count, -1)[(packed.first - first) // width + panel]).max() <= 127 else 2
            assert packed.limbs == needed
    assert found == {first + n: row.tolist() for n, row in enumerate(rows)}
    assert all(one != other for one, other in pairwise(limbs_of))


@pytest.mark.parametrize(("dense", "order"), [(WORDS, [0, 1, 2, 3]), (PAIRED, [1, 3, 0, 2])])
@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([16, 32]), st.integers(0, 64), st.integers(0, 99))
def test_every_weight_stands_in_its_panel_of_words(dense, order, count, fours, width, first, seed):
    """Of each channel two of four weights, then the other two; all panels together, whatever their weights."""
    rows = np.random.default_rng(seed).integers(-16129, 16130, (count * width, 4 * fours)).astype(np.int32)
    (packed,) = panels(rows, first, width, dense)
    assert (packed.weights.dtype, packed.first, packed.width) == (np.int16, first, width)
    assert packed.weights.shape == (count, 1, fours, 2, width, 2)
    for channel, row in enumerate(rows):
        panel, column = divmod(channel, width)
        assert packed.weights[panel, 0, :, :, column].ravel().tolist() == row.reshape(-1, 4)[:, order].ravel().tolist()


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_what_the_sums_of_a_tile_have_too_little(count, fours, seed):
    """Products of a channel's own weights, or what was taken from activations; even for the largest weights."""
    rows = np.random.default_rng(seed).choice([-16129, -128, -1, 0, 1, 127, 16129], (count, 4 * fours)).astype(np.int32)
    wanted = [-sum(row[n] * row[n + 1] for n in range(0, 4 * fours, 2)) for row in rows.tolist()]
    for target in TARGETS:
        found = missing(rows, target).tolist()
        if target.signed:
            assert found == [128 * sum(row) for row in rows.tolist()]
        else:
            assert found == (wanted if target.dense == PAIRED else [0] * count)


@pytest.mark.parametrize("weight", [-128 * 127 - 64, -16129, -128, -64, 0, 63, 64, 127, 128, 16129, 128 * 127 + 63])
def test_ends_of_two_limbs(weight):
    rows = np.full((16, 4), weight, np.int32)
    rows[0, 0] = 128
    (packed,) = panels(rows, 0, 16)
    assert packed.limbs == 2
    high, low = packed.weights[0, :, 0, 1].astype(int)
    assert np.all(128 * high + low == weight)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9), st.integers(0, 9))
def test_weights_stand_in_the_order_of_a_window_s_bytes(outputs, inputs, kernel_h, kernel_w, spare, more):
    stored, length = inputs + spare, kernel_w * (inputs + spare) + more
    weight = np.arange(1, outputs * inputs * kernel_h * kernel_w + 1, dtype=np.int32)
    weight = weight.reshape(outputs, inputs, kernel_h, kernel_w)
    rows = in_reading_order(weight, stored, length)
    assert rows.shape == (outputs, kernel_h * length)
    wanted = np.zeros_like(rows)
    for o, i, y, x in np.ndindex(*weight.shape):
        wanted[o, y * length + x * stored + i] = weight[o, i, y, x]
    np.testing.assert_array_equal(rows, wanted)


# --------------------------------------------------------------------------------------------- the rescale in 32 bits


def fake(peaks, step, residual_format=None, accumulator_bits=32):
    """A layer, and as much of its network as a table depends on: the bounds of its sums."""
    channels = len(peaks)
    formats = {"layer": step.format, "residual": residual_format}
    peaks = np.asarray(peaks, np.int64)
    network = SimpleNamespace(shapes={"layer": (channels,)}, bounds={"layer": (-peaks, peaks)}, formats=formats)
    residual = None if residual_format is None else "residual"
    return network, SimpleNamespace(name="layer", residual=residual, accumulator_bits=accumulator_bits)


def in_32_bits(value):
    assert -(2**31) <= value < 2**31, value
    return value


def rescaled(column, acc, residual, lo, hi):
    """The formula of ``kernels/fast/epilogue.py`` in Python's integers, every sum checked; codes as they are stored."""
    raised = in_32_bits(acc << column[LIFT])
    high, low = raised >> 16, raised & 0xFFFF
    assert 0 <= column[MULTIPLIER] < 2**15
    value = in_32_bits(in_32_bits(column[HALF]) + high * column[MULTIPLIER])
    value = in_32_bits(value + (low * column[MULTIPLIER] >> 16))
    if residual is not None:
        value = in_32_bits(value + in_32_bits(residual << column[RESIDUAL_SHIFT]))
    assert 0 <= column[SHIFT] < 32
    return min(max(value >> column[SHIFT], lo), hi)


STEPS = st.fixed_dictionaries(
    {
        "multiplier": st.one_of(st.integers(0, 255), st.integers(0, 2**15 - 1), st.integers(0, 2**31 - 1)),
        "shift": st.one_of(st.integers(0, 50), st.integers(10, 30)),
        "peak": st.integers(0, 30).flatmap(lambda bits: st.integers(2**bits // 2, 2**bits)),
        "further": st.one_of(st.none(), st.integers(-8, 8)),
        "fmt": st.sampled_from([UINT8, INT8]),
        "residual_format": st.sampled_from([UINT8, INT8]),
        "seed": st.integers(0, 2**32),
    }
)

ORDINARY = {
    "multiplier": 1,
    "shift": 8,
    "peak": 100,
    "further": None,
    "fmt": UINT8,
    "residual_format": UINT8,
    "seed": 0,
}


@given(STEPS)
@example({**ORDINARY, "shift": 20, "further": -1})
@example({**ORDINARY, "shift": 41, "peak": 2**30, "multiplier": 2**15 - 1, "fmt": INT8})
def test_where_there_is_a_table_it_is_the_definition(chosen):
    """For sums at the ends of their bound, at ties, and anywhere between."""
    shift, peak, further = chosen["shift"], chosen["peak"], chosen["further"]
    residual_shift = None if further is None else min(53, max(0, shift + further))
    step = networks.plain_requantize(
        chosen["fmt"],
        multiplier=np.array([chosen["multiplier"]]),
        shift=np.array([shift]),
        residual_shift=None if further is None else np.array([residual_shift]),
    )
    fmt, residual_format = chosen["fmt"], chosen["residual_format"] if further is not None else None
    zero, residual_zero = (128 if f is INT8 else 0 for f in (fmt, residual_format))
    found = table(*fake([peak], step, residual_format), step, zero)
    if found is None:
        return
    assert found.dtype == np.int32
    column = [int(value) for value in found[:, 0]]
    for acc, residual in samples(chosen["seed"], peak, shift, chosen["multiplier"], residual_format):
        wanted = requantize.requantize(
            np.array([acc], np.int32), step, None if residual is None else np.array([residual])
        )
        stored = None if residual is None else residual + residual_zero
        assert rescaled(column, acc, stored, fmt.lo + zero, fmt.hi + zero) == int(wanted[0]) + zero, (acc, residual)


def samples(seed, peak, shift, multiplier, residual_format):
    rng = np.random.default_rng(seed)
    ties = [(2 * n + 1 << max(shift - 1, 0)) // max(multiplier, 1) + d for n in (-3, -1, 0, 2, 90) for d in (-1, 0, 1)]
    sums = [-peak, 1 - peak, -1, 0, 1, peak - 1, peak, *rng.integers(-peak, peak, 20, endpoint=True).tolist(), *ties]
    residuals = [None]
    if residual_format is not None:
        residuals = [residual_format.lo, residual_format.hi, 0, int(rng.integers(0, residual_format.hi))]
    return [(acc, residual) for acc in sums if -peak <= acc <= peak for residual in residuals]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bits", [8, 15])
def test_ordinary_layers_have_a_table(bits, residual):
    """Sums of as many bits as a code of 8 bits needs behind this multiplier and this shift."""
    for shift in range(8, 26):
        step = networks.plain_requantize(
            multiplier=np.array([2**bits - 1]),
            shift=np.array([shift]),
            residual_shift=np.array([shift]) if residual else None,
        )
        peak = 2 ** min(max(shift + 9 - bits, 0), 24)
        assert table(*fake([peak] * 3, step, UINT8 if residual else None), step, 0) is not None, shift


def test_the_rows_of_a_table():
    """The multiplier takes all of its 15 bits; shifts grow with it."""
    step = networks.plain_requantize(multiplier=np.array([200, 130]), shift=np.array([14, 12]))
    found = table(*fake([1000, 1000], step), step, 0)
    assert found.shape == (5, 16)
    assert found[MULTIPLIER, :2].tolist() == [200 << 7, 130 << 7]
    assert found[SHIFT, :2].tolist() == [14 + 7 - 16, 12 + 7 - 16]
    assert found[HALF, :2].tolist() == [1 << 4, 1 << 2]
    assert not found[[RESIDUAL_SHIFT, LIFT]].any()
    assert not found[:, 2:].any()


def test_a_small_shift_lifts_the_accumulator():
    step = networks.plain_requantize(multiplier=np.array([200]), shift=np.array([3]))
    column = table(*fake([1000], step), step, 0)[:, 0]
    assert column[LIFT] == 17 - 3 - 7
    assert (column[MULTIPLIER], column[SHIFT]) == (200 << 7, 1)


@pytest.mark.parametrize(("fmt", "zero"), [(UINT8, 0), (INT8, 128)])
@pytest.mark.parametrize("residual_format", [UINT8, INT8])
def test_zeros_are_folded_into_what_is_added(fmt, zero, residual_format):
    step = networks.plain_requantize(
        fmt, multiplier=np.array([200]), shift=np.array([12]), residual_shift=np.array([11])
    )
    found = table(*fake([1000], step, residual_format), step, zero)
    half, shift, left = (int(found[row, 0]) for row in (HALF, SHIFT, RESIDUAL_SHIFT))
    assert (shift, left) == (12 + 7 - 16, 11 + 7 - 16)
    assert half == (1 << shift - 1) + (zero << shift) - ((128 if residual_format is INT8 else 0) << left)
    assert np.all(found[HALF, 1:] == zero)


def test_a_channel_that_cannot_reach_a_half_needs_no_multiplier():
    step = networks.plain_requantize(multiplier=np.array([200, 200]), shift=np.array([14, 60]))
    found = table(*fake([1000, 1000], step), step, 0)
    assert found[MULTIPLIER, 0] > 0
    assert found[MULTIPLIER, 1] == 0


@pytest.mark.parametrize(
    ("peak", "step", "bits"),
    [
        (2**16, {"multiplier": np.array([2**15 - 1]), "shift": np.array([0])}, 32),
        (2**24, {"multiplier": np.array([2**20]), "shift": np.array([30])}, 32),
        (2**30, {"multiplier": np.array([2**15 - 1]), "shift": np.array([5])}, 32),
        (2**31 - 1, {"multiplier": np.array([2**14]), "shift": np.array([17])}, 32),
        (2**30, {"multiplier": np.array([2**15 - 1]), "shift": np.array([41]), "fmt": INT8}, 32),
        (1000, {"multiplier": np.array([200]), "shift": np.array([14]), "rounding": "half_even"}, 32),
        (1000, {"multiplier": np.array([200]), "shift": np.array([14])}, 31),
        (1000, {"multiplier": np.array([200]), "shift": np.array([14])}, 16),
    ],
)
def test_there_is_no_table_where_32_bits_are_not_enough(peak, step, bits):
    step = networks.plain_requantize(**step)
    zero = 128 if step.format is INT8 else 0
    assert table(*fake([peak], step, accumulator_bits=bits), step, zero) is None


def test_a_residual_that_does_not_fit():
    """A residual shift so far from the shift that no common power of two serves both."""
    step = networks.plain_requantize(multiplier=np.array([200]), shift=np.array([20]), residual_shift=np.array([35]))
    assert table(*fake([1000], step, UINT8), step, 0) is None
    assert table(*fake([1000], replace(step, residual_shift=np.array([20])), UINT8), step, 0) is None
    near = replace(step, residual_shift=np.array([18]))
    assert table(*fake([1000], near, UINT8), near, 0) is not None


@pytest.mark.parametrize("fmt", [UINT8, INT8])
def test_tables_of_whole_layers(fmt):
    """A real layer's channels, each with its own bound, multiplier and shift."""
    network = plans.conv_network(3, "int4", fmt=fmt)
    layer = network.layers[2]
    zero = 128 if fmt is INT8 else 0
    found = table(network, layer, layer.requantize, zero)
    low, high = network.bounds[layer.name]
    for c in range(37):
        one = {name: getattr(layer.requantize, name)[c : c + 1] for name in ("multiplier", "shift", "residual_shift")}
        step = replace(layer.requantize, **one)
        for acc in (int(low[c]), 0, 12345, int(high[c])):
            wanted = requantize.requantize(np.array([acc], np.int32), step, np.array([fmt.hi]))
            got = rescaled([int(v) for v in found[:, c]], acc, fmt.hi + zero, fmt.lo + zero, fmt.hi + zero)
            assert got == int(wanted[0]) + zero


# ------------------------------------------------------------------------------------------------------ the exact table


@pytest.mark.parametrize("rounding", [*MODES, DOUBLE_ROUND])
@given(seed=st.integers(0, 2**32))
def test_the_exact_table_is_the_definition(rounding, seed):
    """Any multiplier, any shift, any sum."""
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(1, 20))
    step = networks.plain_requantize(
        multiplier=rng.integers(0, 2**31, channels),
        shift=rng.integers(0, 60, channels),
        residual_shift=rng.integers(0, 40, channels),
        rounding=rounding,
    )
    found = exact_table(step, channels)
    assert found.dtype == np.int64
    assert found.shape == (EXACT_HEIGHT, -(-channels // 16) * 16)
    total = rng.integers(-(2**61), 2**61, channels) >> rng.integers(0, 61, channels)
    column = ((total >> found[1, :channels]) & 1) + 2 * (total < 0)
    rounded = (total + found[ADDENDS + column, np.arange(channels)]) >> found[1, :channels]
    np.testing.assert_array_equal(rounded, round_shift(total, step.shift, rounding))
    np.testing.assert_array_equal(found[0, :channels], step.multiplier)
    np.testing.assert_array_equal(found[2, :channels], step.residual_shift)
    assert not found[:, channels:].any()


def test_the_exact_table_of_one_entry_for_all_channels():
    found = exact_table(networks.plain_requantize(), 5)
    assert found[:3, :5].T.tolist() == [[1, 8, 0]] * 5
    assert found[ADDENDS:, :5].T.tolist() == [[128] * 4] * 5
