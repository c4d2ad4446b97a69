"""Graphs: what the output needs is kept, and nothing reads what is not there yet."""

import pytest
from onnx_models import graph, node

from refengine.errors import NetworkError
from refengine.interop.onnx.graph import logits_of, only_needed


def test_only_what_the_output_needs_is_kept():
    nodes = [node("Relu", "x", out="a"), node("Sin", "x", out="unused"), node("Relu", "a", out="y")]
    kept = only_needed(graph(nodes))
    assert [node.outputs for node in kept.nodes] == [("a",), ("y",)]


def test_readers_of_a_tensor_are_listed_with_repetition():
    """Each node as often as it does, and None for the network's output."""
    one, two, three = node("Relu", "x", out="a"), node("Add", "a", "a", out="b"), node("Relu", "b", out="c")
    readers = graph([one, two, three]).readers()
    assert readers == {"x": [one], "a": [two, two], "b": [three], "c": [None]}


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ([node("Relu", "b", out="a"), node("Relu", "a", out="b")], r"node '/net/a/Relu' \(Relu\): reads 'b', .* cycle"),
        ([node("Relu", "a", out="a")], "reads 'a', which comes after it"),
        ([node("Relu", "nowhere")], "reads 'nowhere', which does not exist"),
        ([node("Relu", "x", out="a"), node("Relu", "x", out="a")], "gives 'a', which exists already"),
        ([node("Relu", "x", out="x")], "gives 'x', which exists already"),
    ],
)
def test_wrong_orders_are_refused(nodes, complaint):
    with pytest.raises(NetworkError, match=complaint):
        only_needed(graph(nodes))


def test_an_output_that_nobody_gives():
    with pytest.raises(NetworkError, match="the output '' is given by no node"):
        only_needed(graph([node("Relu", "x", out="a"), type(node("Relu"))("Relu", ("x",), ("",))]))


A, B = node("Relu", "x", out="a"), node("Sin", "x", out="b")
SOFT, FLAT = node("Softmax", "a", out="soft"), node("Flatten", "a", out="flat")


@pytest.mark.parametrize(
    ("nodes", "outputs", "logits"),
    [
        ([A], ["a"], "a"),
        ([A, SOFT], ["soft"], "soft"),
        ([A, SOFT], ["soft", "a"], "a"),
        ([A, SOFT, FLAT], ["soft", "flat"], "flat"),
        ([A, SOFT, node("LogSoftmax", "a", out="log")], ["log", "soft"], "log"),
        ([A, B], ["a", "b"], None),
        ([A], ["a", "a"], None),
        ([A], [], None),
        ([node("Flatten", "c", out="d"), node("Flatten", "d", out="c")], ["c"], "c"),
        ([node("Flatten", out="c"), A], ["a", "c"], None),
    ],
)
def test_outputs_that_are_views_of_one_tensor_have_one_that_is_the_logits(nodes, outputs, logits):
    assert logits_of(nodes, outputs) == logits
