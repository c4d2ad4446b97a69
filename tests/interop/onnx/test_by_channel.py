"""Arithmetic of a tensor and numbers a channel, or of two tensors: what it becomes, and what is refused by name."""

import pytest
from onnx_models import assert_named, node, ops_of


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("BatchNormalization", "x", "v", "v", "v", "v", spatial=0)], "has spatial 0"),
        (
            [node("ReduceMax", "x", axes=(3,)), node("Mul", "reducemax", "x")],
            "needed two tensors of one shape, or an image",
        ),
        ([node("Div", "x", "zero")], "divides by 0"),
        ([node("Div", "six", "x")], "needed"),
        ([node("Add", "x", "v")], "needed one number a channel"),
        ([node("GlobalAveragePool", "x"), node("Add", "x", "globalaveragepool")], "needed two tensors of one shape"),
    ],
)
def test_what_cannot_be_said_in_layers_is_named(nodes, complaint):
    assert_named(nodes, complaint)


@pytest.mark.parametrize(
    ("nodes", "ops"),
    [
        ([node("HardSigmoid", "x"), node("Mul", "x", "hardsigmoid")], ["hard_sigmoid", "mul"]),
        (
            [node("GlobalAveragePool", "x", out="g"), node("Sigmoid", "g"), node("Mul", "sigmoid", "x")],
            ["global_avgpool", "sigmoid", "mul"],
        ),
        ([node("Relu", "x"), node("Mul", "x", "relu")], ["relu", "mul"]),
        ([node("Relu", "x"), node("Sub", "x", "relu")], ["relu", "batchnorm", "add"]),
    ],
)
def test_what_products_become(nodes, ops):
    assert ops_of(nodes) == ops
