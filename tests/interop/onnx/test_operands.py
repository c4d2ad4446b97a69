"""Operands and attributes that are not what an operator wants are refused by name."""

import pytest
from onnx_models import assert_named, node


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Conv", "x", "w", pads=(1, 1))], "attribute 'pads' is"),
        ([node("Conv", "x", "w", group="two")], "'group' is two, needed a number"),
        ([node("Concat", "x", "x")], "attribute 'axis' is None, needed a number"),
        ([node("Elu", "x", alpha="two")], "'alpha' is two, needed a number"),
        ([node("PRelu", "x", "v")], "needed one number a channel"),
    ],
)
def test_what_cannot_be_said_in_layers_is_named(nodes, complaint):
    assert_named(nodes, complaint)
