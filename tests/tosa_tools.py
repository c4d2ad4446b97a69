"""Tests that run TOSA's reference model: it needs an environment of its own (tests/numbers/test_arith_tosa.py)."""

import os

import numpy as np
import pytest
from networks import random_images

from refengine.engine.run import run
from refengine.interop.tosa.engine import TosaEngine, reference_model
from refengine.interop.tosa.export_layer import left_out
from refengine.numbers.rounding import DOUBLE_ROUND, MODES
from refengine.runs.digest import stages_of

needs_tosa = pytest.mark.skipif(
    "TOSA_PYTHON" not in os.environ, reason="TOSA_PYTHON names no environment with tosa-tools"
)
EXACT = (*MODES, DOUBLE_ROUND)


def golden_stages(network, images):
    stages = {}

    def observe(layer, operands, result):
        stages[layer.name] = {stage: array.copy() for stage, array in stages_of(layer, result)}

    run(network, images, "reference", observe)
    return stages


def assert_no_integer_differs(network, count=2):
    """Every stage of every layer, of the golden's shape and type; how many integers that were."""
    images = random_images(network, count)
    golden = golden_stages(network, images)
    codes = {name: stages["code"] for name, stages in golden.items() if "code" in stages}
    found = TosaEngine(network, reference_model()).run(images, codes)
    assert {name: {*stages} for name, stages in found.items()} == {
        layer.name: {*golden[layer.name]} - {*left_out(layer)} for layer in network.layers
    }
    for name, stages in found.items():
        for stage, array in stages.items():
            assert array.dtype == golden[name][stage].dtype
            np.testing.assert_array_equal(array, golden[name][stage], f"{name}.{stage}")
    return sum(array.size for stages in found.values() for array in stages.values())
