"""A network around one layer: it is valid, and the layer stands where the case says that stochastic rounding counts it.

That the layer computes the case's own integers there is a test of test_customers.py.
"""

import numpy as np
import pytest
from conform_customers import every_case, some

from refengine.conform.alone import around, names_of_tensors, position
from refengine.conform.suite import is_layer


@pytest.mark.parametrize("step", [pytest.param(9, id="a share"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def test_every_case_is_a_layer_of_a_valid_network(step):
    chosen = [case for case in every_case().values() if is_layer(case.group)][::step]
    for case in chosen:
        alone = around(case)
        names = [layer.name for layer in alone.network.layers]
        assert names.index(alone.layer) == case.parameters["layer"]
        assert alone.images.dtype == np.uint8
        assert len(alone.images) == len(case.inputs["input_0"])


def test_the_place_counts_operands_residual_and_flattened_rows():
    cases = some(1, "layer_add").values()
    rows = next(case for case in cases if case.inputs["input_0"].ndim == 2 and "residual" not in case.inputs)
    assert position(rows.inputs) == 5
    added = next(case for case in cases if case.inputs["input_0"].ndim == 4 and "residual" in case.inputs)
    assert names_of_tensors(added.inputs) == ["input_0", "input_1", "residual"]
    assert position(added.inputs) == 4


def test_pixels_come_back_as_values_of_15_bits():
    """Two pixels an element: 127 times the first and the second."""
    case = next(case for case in some(1, "layer_requantize").values() if "input_0_d" in case.inputs)
    alone = around(case)
    fmt, d = case.parameters["operands"]["input_0"]["format"], case.inputs["input_0_d"]
    values = case.inputs["input_0"].astype(int) * 2 ** d[:, None, None, None]
    pairs = alone.images[..., 0].astype(int).reshape(*values.shape, 2)
    assert (pairs @ [127, 1] == values - (0 if fmt == "uint8" else -128 * 128)).all()
