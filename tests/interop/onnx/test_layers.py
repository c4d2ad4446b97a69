"""Views: what a tensor's shape and order say about the layer behind it, judged by NumPy."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import floats, graph, node

from refengine.errors import NetworkError
from refengine.interop.onnx import layers
from refengine.interop.onnx.convert import convert, lower
from refengine.interop.onnx.layers import HWC, Layers, View, float32

SHAPES = st.tuples(*[st.integers(1, 3)] * 3)


def image(shape, nhwc=False):
    layers = Layers(2, {}, {})
    layers.image_input("x", shape, nhwc)
    return layers, layers.values["x"]


def numbers_of(view, shape):
    """The view of an image that holds its own (C, H, W) places."""
    height, width, channels = shape
    places = np.arange(height * width * channels).reshape(channels, height, width)
    places = np.stack([places, places + 1000])
    return (places.transpose(0, 2, 3, 1) if view.order == HWC else places).reshape(view.shape)


@given(SHAPES, st.booleans(), st.sampled_from(list(itertools.permutations(range(4)))))
def test_a_transposed_view_holds_what_numpy_says_or_there_is_none(shape, nhwc, perm):
    layers, view = image(shape, nhwc)
    turned = layers.transposed(view, perm)
    if turned is None:
        return
    np.testing.assert_array_equal(numbers_of(turned, shape), numbers_of(view, shape).transpose(perm))
    back = layers.transposed(turned, np.argsort(perm).tolist())
    assert back is not None
    np.testing.assert_array_equal(numbers_of(back, shape), numbers_of(view, shape))


@given(SHAPES, st.booleans(), st.sampled_from([(1,), (2, 3), (1, 2), (3,), (1, 2, 3)]))
def test_means_over_pixels_are_known_by_their_numbers(shape, nhwc, axes):
    """A mean over the axes is the mean of each channel, and nothing else is said to be."""
    layers, view = image(shape, nhwc)
    if layers.pixel_window(view, axes) == shape[:2]:
        planes = numbers_of(View("", (2, shape[2], *shape[:2])), shape)
        np.testing.assert_allclose(numbers_of(view, shape).mean(axes).reshape(2, -1), planes.mean((2, 3)))
    rows, columns = (1, 2) if nhwc else (2, 3)
    assert layers.pixel_window(view, (rows, columns)) == shape[:2]
    assert layers.pixel_window(view, (rows,)) == (shape[0], 1)


@given(SHAPES, st.booleans())
def test_channels_lie_along_their_axis(shape, nhwc):
    layers, view = image(shape, nhwc)
    axis = layers.channel_axis(view)
    if axis is not None:
        moved = np.moveaxis(numbers_of(view, shape), axis, 1).reshape(2, shape[2], -1)
        planes = numbers_of(View("", (2, shape[2], *shape[:2])), shape).reshape(2, shape[2], -1)
        np.testing.assert_array_equal(moved, planes)


def names(*nodes, constants=None):
    return [
        layer.name
        for layer in convert(graph([*nodes, node("Flatten", nodes[-1].outputs[0])], constants)).network.layers
    ]


def test_layers_are_called_after_weights_or_nodes():
    weight = floats(2, 3, 1, 1)
    assert names(node("Conv", "x", "a.b.weight"), constants={"a.b.weight": weight})[1] == "001_a.b"
    assert names(node("Conv", "x", "w", out="layer1/conv"), constants={"w": weight})[1] == "001_net.layer1.conv"
    long = names(node("Relu", "x", out="y" * 300))[1]
    assert len(long) == 4 + 100


def test_a_bias_goes_into_a_layer_that_nothing_else_reads():
    constants = {"w": floats(2, 3, 1, 1), "b": floats(2, 1, 1)}
    alone = [node("Conv", "x", "w"), node("Add", "conv", "b"), node("Flatten", "add")]
    assert [layer.op for layer in convert(graph(alone, constants)).network.layers] == ["input", "conv"]
    shared = [*alone[:2], node("Add", "add", "conv", out="sum"), node("Flatten", "sum")]
    ops = [layer.op for layer in convert(graph(shared, constants)).network.layers]
    assert ops == ["input", "conv", "batchnorm", "add"]
    again = [alone[0], node("Identity", "conv"), node("Add", "identity", "b"), *shared[2:]]
    assert [layer.op for layer in convert(graph(again, constants)).network.layers] == ops


TOO_MANY = "would have many times as many bytes as the graph's arrays"


def test_constants_are_bounded(monkeypatch):
    """Those that are computed, and those that many layers share."""
    monkeypatch.setattr(layers, "MAX_CONSTANT_BYTES", 1000)
    monkeypatch.setattr(layers, "RATIO", 0)
    doubling = [node("Concat", "c", "c", axis=0, out="c1")]
    doubling += [node("Concat", f"c{n}", f"c{n}", axis=0, out=f"c{n + 1}") for n in range(1, 9)]
    with pytest.raises(NetworkError, match=TOO_MANY):
        lower(graph(doubling, {"c": np.ones(4, np.float32)}), {}, 1)
    widened = [node("Cast", "c", to=11, out="d")]  # eight times as many bytes as it reads
    with pytest.raises(NetworkError, match=TOO_MANY):
        lower(graph(widened, {"c": np.ones(126, np.uint8)}), {}, 1)
    shared = [node("Conv", "x", "w", out="y0"), *(node("Conv", f"y{n}", "w", out=f"y{n + 1}") for n in range(30))]
    with pytest.raises(NetworkError, match=TOO_MANY):
        convert(graph(shared, {"w": floats(3, 3, 1, 1)}))


def test_constants_are_counted_before_they_are_computed(monkeypatch):
    """A constant that is doubled again and again: at no time is more memory taken than the limit."""
    limit = 1 << 24
    monkeypatch.setattr(layers, "MAX_CONSTANT_BYTES", limit)
    monkeypatch.setattr(layers, "RATIO", 0)
    nodes = [node("Concat", *2 * [f"c{n}"], axis=0, out=f"c{n + 1}") for n in range(60)]
    tracemalloc.start()
    try:
        with pytest.raises(NetworkError, match=TOO_MANY):
            convert(graph([*nodes, node("Add", "x", "c60")], {"c0": np.ones(1 << 10, np.float32)}))
        assert tracemalloc.get_traced_memory()[1] <= limit + (1 << 20)
    finally:
        tracemalloc.stop()


def test_small_files_ask_for_little():
    """A pool over all of a huge image, and a factor for a million channels, are refused before they are made."""
    huge = (1, 3, 2**16, 2**16)
    pool = node("AveragePool", "x", kernel_shape=(2**16, 2**16), pads=(0, 0, 1, 1), count_include_pad=1)
    with pytest.raises(NetworkError, match=TOO_MANY):
        convert(graph([pool], shape=huge))
    nodes = [node("Pad", "x", pads=(0, 2**16, 0, 0, 0, 2**16, 0, 0), out="y0")]
    nodes += [node("Concat", f"y{n}", f"y{n}", axis=1, out=f"y{n + 1}") for n in range(10)]
    nodes += [node("Mul", "y10", "two")]
    with pytest.raises(NetworkError, match=TOO_MANY):
        convert(graph(nodes, {"two": np.float32(2)}, (1, 3, 1, 1)))


def test_numbers_must_survive_as_float32():
    made = node("Conv")
    assert float32(made, np.array([0.5], np.float64)).dtype == np.float32
    for wrong in (np.array([0.1]), np.array([1]), np.array([1e300])):
        with pytest.raises(NetworkError, match=r"'/net/conv/Conv' \(Conv\): reads (float64|int64)"):
            float32(made, wrong)
