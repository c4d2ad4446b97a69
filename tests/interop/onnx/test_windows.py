"""Convolutions, pools, reductions and products of matrices that no layer says are refused by name."""

import re

import numpy as np
import pytest
from onnx_models import PAD, assert_named, graph, node

from refengine.errors import NetworkError
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


PIXEL = [
    node("GlobalAveragePool", "x"),
    node("Reshape", "globalaveragepool", "line", out="pixel"),
]


@pytest.mark.parametrize("window", [{}, {"pads": (1, 2)}, {"strides": (2,), "pads": (0, 1)}, {"dilations": (2,)}])
def test_a_line_of_weights_goes_along_the_channels_of_a_pixel(window):
    """As ECA gates channels: each from its neighbours, the same weights everywhere."""
    taps = np.array([[[0.5, -2.0]]], np.float32)
    constants = {"line": np.array([2, 1, 3]), "taps": taps, "one": np.full(1, 0.25, np.float32)}
    conv = node("Conv", "pixel", "taps", "one", **window)
    made = convert(graph([*PIXEL, conv, node("Flatten", "conv")], constants)).network
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3)).astype(np.uint8)
    line = np.pad(pixels.mean((1, 2)), [(0, 0), window.get("pads", (0, 0))])
    apart, stride = window.get("dilations", (1,))[0], window.get("strides", (1,))[0]
    wanted = (0.5 * line[:, :-apart] - 2 * line[:, apart:] + 0.25)[:, ::stride]
    np.testing.assert_allclose(forward(made, pixels), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "attributes", "complaint"),
    [
        ((1, 1, 2), {"auto_pad": "VALID"}, "needed (O, I, KH, KW), or (1, 1, K) along the channels"),
        ((2, 1, 2), {}, "has a weight of shape (2, 1, 2)"),
        ((1, 1, 9), {}, "has no window of 9 along 3 channels padded by 0 and 0"),
        ((1, 1, 0), {}, "has no window"),
        ((1, 1, 2), {"strides": (0,)}, "has no window"),
        ((1, 1, 2), {"pads": (-1, 0)}, "has no window"),
    ],
)
def test_lines_of_weights_that_are_refused(shape, attributes, complaint):
    constants = {"line": np.array([2, 1, 3]), "taps": np.ones(shape, np.float32)}
    with pytest.raises(NetworkError, match=re.escape(complaint)):
        convert(graph([*PIXEL, node("Conv", "pixel", "taps", **attributes), node("Flatten", "conv")], constants))


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
