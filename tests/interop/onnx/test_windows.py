"""Convolutions, pools, reductions and products of matrices that no layer says are refused by name."""

import pytest
from onnx_models import PAD, assert_named, node


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Conv", "x", "w", dilations=(0, 2))], "dilations"),
        ([node("MaxPool", "x", kernel_shape=(2, 2), dilations=(2, 1))], "dilations"),
        ([node("Conv", "x", "w", kernel_shape=(1, 1))], "kernel_shape"),
        ([node("Conv", "x", "w", pads=(-1, 0, 0, 0))], "'pads' is"),
        ([node("Conv", "x", "w", strides=(0, 1))], "'strides' is"),
        ([node("Conv", "x", "w", auto_pad="SAME")], "'auto_pad' is 'SAME'"),
        ([node("Conv", "x", "w", group=0)], "'group' is 0"),
        ([node("Conv", "x", "m")], "weight of shape"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1), value=1.0), node("Conv", "pad", "w")], "padded with 1.0"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1)), node("MaxPool", "pad", kernel_shape=(3, 3))], "could win"),
        ([PAD, node("Conv", "pad", "w", auto_pad="SAME_UPPER")], "pads it by 'auto_pad' SAME_UPPER; needed 'pads' in"),
        ([PAD, node("AveragePool", "pad", kernel_shape=(3, 3), pads=(1, 1, 1, 1))], "counts the zeros of the Pad"),
        (
            [
                node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1), value=1.0),
                node("AveragePool", "pad", kernel_shape=(3, 3)),
            ],
            "padded with 1.0, needed zeros",
        ),
        ([node("Gemm", "x", "m")], r"reads \(2, 3, 6, 5\)"),
        ([node("Gemm", "x", "m", transA=1)], "transA"),
        ([node("MatMul", "x", "v")], "needed vectors"),
        ([node("ReduceMean", "x", axes=(1,))], "needed H, W or both: the pixels of an image"),
    ],
)
def test_what_cannot_be_said_in_layers_is_named(nodes, complaint):
    assert_named(nodes, complaint)
