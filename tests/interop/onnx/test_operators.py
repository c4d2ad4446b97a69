"""Operators one by one: ONNX's own tests, and every refusal by the name of its node."""

import functools
from pathlib import Path

import numpy as np
import onnx_nodes
import pytest
from onnx_models import floats, graph, node

from refengine.errors import NetworkError
from refengine.interop.onnx.convert import convert
from refengine.interop.onnx.layers import Layers
from refengine.interop.onnx.operators import ADVICE, OPERATORS, convert_node
from refengine.network import forward
from refengine.optional import installed, package

PAGE = Path(__file__).resolve().parents[3] / "docs" / "interop.md"
WEIGHT = {"w": floats(2, 3, 3, 3), "m": floats(4, 5), "v": floats(6, 5), "zero": np.float32(0)}
WEIGHT |= {"three": np.float32(3), "six": np.float32(6), "nan": np.float32(np.nan)}
PAD = node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1))

needs_onnx = pytest.mark.skipif(not installed("onnx"), reason="onnx is missing")


@pytest.fixture(scope="module")
def rows():
    return onnx_nodes.table()


@needs_onnx
def test_onnx_s_own_tests_agree_or_are_refused_for_a_known_limit(rows):
    assert {op: row.wrong for op, row in rows.items() if row.wrong} == {}
    reasons = {reason for row in rows.values() for reason in row.refused}
    assert reasons <= {*onnx_nodes.LIMITS.values()}


@needs_onnx
def test_the_page_has_their_table(rows):
    """Made with the version of onnx that the page names; other versions come with other tests."""
    text = PAGE.read_text(encoding="utf-8")
    version = package("onnx").__version__
    if f"onnx {version.rsplit('.', 1)[0]}" not in text:
        pytest.skip(f"the table is that of another version than {version}")
    assert onnx_nodes.as_markdown(rows) in text


def test_the_page_names_every_operator():
    text = PAGE.read_text(encoding="utf-8")
    assert [op for op in OPERATORS if f"`{op}`" not in text] == []


@pytest.mark.parametrize("op", [*ADVICE, "GridSample", "com.microsoft::FusedConv"])
def test_an_unknown_operator_is_named_with_what_to_do(op):
    with pytest.raises(
        NetworkError, match=rf"^node '/net/y/{op}' \({op}\): is not among .*; \w+ the|it by|it divides"
    ) as caught:
        convert(graph([node(op, "x", out="y"), node("Relu", "y")]))
    assert ADVICE.get(op, "replace it") in str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Conv", "x", "w", dilations=(0, 2))], "dilations"),
        ([node("MaxPool", "x", kernel_shape=(2, 2), dilations=(2, 1))], "dilations"),
        ([node("BatchNormalization", "x", "v", "v", "v", "v", spatial=0)], "has spatial 0"),
        ([node("Conv", "x", "w", kernel_shape=(1, 1))], "kernel_shape"),
        ([node("Conv", "x", "w", pads=(1, 1))], "attribute 'pads' is"),
        ([node("Conv", "x", "w", pads=(-1, 0, 0, 0))], "'pads' is"),
        ([node("Conv", "x", "w", strides=(0, 1))], "'strides' is"),
        ([node("Conv", "x", "w", auto_pad="SAME")], "'auto_pad' is 'SAME'"),
        ([node("Conv", "x", "w", group=0)], "'group' is 0"),
        ([node("Conv", "x", "w", group="two")], "'group' is two, needed a number"),
        ([node("Conv", "x", "w", activation="Relu")], "has the attribute 'activation'"),
        ([node("Conv", "x", "x")], "needs a constant as weight, which is computed from the image or missing"),
        ([node("Conv", "x")], "has 1 operands, needed 2 to 3$"),
        ([node("Conv", "x", "")], "needs a constant as weight, which is computed from the image or missing"),
        ([node("Conv", "x", "w", "", "", "")], "has 5 operands, needed 2 to 3$"),
        ([node("BatchNormalization", "x", "v")], "has 2 operands, needed 5$"),
        ([node("Relu", "x", "zero")], "has 2 operands, needed 1$"),
        ([node("Conv", "x", "m")], "weight of shape"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1), value=1.0), node("Conv", "pad", "w")], "padded with 1.0"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1)), node("Relu", "pad")], "a Pad is taken up by"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1)), node("MaxPool", "pad", kernel_shape=(3, 3))], "could win"),
        ([node("Pad", "x", pads=(1, 0, 0, 0, 0, 0, 0, 0))], "needed an image padded in rows"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")], "mode 'reflect'"),
        ([node("Pad", "x", pads=(0, 0, -1, 0, 0, 0, 0, 0))], "none below 0"),
        ([PAD, node("Conv", "pad", "w", auto_pad="SAME_UPPER")], "pads it by 'auto_pad' SAME_UPPER; needed 'pads' in"),
        ([PAD, node("AveragePool", "pad", kernel_shape=(3, 3), pads=(1, 1, 1, 1))], "counts the zeros of the Pad"),
        (
            [
                node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1), value=1.0),
                node("AveragePool", "pad", kernel_shape=(3, 3)),
            ],
            "padded with 1.0, needed zeros",
        ),
        ([node("Relu", "x"), node("Max", "x", "relu")], "compares 2 tensors that depend on the image, needed one"),
        ([node("Max", "x", "v")], r"reads \(6, 5\) numbers as operand, needed one"),
        ([node("Min", "x", "six"), node("Max", "min", "six")], r"clips to 6\.0\.\.6\.0"),
        ([node("Min", "x", "nan"), node("Max", "min", "zero")], r"clips to -inf\.\.nan"),
        ([node("Reshape", "x", "v")], r"needed the batch|does not become"),
        ([node("Concat", "x", "x")], "attribute 'axis' is None, needed a number"),
        ([node("Gemm", "x", "m")], r"reads \(2, 3, 6, 5\)"),
        ([node("Gemm", "x", "m", transA=1)], "transA"),
        ([node("MatMul", "x", "v")], "needed vectors"),
        ([node("Clip", "x", "six", "three")], "clips to 6.0..3.0"),
        ([node("Elu", "x", alpha="two")], "'alpha' is two, needed a number"),
        ([node("Gelu", "x", approximate="fast")], "'approximate' is 'fast', needed none or tanh"),
        ([node("PRelu", "x", "v")], "needed one number a channel"),
        ([node("Split", "x", axis=2)], "splits .* along axis 2, needed the channels"),
        ([node("Split", "x", axis=1, split=(1, 1))], "needed 1 numbers with that sum"),
        ([node("Gather", "x", "zero", axis=2)], "needed a row of the channels"),
        ([node("Slice", "x", starts=(1,), ends=(1,), axes=(1,))], "down to no channel"),
        ([node("Transpose", "x", perm=(0, 2, 1, 3))], "turns"),
        ([node("Clip", "x", "zero", "zero")], "clips to 0.0..0.0"),
        (
            [node("ReduceMax", "x", axes=(3,)), node("Mul", "reducemax", "x")],
            "needed two tensors of one shape, or an image",
        ),
        ([node("Div", "x", "zero")], "divides by 0"),
        ([node("Div", "six", "x")], "needed"),
        ([node("Add", "x", "v")], "needed one number a channel"),
        ([node("GlobalAveragePool", "x"), node("Add", "x", "globalaveragepool")], "needed two tensors of one shape"),
        ([node("Concat", "x", "x", axis=2)], "needed the channels"),
        ([node("Transpose", "x", perm=(1, 0, 2, 3))], r"turns \(2, 3, 6, 5\)"),
        ([node("Transpose", "x", perm=(9, 9))], "turns"),
        ([node("ReduceMean", "x", axes=(1,))], "needed H, W or both: the pixels of an image"),
        ([node("Flatten", "x", axis=2)], "needed the batch of 2"),
        ([node("Cast", "x", to=7)], "needed float32 throughout"),
        ([node("Dropout", "x", "", "six")], "training mode"),
        ([node("Relu", "x"), type(node("Relu"))("Add", ("relu", "mask"), ("a",), {}, "sum")], "does not exist"),
    ],
)
def test_what_cannot_be_said_in_layers_is_named(nodes, complaint):
    with pytest.raises(NetworkError, match=rf"^node '.*\): .*{complaint}") as caught:
        convert(graph([*nodes, node("Flatten", nodes[-1].outputs[0], out="end")], WEIGHT))
    assert "\n" not in str(caught.value)
    assert "()" not in str(caught.value)  # no function's name of ours


ENDS = {
    "Min, then Max": [node("Min", "x", "six"), node("Max", "min", "zero")],
    "Min, then Relu": [node("Min", "six", "x"), node("Relu", "min")],
    "Clip, then Clip": [node("Clip", "x", max=6.0, out="c"), node("Clip", "c", "zero")],
    "Max of several": [node("Max", "nothing", "x", "zero", "nothing"), node("Min", "max", "six")],
    "the least of several": [node("Min", "x", "six"), node("Min", "min", "three", out="c"), node("Max", "c", "zero")],
    "no ends": [node("Clip", "x", out="c"), node("Clip", "c", "zero", "six")],
    "the lowest float and the largest": [node("Clip", "x", min=-3.5e38, max=3.5e38, out="c"), node("Relu", "c")],
    "one operand": [node("Max", "x"), node("Min", "max", out="c"), node("Clip", "c", "zero", "six")],
}


@pytest.mark.parametrize("nodes", ENDS.values(), ids=ENDS)
def test_ends_come_in_any_order(nodes):
    """Judged by NumPy; what has no ends leaves no layer."""
    nothing = {"nothing": np.float32(-np.inf)}
    layers = convert(graph([*nodes, node("Flatten", nodes[-1].outputs[0])], WEIGHT | nothing)).network.layers
    assert {layer.op for layer in layers[1:]} == {"relu"}
    assert len(layers) == (3 if nodes[0].op == "Max" and len(nodes) == 2 else 2)
    x, values = np.linspace(-9, 9, 50, dtype=np.float32), {}
    for made in nodes:
        known = [values.get(name, x if name == "x" else (WEIGHT | nothing).get(name)) for name in made.inputs]
        low, high = ([*known[1:], None, None][:2]) if made.op == "Clip" else (None, None)
        low, high = made.attributes.get("min", low), made.attributes.get("max", high)
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        values[made.outputs[0]] = {
            "Clip": lambda known=known, low=low, high=high: np.clip(known[0].astype(float), low, high),
            "Max": lambda known=known: functools.reduce(np.maximum, known),
            "Min": lambda known=known: functools.reduce(np.minimum, known),
            "Relu": lambda known=known: np.maximum(known[0], 0),
        }[made.op]()
    found = functools.reduce(lambda tensor, relu: forward.relu(relu, tensor), layers[1:], x)
    np.testing.assert_array_equal(found, values[nodes[-1].outputs[0]])


@pytest.mark.parametrize(
    ("nodes", "ops"),
    [
        ([node("Sigmoid", "x"), node("Mul", "sigmoid", "x")], ["silu"]),
        ([node("Sigmoid", "x"), node("Mul", "x", "sigmoid")], ["silu"]),
        ([node("HardSigmoid", "x", alpha=1 / 6), node("Mul", "x", "hardsigmoid")], ["hard_swish"]),
        ([node("HardSigmoid", "x"), node("Mul", "x", "hardsigmoid")], ["hard_sigmoid", "mul"]),
        ([node("GlobalAveragePool", "x", out="g"), node("Sigmoid", "g"), node("Mul", "sigmoid", "x")],
         ["global_avgpool", "sigmoid", "mul"]),
        ([node("Relu", "x"), node("Mul", "x", "relu")], ["relu", "mul"]),
        ([node("Clip", "x", max=6.0)], ["clip"]),
        ([node("Clip", "x", min=-1.0, max=6.0)], ["clip"]),
        ([node("LeakyRelu", "x")], ["prelu"]),
        ([node("Slice", "x", starts=(1,), ends=(3,), axes=(1,))], ["gather_channels"]),
        ([node("Gather", "x", "zero0", axis=1), node("Unsqueeze", "gather", axes=(1,))], ["gather_channels"]),
    ],
)  # fmt: skip
def test_what_tables_products_and_choices_become(nodes, ops):
    end = node("Flatten", nodes[-1].outputs[0], out="end")
    made = convert(graph([*nodes, end], WEIGHT | {"zero0": np.int64(0)}))
    assert [layer.op for layer in made.network.layers[1:]] == ops


def test_constants_that_double_are_refused(monkeypatch):
    """27 nodes that each put a tensor beside itself would fill 2 GB."""
    monkeypatch.setattr("refengine.interop.onnx.layers.MAX_FOLDED_BYTES", 1 << 12)
    nodes = [node("Concat", f"c{i}", f"c{i}", axis=0, out=f"c{i + 1}") for i in range(27)]
    nodes += [node("Relu", "x", out="last")]
    layers = Layers(1, {"c0": np.zeros(4, np.float32)}, {})
    for one in nodes[:7]:
        convert_node(layers, one)
    with pytest.raises(NetworkError, match=r"node '/net/c8/Concat'.* many times as many bytes"):
        convert_node(layers, nodes[7])
