"""Operators one by one: ONNX's own tests, and every refusal by the name of its node."""

from pathlib import Path

import numpy as np
import onnx_nodes
import pytest
from onnx_models import assert_named, graph, node

from refengine.errors import NetworkError
from refengine.interop.onnx.convert import convert
from refengine.interop.onnx.layers import Layers
from refengine.interop.onnx.operators import ADVICE, OPERATORS, convert_node
from refengine.optional import installed, package

PAGE = Path(__file__).resolve().parents[3] / "docs" / "interop.md"

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
        ([node("Conv", "x", "w", activation="Relu")], "has the attribute 'activation'"),
        ([node("Conv", "x", "x")], "needs a constant as weight, which is computed from the image or missing"),
        ([node("Conv", "x")], "has 1 operands, needed 2 to 3$"),
        ([node("Conv", "x", "")], "needs a constant as weight, which is computed from the image or missing"),
        ([node("Conv", "x", "w", "", "", "")], "has 5 operands, needed 2 to 3$"),
        ([node("BatchNormalization", "x", "v")], "has 2 operands, needed 5$"),
        ([node("Relu", "x", "zero")], "has 2 operands, needed 1$"),
        ([node("Pad", "x", pads=(0, 0, 1, 1, 0, 0, 1, 1)), node("Relu", "pad")], "a Pad is taken up by"),
        ([node("Relu", "x"), type(node("Relu"))("Add", ("relu", "mask"), ("a",), {}, "sum")], "does not exist"),
    ],
)
def test_what_cannot_be_said_in_layers_is_named(nodes, complaint):
    assert_named(nodes, complaint)


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
