"""The independent datapath gives the contract's bits as long as nobody breaks it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import STEPS, every_op, random_images, seeded

from mutation.datapath import Datapath, held, rounded
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.golden.diagnose.machine import Case
from refengine.numbers.rounding import ROUNDINGS, STOCHASTIC, round_shift
from refengine.runs.digest import stages_of

PLAIN = tuple(rounding for rounding in ROUNDINGS if rounding != STOCHASTIC)


@pytest.mark.parametrize("seed", range(8))
def test_unbroken_it_is_the_engine(seed):
    network = seeded(seed, [*STEPS] * 2, PLAIN)
    seen = set()

    def observe(layer, operands, result):
        made = Datapath(Case(network, layer, tuple(operands), result.residual)).stages()
        for stage, array in stages_of(layer, result):
            assert made[stage].dtype == array.dtype
            np.testing.assert_array_equal(made[stage], array)
            seen.add(layer.op)

    run(network, random_images(network, 2, seed), "reference", observe)
    assert len(seen) > 4


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=9), st.integers(0, 40), st.sampled_from(PLAIN))
def test_rounding_is_that_of_the_contract(values, shift, mode):
    if mode == "double_round":
        values = [value >> 2 for value in values]
    total = np.array(values, np.int64)
    np.testing.assert_array_equal(rounded(total, np.int64(shift), mode), round_shift(total, shift, mode))


@given(st.integers(-(2**40), 2**40), st.integers(2, 32))
def test_registers_saturate_or_wrap(value, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    assert int(held(np.int64(value), bits, True)) == min(max(value, low), high)
    wrapped = int(held(np.int64(value), bits, False))
    assert low <= wrapped <= high
    assert (wrapped - value) % 2**bits == 0


def test_drawing_lots_is_refused():
    network = every_op(STOCHASTIC)
    with pytest.raises(RangeError, match="stochastic"):
        Datapath(Case(network, network.layers[0], (random_images(network, 1),)))
