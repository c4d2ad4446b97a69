"""Codes that are passed on: which operators they become."""

from networks import every_op

from refengine.interop.tosa.export_layer import layer_graph
from refengine.interop.tosa.moves import PASS
from refengine.ops import OPS


def operators_of(network, layer):
    (region,) = layer_graph(network, layer, 1).document["regions"]
    return [operator["op"] for operator in region["blocks"][0]["operators"] if not operator["op"].startswith("CONST")]


def test_what_only_moves_is_gathered_where_tosa_has_no_word_for_it():
    """Everything that passes codes on becomes an operator of its own or one GATHER, and computes nothing."""
    network, copies = every_op(), {"GATHER", "CONCAT", "RESHAPE", "TRANSPOSE", "PAD", "SLICE", "MAX_POOL2D"}
    passing = [layer for layer in network.layers if not OPS[layer.op].ACCUMULATES]
    assert {layer.op for layer in passing} >= {*PASS}
    for layer in passing:
        found = operators_of(network, layer)
        assert {*found} <= copies, layer.op
        assert ("GATHER" in found) == (layer.op not in PASS), layer.op
