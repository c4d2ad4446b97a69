"""Other views, and layers that move numbers: what they become, and what is refused by name."""

import pytest
from onnx_models import assert_named, node, ops_of


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Pad", "x", pads=(1, 0, 0, 0, 0, 0, 0, 0))], "needed an image padded in rows"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")], "mode 'reflect'"),
        ([node("Pad", "x", pads=(0, 0, -1, 0, 0, 0, 0, 0))], "none below 0"),
        ([node("Reshape", "x", "v")], r"needed the batch|does not become"),
        ([node("Split", "x", axis=2)], "splits .* along axis 2, needed the channels"),
        ([node("Split", "x", axis=1, split=(1, 1))], "needed 1 numbers with that sum"),
        ([node("Gather", "x", "zero", axis=2)], "needed a row of the channels"),
        ([node("Slice", "x", starts=(1,), ends=(1,), axes=(1,))], "down to no channel"),
        ([node("Transpose", "x", perm=(0, 2, 1, 3))], "turns"),
        ([node("Concat", "x", "x", axis=2)], "needed the channels"),
        ([node("Transpose", "x", perm=(1, 0, 2, 3))], r"turns \(2, 3, 6, 5\)"),
        ([node("Transpose", "x", perm=(9, 9))], "turns"),
        ([node("Flatten", "x", axis=2)], "needed the batch of 2"),
        ([node("Cast", "x", to=7)], "needed float32 throughout"),
        ([node("Dropout", "x", "", "six")], "training mode"),
        ([node("Expand", "x", "v")], "negative dimensions"),
        (
            [node("GlobalAveragePool", "x"), node("Shape", "x"), node("Expand", "globalaveragepool", "shape")],
            "needed products with an image of that size",
        ),
        (
            [
                node("GlobalAveragePool", "x", out="g"),
                node("Shape", "x"),
                node("Expand", "g", "shape"),
                node("Mul", "g", "expand"),
            ],
            "needed products with an image of that size",
        ),
    ],
)
def test_what_cannot_be_said_in_layers_is_named(nodes, complaint):
    assert_named(nodes, complaint)


@pytest.mark.parametrize(
    ("nodes", "ops"),
    [
        ([node("Slice", "x", starts=(1,), ends=(3,), axes=(1,))], ["gather_channels"]),
        (
            [
                node("GlobalAveragePool", "x", out="g"),
                node("Shape", "x"),
                node("Expand", "g", "shape"),
                node("Mul", "expand", "x"),
            ],
            ["global_avgpool", "mul"],
        ),
        ([node("Gather", "x", "zero0", axis=1), node("Unsqueeze", "gather", axes=(1,))], ["gather_channels"]),
    ],
)
def test_what_choices_of_channels_and_grown_pixels_become(nodes, ops):
    assert ops_of(nodes) == ops
