"""Convolutions, pools, reductions and products of matrices that no layer says are refused by name."""

import numpy as np
import pytest
from onnx_models import PAD, assert_named, graph, node

from refengine.interop.onnx.convert import convert
from refengine.network.forward import forward


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Conv", "x", "w", dilations=(0, 2))], "dilations"),
        ([node("MaxPool", "x", kernel_shape=(2, 2), dilations=(2, 1))], "multiples of its dilations"),
        ([node("MaxPool", "x", kernel_shape=(2, 2), dilations=(0, 1))], "needed 1 or more"),
        ([node("MaxPool", "x", kernel_shape=(2, 2), strides=(2, 2), dilations=(2, 2), ceil_mode=1)], "no ceil_mode"),
        ([node("AveragePool", "x", kernel_shape=(2, 2), pads=(1, 1, 0, 0), dilations=(2, 2))], "not counted"),
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


def pooled(x, kernel, strides, pads, apart, what, filler):
    """A dilated pool of (N, C, H, W), window by window."""
    x = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])], constant_values=filler)
    sides = [(k - 1) * d + 1 for k, d in zip(kernel, apart, strict=True)]
    rows, columns = (range(0, x.shape[2 + a] - sides[a] + 1, strides[a]) for a in range(2))
    return np.stack([
        np.stack([what(x[:, :, r : r + sides[0] : apart[0], c : c + sides[1] : apart[1]], (2, 3)) for c in columns], -1)
        for r in rows
    ], 2)  # fmt: skip


@pytest.mark.parametrize("size", [(9, 8), (7, 11)])
@pytest.mark.parametrize(
    ("op", "window"),
    [
        ("MaxPool", {"kernel_shape": (2, 2), "strides": (2, 2), "dilations": (2, 2)}),
        ("MaxPool", {"kernel_shape": (3, 2), "strides": (4, 3), "dilations": (2, 3), "pads": (2, 0, 2, 0)}),
        ("MaxPool", {"kernel_shape": (2, 1), "strides": (3, 1), "dilations": (3, 2), "pads": (0, 0, 3, 0)}),
        ("AveragePool", {"kernel_shape": (2, 3), "strides": (1, 2), "dilations": (2, 1)}),
        ("AveragePool", {"kernel_shape": (2, 2), "dilations": (3, 2), "pads": (1, 0, 1, 2), "count_include_pad": 1}),
    ],
)
def test_dilated_pools_see_every_nth_pixel(op, window, size):
    made = convert(graph([node(op, "x", **window), node("Flatten", op.lower())], shape=(2, 3, *size))).network
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    x = pixels.transpose(0, 3, 1, 2).astype(np.float64)
    kernel, apart = window["kernel_shape"], window["dilations"]
    strides, pads = window.get("strides", (1, 1)), window.get("pads", (0, 0, 0, 0))
    what, filler = (np.max, -1) if op == "MaxPool" else (np.mean, 0)
    wanted = pooled(x, kernel, strides, pads, apart, what, filler)
    np.testing.assert_allclose(forward(made, pixels), wanted.reshape(2, -1), rtol=1e-6)
