"""The sums of a machine are those of plain Python integers, everywhere and at single elements, whatever their width."""

import numpy as np
import pytest
from golden_cases import conv_case
from plain_convolution import CASES, Plain

from refengine.golden.diagnose.accumulators import accumulators
from refengine.golden.diagnose.machine import machine_of


@pytest.mark.parametrize("name", CASES)
def test_sums_are_those_of_plain_integers(name):
    machine, wanted = machine_of(CASES[name]), Plain(CASES[name]).result()
    np.testing.assert_array_equal(accumulators(machine, None), wanted)
    where = np.arange(0, wanted.size, 5)
    np.testing.assert_array_equal(accumulators(machine, where), wanted.reshape(-1)[where])


def test_weights_beyond_16_bits_are_computed_too():
    """The kernel holds 16 bits; a fault may need more."""
    case = conv_case()
    machine = machine_of(case)
    found = accumulators(machine.constant(scale=machine.constants["scale"] * 300), None)
    bias = case.layer.constants["bias"]
    np.testing.assert_array_equal(found - bias, 300 * (accumulators(machine, None) - bias))
