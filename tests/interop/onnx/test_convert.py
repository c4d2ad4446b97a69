"""Conversion: networks that went out come back the same; what others write gives the logits of ONNX Runtime."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from float_networks import every_op, networks
from hypothesis import assume, given
from onnx_models import as_bytes, classifier, floats, graph, node

from refengine import optional
from refengine.errors import NetworkError
from refengine.interop.onnx.agreement import agreement
from refengine.interop.onnx.convert import Preprocessing, convert, convert_file
from refengine.interop.onnx.export_float import to_onnx
from refengine.interop.onnx.read import parse_onnx
from refengine.network.float_file import read_float_network
from refengine.network.forward import forward

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

needs_onnx = pytest.mark.skipif(not optional.installed("onnx"), reason="onnx is missing")
needs_runtime = pytest.mark.skipif(
    not (optional.installed("onnx") and optional.installed("onnxruntime")), reason="onnx or onnxruntime is missing"
)


# ---- out and back


def returned(network):
    given = Preprocessing(network.mean, network.std, network.channels)
    data = to_onnx(network).SerializeToString()
    return convert(parse_onnx(data, "net.onnx"), given, source=network.source, licence=network.licence).network


def assert_returns(network):
    """The same layers but for flatten, which an fc does by itself; the same weights exactly, and with them the logits.

    Products of the same matrices may end in other last bits where the matrices lie elsewhere in memory.
    """
    back = returned(network)
    fields = ("name", "input_shape", "classes", "mean", "std", "channels", "source", "licence")
    assert all(getattr(back, name) == getattr(network, name) for name in fields)
    layers, others = ([layer for layer in net.layers if layer.op != "flatten"] for net in (network, back))
    assert [layer.op for layer in layers] == [layer.op for layer in others]
    for layer, other in zip(layers, others, strict=True):
        assert layer.name.split("_", 1)[1] == other.name.split("_", 1)[1]
        assert {*layer.constants} == {*other.constants}
        assert all(np.array_equal(array, other.constants[name]) for name, array in layer.constants.items())
    shape = (3, *network.input_shape)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    wanted = forward(network, pixels)
    np.testing.assert_allclose(forward(back, pixels), wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@needs_onnx
def test_a_network_with_every_op_comes_back():
    assert_returns(every_op())


@needs_onnx
@given(networks())
def test_random_networks_come_back(network):
    """But where single numbers of a flattened image are picked, which the reader does not take for channels."""
    assume(not any(layer.op == "gather_channels" and picks_of_an_image(network, layer) for layer in network.layers))
    assert_returns(network)


def picks_of_an_image(network, layer):
    """Whether the layer reads a vector that is an image of several pixels laid end to end."""
    made = next(other for other in network.layers if other.name == layer.inputs[0])
    while made.op in ("relu", "gather_channels"):
        made = next(other for other in network.layers if other.name == made.inputs[0])
    return made.op == "flatten"


@needs_onnx
@pytest.mark.parametrize(
    "name",
    [
        "cnn_ccexam_mnist",
        "efficientnet_lite0_imagenet",
        "opennsfw_resnet50_1by2",
        "resnet20_cifar10",
        "resnet56_cifar10",
        "resnet8_mlperf_tiny_cifar10",
        "squeezenet_v11_imagenet",
    ],
)
def test_real_networks_come_back(name):
    path = DATA / f"{name}.h5"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    assert_returns(read_float_network(path))


# ---- what others write


def assert_runtime_agrees(tmp_path, made, *given, **options):
    path = tmp_path / "net.onnx"
    path.write_bytes(as_bytes(made))
    converted = convert_file(path, *given, **options)
    agreement(path, converted, count=3)
    return converted


@needs_runtime
@pytest.mark.parametrize("batch", [1, 2, None])
def test_shape_arithmetic_and_softmax(tmp_path, batch):
    made = assert_runtime_agrees(tmp_path, classifier((batch, 3, 6, 5), opset=13 if batch == 2 else 18))
    assert made.dropped == "Softmax"
    assert [layer.name for layer in made.network.layers] == [
        "000_input", "001_stem", "002_net.b", "003_net.r", "004_depthwise", "005_net.relu", "006_net.product",
    ]  # fmt: skip


@needs_runtime
def test_channels_last_as_keras_writes_them(tmp_path):
    """Images and a flatten in H, W, C order, a normalisation inside, a bias by channel."""
    nodes = [
        node("Sub", "x", "mean"),
        node("Mul", "sub", "scale"),
        node("Transpose", "mul", perm=(0, 3, 1, 2), out="t"),
        node("Pad", "t", "around"),
        node("Conv", "pad", "w", strides=(2, 2), out="c"),
        node("Transpose", "c", perm=(0, 2, 3, 1), out="back"),
        node("Add", "back", "bias"),
        node("Relu", "add"),
        node("Reshape", "relu", "flat"),
        node("Gemm", "reshape", "matrix", alpha=0.5, beta=2.0, transB=1),
    ]
    constants = {
        "mean": np.array([10, 20, 30], np.float32),
        "scale": np.array([0.25], np.float32),
        "around": np.array([0, 0, 0, 0, 0, 0, 1, 1]),
        "w": floats(4, 3, 3, 3),
        "bias": floats(4, seed=1),
        "flat": np.array([-1, 3 * 3 * 4]),
        "matrix": floats(5, 36, seed=2),
    }
    made = assert_runtime_agrees(tmp_path, graph(nodes, constants, (None, 6, 7, 3)))
    assert made.nhwc
    assert made.network.mean == (10, 20, 30)
    assert made.network.std == (4, 4, 4)
    assert [layer.op for layer in made.network.layers] == ["input", "conv", "relu", "fc"]


@needs_runtime
def test_pools_of_every_kind(tmp_path):
    nodes = [
        node("Relu", "x"),
        node("Pad", "relu", pads=(0, 0, 1, 1, 0, 0, 1, 1), value=0.0),
        node("MaxPool", "pad", kernel_shape=(3, 3), strides=(2, 2), out="m"),
        node("AveragePool", "m", kernel_shape=(3, 3), pads=(1, 1, 1, 1), count_include_pad=1, out="counted"),
        node("AveragePool", "m", kernel_shape=(3, 3), pads=(1, 1, 1, 1), out="plain"),
        node("Sum", "counted", "plain"),
        node("Slice", "sum", "zero", "end", "axes", "two"),
        node("ReduceMean", "slice", axes=(2, 3), keepdims=0),
        node("GlobalMaxPool", "m"),
        node("Squeeze", "globalmaxpool", axes=(2, 3)),
        node("Concat", "reducemean", "squeeze", axis=1),
    ]
    constants = {
        "zero": np.array([0, 0]),
        "end": np.array([99, 2**62]),
        "axes": np.array([2, 3]),
        "two": np.array([2, 2]),
    }
    made = [*nodes[:1], *nodes[2:]]
    made[1] = node("MaxPool", "relu", kernel_shape=(3, 3), strides=(2, 2), auto_pad="SAME_LOWER", out="m")
    made[-2] = node("Reshape", "globalmaxpool", "flat", out="squeeze")
    constants["flat"] = np.array([0, -1])
    given = Preprocessing((127.0,), (50.0,))
    assert_runtime_agrees(tmp_path, graph(made, constants, opset=12), given)
    assert_runtime_agrees(tmp_path, graph(nodes, constants, opset=10), given)


@needs_runtime
@pytest.mark.parametrize("opset", [7, 8, 12])
@pytest.mark.parametrize(
    "nodes",
    [
        [node("Conv", "x", "w", dilations=(2, 1), pads=(2, 0, 1, 1))],
        [node("Conv", "x", "w", dilations=(2, 3), auto_pad="VALID")],
        [node("Conv", "x", "one", dilations=(4, 4), strides=(2, 1))],
        [node("BatchNormalization", "x", "v", "v", "v", "v", epsilon=0.5)],
        [node("Neg", "x"), node("Relu", "neg")],
        [node("Relu", "x"), node("Mean", "x", "relu", "x")],
        [node("Relu", "x"), node("ReduceMean", "relu", axes=(3,), keepdims=0), node("ReduceMean", "reducemean",
         axes=(2,), keepdims=0, out="r")],
        [node("ReduceMean", "x", axes=(-2,)), node("ReduceMax", "reducemean", axes=(3,))],
        [node("ReduceMax", "x", axes=(2, 3), keepdims=0), node("ReduceSum", "x", axes=(2, 3), keepdims=0),
         node("Add", "reducemax", "reducesum")],
        [node("ReduceSum", "x", axes=(2,)), node("Relu", "reducesum")],
        [node("LeakyRelu", "x", alpha=0.3), node("PRelu", "leakyrelu", "slope")],
        [node("Elu", "x", alpha=0.5), node("Tanh", "elu"), node("HardSigmoid", "tanh"), node("Neg", "hardsigmoid")],
        [node("Sigmoid", "x"), node("Mul", "x", "sigmoid"), node("Neg", "mul")],
        [node("GlobalAveragePool", "x", out="g"), node("Sigmoid", "g"), node("Mul", "sigmoid", "x")],
        [node("Reshape", "x", "cut"), node("Transpose", "reshape", perm=(0, 2, 1, 3, 4)),
         node("Reshape", "transpose", "whole", out="w6"), node("Relu", "w6")],
    ],
    ids=lambda nodes: " ".join(one.op for one in nodes),
)  # fmt: skip
def test_operators_of_every_opset(tmp_path, nodes, opset):
    constants = {"cut": np.array([2, 3, 1, 6, 5]), "whole": np.array([2, 3, 6, 5]), "slope": floats(3, 1, 1)}
    constants |= {"w": floats(4, 3, 3, 2), "one": floats(4, 3, 1, 1), "v": np.array([2, 3, 5], np.float32)}
    end = node("Flatten", nodes[-1].outputs[0], out="end")
    assert_runtime_agrees(tmp_path, graph([*nodes, end], constants, opset=opset), Preprocessing((127.0,), (50.0,)))


@needs_runtime
def test_channels_are_split_shuffled_and_joined(tmp_path):
    """As ShuffleNets do it: one part is computed with, both are joined, groups change places."""
    split = type(node("Split"))("Split", ("c",), ("a", "b"), {"axis": 1, "num_outputs": 2}, "split")
    nodes = [
        node("Conv", "x", "w", out="c"),
        split,
        node("HardSwish", "a"),
        node("Concat", "b", "hardswish", axis=1),
        node("Reshape", "concat", "cut"),
        node("Transpose", "reshape", perm=(0, 2, 1, 3, 4)),
        node("Reshape", "transpose", "whole", out="shuffled"),
        node("Gelu", "shuffled"),
        node("Flatten", "gelu"),
    ]
    constants = {"w": floats(6, 3, 1, 1), "cut": np.array([2, 2, 3, 6, 5]), "whole": np.array([2, 6, 6, 5])}
    made = assert_runtime_agrees(tmp_path, graph(nodes, constants, opset=20), Preprocessing((127.0,), (50.0,)))
    gathers = [layer.constants["order"].tolist() for layer in made.network.layers if layer.op == "gather_channels"]
    assert gathers == [[0, 1, 2], [3, 4, 5], [0, 3, 1, 4, 2, 5]]


@needs_runtime
@pytest.mark.parametrize("size", [(6, 5), (7, 8), (9, 9)])
@pytest.mark.parametrize("window", [(2, 3, 1), (3, 2, 1), (3, 3, 1), (3, 2, 0), (4, 3, 2)])
def test_averages_that_count_padding_in_windows_over_the_edge(tmp_path, size, window):
    kernel, stride, pad = window
    pool = node("AveragePool", "x", kernel_shape=(kernel,) * 2, strides=(stride,) * 2, pads=(pad,) * 4, ceil_mode=1,
                count_include_pad=1)  # fmt: skip
    made = graph([pool, node("Flatten", "averagepool")], shape=(2, 3, *size), opset=19)
    try:
        assert_runtime_agrees(tmp_path, made, Preprocessing((127.0,), (50.0,)))
    except NetworkError as error:
        assert "ceil_mode drops a window of one axis and keeps that of the other" in str(error)  # noqa: PT017


@needs_runtime
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    "other", [node("Softmax", "gemm"), node("Reshape", "gemm", "flat"), node("LogSoftmax", "gemm")]
)
def test_a_second_output_may_be_a_view_of_the_logits(tmp_path, order, other):
    onnx = optional.package("onnx")
    nodes = [node("Flatten", "x"), node("Gemm", "flatten", "m"), other]
    made = onnx.load_from_string(as_bytes(graph(nodes, {"m": floats(90, 5), "flat": np.array([2, 5, 1])})))
    made.graph.output.append(onnx.helper.make_tensor_value_info("gemm", 1, [2, 5]))
    outputs = list(made.graph.output)[::order]
    del made.graph.output[:]
    made.graph.output.extend(outputs)
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    converted = convert_file(tmp_path / "net.onnx")
    assert (converted.network.layers[-1].op, converted.dropped) == ("fc", "")
    agreement(tmp_path / "net.onnx", converted, count=3)


@needs_runtime
@pytest.mark.parametrize(
    ("behind", "opset", "softmax"),
    [
        ([], 12, {}),
        ([], 13, {}),
        ([], 13, {"axis": 1}),
        ([node("Identity", "softmax")], 17, {"axis": -1}),
        ([node("Identity", "softmax"), node("Flatten", "identity", out="end")], 17, {"axis": -1}),
        ([node("Reshape", "softmax", "flat")], 17, {"axis": 1}),
    ],
)
def test_a_softmax_over_the_classes_is_left_out(tmp_path, behind, opset, softmax):
    nodes = [node("Flatten", "x"), node("Gemm", "flatten", "m"), node("Softmax", "gemm", **softmax), *behind]
    made = graph(nodes, {"m": floats(90, 4), "flat": np.array([-1, 4])}, opset=opset)
    assert assert_runtime_agrees(tmp_path, made).dropped == "Softmax"
    pooled = [node("GlobalAveragePool", "x", out="gemm"), node("LogSoftmax", "gemm", axis=1, out="softmax"), *behind]
    if all(other.op != "Reshape" for other in behind):
        assert assert_runtime_agrees(tmp_path, graph(pooled, opset=opset)).dropped == "LogSoftmax"


@pytest.mark.parametrize(
    ("nodes", "opset", "complaint"),
    [
        ([node("Softmax", "x", axis=1)], 13, r"has axis 1 of \(2, 3, 6, 5\), needed the classes'"),
        ([node("Softmax", "x")], 13, r"has axis -1 of \(2, 3, 6, 5\)"),
        ([node("Softmax", "x", axis=2)], 12, "has axis 2"),
        ([node("Flatten", "x"), node("Softmax", "flatten", axis=0)], 13, r"has axis 0 of \(2, 90\)"),
        ([node("Flatten", "x"), node("Softmax", "flatten", axis=-2)], 13, "has axis -2"),
        ([node("Flatten", "x"), node("Softmax", "flatten", axis=2)], 13, "has axis 2"),
        ([node("Flatten", "x"), node("Softmax", "flatten", axis="C")], 13, "has axis C"),
        ([node("Flatten", "x"), node("Softmax", "flatten"), node("Relu", "softmax")], 13, "is not among .* cut"),
        (
            [node("Flatten", "x"), node("Softmax", "flatten"), node("Flatten", "softmax", axis=0)],
            13,
            "needed the batch",
        ),
        ([node("Softmax"), node("Flatten", "softmax")], 13, "reads constants alone"),
    ],
)
def test_a_softmax_that_is_no_end_is_refused(nodes, opset, complaint):
    nodes = [*nodes[:-1], replace(nodes[-1], outputs=("end",))]
    with pytest.raises(NetworkError, match=complaint):
        convert(graph(nodes, opset=opset))


# ---- preprocessing and sizes


def last(*inputs):
    return node("Flatten", *inputs)


def test_what_the_graph_normalises_goes_into_mean_and_std():
    nodes = [node("Div", "x", "two"), node("Sub", "div", "half"), node("Relu", "sub"), last("relu")]
    constants = {"two": np.float32(2), "half": np.array([0.5, 1, 1.5], np.float32).reshape(3, 1, 1)}
    made = convert(graph(nodes, constants), Preprocessing((1.0, 2.0, 3.0), (10.0,), "BGR"))
    assert made.network.mean == (1 + 10, 2 + 20, 3 + 30)
    assert made.network.std == (20, 20, 20)
    assert (made.mean, made.network.channels) == ((1, 2, 3), "BGR")


def test_a_factor_that_turns_signs_stays_a_layer():
    nodes = [node("Mul", "x", "minus"), node("Relu", "mul"), last("relu")]
    made = convert(graph(nodes, {"minus": np.float32(-1)})).network
    assert [layer.op for layer in made.layers] == ["input", "batchnorm", "relu"]


def test_sizes_that_are_left_open():
    open_graph = graph([node("Relu", "x"), last("relu")], shape=(None, 3, None, None))
    with pytest.raises(NetworkError, match=r"\(\?, \?, 3\), needed an input shape \(--input-shape\)"):
        convert(open_graph)
    assert convert(open_graph, input_shape=(4, 5, 3)).network.input_shape == (4, 5, 3)
    with pytest.raises(NetworkError, match=r"input_shape is \(4, 5, 1\)"):
        convert(open_graph, input_shape=(4, 5, 1))


@pytest.mark.parametrize(
    ("nodes", "shape", "given", "complaint"),
    [
        ([last("x")], (1, 4, 6, 6), None, "4 channels, needed 1"),
        ([last("x")], (1, 3, 6), None, r"shape \(1, 3, 6\), needed \(N, C, H, W\)"),
        ([last("x")], (1, 3, 6, 6), None, "needed an input layer and at least one more"),
        (
            [node("Relu", "x")],
            (1, 3, 6, 6),
            Preprocessing(channels="gray"),
            "channels is 'gray', the graph's input has",
        ),
        ([node("Relu", "x")], (1, 3, 6, 6), Preprocessing(mean=(1, 2)), "mean is"),
        ([node("Constant", value_float=1.0)], (1, 3, 6, 6), None, "does not depend on the image"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1))], (1, 3, 6, 6), None, "is padded or transposed"),
    ],
)
def test_what_is_no_network_of_images(nodes, shape, given, complaint):
    with pytest.raises(NetworkError, match=complaint):
        convert(graph(nodes, shape=shape), given)


@needs_onnx
def test_errors_name_the_file(tmp_path):
    (tmp_path / "net.onnx").write_bytes(as_bytes(graph([node("Sin", "x")])))
    with pytest.raises(NetworkError, match=r"net\.onnx: node '/net/sin/Sin' \(Sin\): is not among the operators"):
        convert_file(tmp_path / "net.onnx")
