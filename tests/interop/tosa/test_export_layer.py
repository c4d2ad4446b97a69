"""Layers as TOSA graphs: what a graph consists of, and what is refused."""

import pytest
from networks import dynamic, every_op

from refengine.errors import NetworkError
from refengine.interop.tosa.export_layer import layer_graph, left_out


def operators_of(network, layer):
    (region,) = layer_graph(network, layer, 1).document["regions"]
    return [operator["op"] for operator in region["blocks"][0]["operators"] if not operator["op"].startswith("CONST")]


def test_layers_become_the_operators_that_are_meant_for_them():
    network = every_op()
    made = {layer.op: operators_of(network, layer) for layer in network.layers if layer.residual is None}
    meant = {"maxpool": "MAX_POOL2D", "concat": "CONCAT", "pad_channels": "PAD", "fc": "CONV2D", "conv": "RESCALE"}
    assert {op: name for op, name in meant.items() if name in made[op]} == meant


def test_draws_are_left_out():
    """And with them the codes: the accumulators stay."""
    layer = every_op("stochastic").layers[1]
    assert left_out(layer) == {"code": "stochastic rounding, whose draws no operator makes"}
    assert [*layer_graph(every_op("stochastic"), layer, 1).outputs] == ["accumulator"]


def test_dynamic_exponents_are_refused():
    network = dynamic()
    with pytest.raises(NetworkError, match="TOSA needs a network of static exponents"):
        layer_graph(network, network.layers[0], 1)
