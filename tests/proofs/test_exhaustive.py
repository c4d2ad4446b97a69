"""Every int16, every shift from 0 to 31, every mode, saturated and wrapped: the definition, the kernels, the fast plan.

The oracle is the definition by cases, from NumPy's own division with remainder: it looks at what is left after the
division, where the package adds something before it.  Codes that saturate are compared with the oracle's clipped, codes
that wrap with the oracle's cut by a cast.  ``test_the_oracle_is_that_of_fractions`` holds it against exact fractions.
"""

from dataclasses import replace
from fractions import Fraction

import networks
import numpy as np
import oracle
import plans
import pytest
from kernels_under_proof import packing, plan, step
from rounding_cases import GOES_UP

from refengine.numbers.accumulator import confine
from refengine.numbers.arith import Arithmetic, requantize_as
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.requantize import Requantize, requantize
from refengine.numbers.rounding import MODES, round_shift
from refengine.ops.requantize import rescale_kernels

pytestmark = pytest.mark.slow

SHIFTS = np.arange(32)
VALUES = np.arange(-(2**15), 2**15, dtype=np.int32)
ACC = np.repeat(VALUES[:, None], len(SHIFTS), axis=1)
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
FORMATS = pytest.mark.parametrize("fmt", [INT8, UINT8], ids=["int8", "uint8"])


def rounded(mode):
    """Every value by every shift, rounded by cases: int64 (values, shifts)."""
    unit = np.int64(1) << SHIFTS
    quotient, remainder = np.divmod(ACC.astype(np.int64), unit)
    return quotient + GOES_UP[mode](quotient, 2 * remainder, unit)


def by_shifts(mode, fmt):
    """The requantization of all shifts, a channel each."""
    ones = np.ones(len(SHIFTS), np.int64)
    return Requantize(ones, SHIFTS.astype(np.int64), None, mode, fmt, "none", fmt.lo, fmt.hi)


def test_the_modes_are_those_of_the_package_and_of_the_oracle():
    """A mode without an independent statement is not tested, hence not allowed."""
    assert set(MODES) == set(oracle.ROUNDINGS) == set(GOES_UP)


@EVERY_MODE
def test_the_oracle_is_that_of_fractions(mode):
    """Ties, values beside them and ends, at every shift, in exact fractions."""
    found = rounded(mode)
    for column, shift in enumerate(SHIFTS.tolist()):
        half = 2**shift // 2
        near = {sign * half * odd + more for odd in (1, 2, 3) for more in (-1, 0, 1) for sign in (-1, 1)}
        for value in {*near, -(2**15), 2**15 - 1} & set(range(-(2**15), 2**15)):
            assert found[value + 2**15, column] == oracle.ROUNDINGS[mode](Fraction(value, 2**shift))


@EVERY_MODE
def test_round_shift(mode):
    np.testing.assert_array_equal(round_shift(ACC, SHIFTS, mode), rounded(mode))


@FORMATS
@EVERY_MODE
def test_every_total_saturates_to_the_oracles_code(mode, fmt):
    """The definition and the kernel; the kernel's counts too."""
    wanted = rounded(mode)
    clipped = np.minimum(np.maximum(wanted, fmt.lo), fmt.hi)
    codes, counts = rescale_kernels(ACC, by_shifts(mode, fmt))
    for found in (codes, requantize(ACC, by_shifts(mode, fmt))):
        assert found.dtype == fmt.dtype
        np.testing.assert_array_equal(found, clipped)
    assert counts == (np.count_nonzero(wanted < fmt.lo), np.count_nonzero(wanted > fmt.hi))


@FORMATS
@EVERY_MODE
def test_every_total_wraps_to_the_oracles_code(mode, fmt):
    """``wrap`` of other designs' arithmetics (Arith5) is what a cast to the format's type keeps."""
    wrapping = Arithmetic("wrapping", mode, "this test", "wrap")
    found = requantize_as(ACC, by_shifts(mode, fmt), wrapping)
    np.testing.assert_array_equal(found, rounded(mode).astype(fmt.dtype))


# ------------------------------------------------------------------------------------------------------ the fast plan


def network_of_every_sum(mode, fmt):
    """An image's first two bytes x, y become the sum ``x + 256 * y - 2**15``, which 32 channels shift by 0 to 31."""
    rescale = networks.plain_requantize(UINT8, multiplier=np.array([1]), shift=np.array([8]), rounding="floor")
    bytes_ = replace(networks.small().layers[0], constants={"bias": np.zeros(3, np.int32)}, requantize=rescale)
    conv = plans.conv(np.random.default_rng(0), "001_conv", bytes_.name, 3, len(SHIFTS), (0, 0, 0, 0), kernel=1)
    constants = {
        "weight": np.tile(np.array([1, 4, 0], np.int8)[None, :, None, None], (len(SHIFTS), 1, 1, 1)),
        "scale": np.tile(np.array([1, 64, 0], np.int8), (len(SHIFTS), 1)),
        "bias": np.full(len(SHIFTS), -(2**15), np.int32),
    }
    conv = replace(
        conv,
        constants=constants,
        attributes={**conv.attributes, "cluster": 1},
        requantize=by_shifts(mode, fmt),
        weight_format="int4",
    )
    return plans.ending_in_a_mean((256, 256, 3), bytes_, conv, channels="RGB")


@FORMATS
@EVERY_MODE
def test_codes_of_the_fast_plan(mode, fmt):
    """half_up by the epilogue in 32 bits, the other modes by the exact one; with the clipped values counted."""
    network = network_of_every_sum(mode, fmt)
    layer = network.layer("001_conv")
    table = packing.table(network, layer, layer.requantize, 128 if fmt is INT8 else 0)
    assert (table is not None) == (mode == "half_up")
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    image = np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)[None]
    _, found = plans.seen(lambda observe: plans.Plan(network, 1, observed=["001_conv"]).run(image, 0, observe))
    ((_, result),) = found.values()
    wanted = rounded(mode)
    codes = result.result.reshape(-1, len(SHIFTS))
    np.testing.assert_array_equal(result.accumulator.reshape(-1, len(SHIFTS)), ACC)
    np.testing.assert_array_equal(codes, np.minimum(np.maximum(wanted, fmt.lo), fmt.hi))
    assert result.saturated == (np.count_nonzero(wanted < fmt.lo), np.count_nonzero(wanted > fmt.hi))


# ---------------------------------------------------------------------------------------------- narrow accumulators


@pytest.mark.parametrize("policy", ["wrap", "saturate"])
@pytest.mark.parametrize("bits", [16, 17, 18])
def test_every_sum_is_confined_as_the_oracle_does(bits, policy):
    """Every sum of 19 bits: the definition and the kernel hold the same, and count the same."""
    sums = np.arange(-(2**18), 2**18, dtype=np.int32)
    top = 2 ** (bits - 1)
    wanted = sums << 32 - bits >> 32 - bits if policy == "wrap" else np.minimum(np.maximum(sums, -top), top - 1)
    held, count = confine(sums, bits, policy)
    np.testing.assert_array_equal(held, wanted)
    row, events, kept = np.zeros(step.FIELDS, np.int64), np.zeros(3, np.int64), sums.copy()
    row[step.ACCUMULATOR_BITS], row[step.SATURATES], row[step.CHANNELS] = bits, policy == "saturate", len(sums)
    plan._confine(row, 0, kept, events)
    np.testing.assert_array_equal(kept, wanted)
    assert count == events[plan.OVERFLOWED] == np.count_nonzero(wanted != sums)
