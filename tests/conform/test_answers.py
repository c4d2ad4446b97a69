"""What the contract answers: by the definitions and by the kernels; the integers are judged in test_customers.py."""

import numpy as np
import pytest
from conform_customers import some

from refengine.conform.answers import ANSWERS, answer, attribute, layer_of, operands_of, read, step_of
from refengine.ops import OPS


def test_every_operator_is_a_group():
    assert {f"layer_{op}" for op in OPS} < {*ANSWERS}


@pytest.mark.parametrize("group", ANSWERS)
def test_every_group_has_cases_and_answers(group):
    (case, *_) = some(1, group).values()
    found = answer(case)
    assert found
    assert all(isinstance(array, np.ndarray) and array.size for array in found.values())


def test_a_case_is_a_layer():
    (case, *_) = some(1, "layer_conv").values()
    layer, step = layer_of(case, "a name", ("x",)), step_of(case)
    assert (layer.name, layer.op, layer.inputs) == ("a name", "conv", ("x",))
    assert layer.requantize.rounding == step.rounding == case.parameters["requantize"]["rounding"]
    assert layer.attributes["strides"] == tuple(case.parameters["attributes"]["strides"])
    assert len(operands_of(case)) == 1


def test_codes_of_an_image_that_chose_are_shifted():
    (case, *_) = (case for case in some(1, "layer_fc").values() if "input_0_d" in case.inputs)
    codes, d = case.inputs["input_0"].astype(int), case.inputs["input_0_d"]
    assert read(case, "input_0").tolist() == (codes * 2 ** d[:, None]).tolist()


def test_lists_are_tuples():
    assert (attribute([1, 2]), attribute(3)) == ((1, 2), 3)
