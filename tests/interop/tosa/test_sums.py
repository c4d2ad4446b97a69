"""Accumulators as TOSA graphs, run by TOSA's own reference model: every integer of every operator.

Whatever runs needs an environment with tosa-tools, as tests/numbers/test_arith_tosa.py says, named by TOSA_PYTHON.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from networks import every_op, int_networks, seeded, small
from tosa_tools import EXACT, assert_no_integer_differs, needs_tosa

from refengine.network.int_network import IntLayer, IntNetwork


@needs_tosa
@pytest.mark.parametrize("rounding", [*EXACT, "stochastic"])
def test_every_operator_in_every_rounding(rounding):
    assert assert_no_integer_differs(every_op(rounding)) >= 500


@needs_tosa
@pytest.mark.parametrize("seed", range(8))
def test_every_operator_with_other_attributes(seed):
    """Groups, strides, uneven padding and windows that end before the image does, residuals, narrow accumulators."""
    ops = ["conv", "pad_channels", "maxpool", "add", "batchnorm", "conv", "concat", "avgpool", "requantize"]
    assert_no_integer_differs(seeded(seed, ops, EXACT))


@needs_tosa
@settings(max_examples=6)
@given(int_networks(roundings=EXACT))
def test_random_networks_agree(network):
    assert_no_integer_differs(network, 1)


@needs_tosa
def test_windows_that_see_nothing_but_padding():
    conv = small().layers[1]
    where = {"strides": (3, 3), "pads": (2, 2, 0, 0), "group": 1, "cluster": 1}
    constants = {
        "weight": np.ones((1, 1, 1, 1), np.int8),
        "scale": np.ones((1, 1), np.int8),
        "bias": np.array([7], np.int32),
    }
    fields = {**vars(conv), "constants": constants, "attributes": where, "weight_exponent": np.zeros(1, np.int64)}
    last = IntLayer(**{**fields, "requantize": None})
    assert_no_integer_differs(IntNetwork("padding", (1, 1, 1), 1, "gray", (small().layers[0], last)))
