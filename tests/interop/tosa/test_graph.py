"""Documents of graphs, as TOSA's schema reads them."""

import json

import numpy as np
import pytest
from networks import every_op

from refengine.interop.tosa.export_layer import layer_graph
from refengine.interop.tosa.graph import Graph, bytes_of


def test_a_graph_is_json_and_the_same_for_the_same_layer():
    network = every_op()
    for layer in network.layers:
        once, again = (json.dumps(layer_graph(network, layer, 2).document) for _ in range(2))
        assert once == again


def test_numbers_are_held_as_bytes_in_little_endian():
    assert bytes_of(np.array([1, -2], ">i4")) == [1, 0, 0, 0, 254, 255, 255, 255]
    assert bytes_of(np.array([True, False])) == [1, 0]


@pytest.mark.parametrize(
    ("made", "op", "shape"),
    [
        (lambda graph, x: graph.reshaped(x, (6, 2)), "RESHAPE", (6, 2)),
        (lambda graph, x: graph.part(x, (1, 0), (2, 4)), "SLICE", (2, 4)),
        (lambda graph, x: graph.padded(x, [(1, 0), (2, 3)], -128), "PAD", (4, 9)),
    ],
)
def test_operators_that_change_a_shape(made, op, shape):
    """Of the shape that comes out, of the type that went in."""
    graph = Graph()
    y = made(graph, graph.input((3, 4)))
    assert (y.shape, y.dtype) == (shape, np.int8)
    (region,) = graph.document()["regions"]
    assert region["blocks"][0]["operators"][-1]["op"] == op
