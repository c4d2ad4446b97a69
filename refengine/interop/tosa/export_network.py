"""A whole integer network as one graph of TOSA 1.1: from pixels to logits, each layer as ``export_layer.py`` makes it.

The graph reads ``image``, int8 (N, H, W, C): pixels 128 less.  It gives ``logits``, int32 (N, classes), and on request
every stage of every layer as ``LAYER.accumulator`` and ``LAYER.code``, unsigned codes 128 less as well.
"""

from __future__ import annotations

from typing import Any

from ...errors import NetworkError
from ...network.int_network import IntNetwork
from .building import Building
from .export_layer import ACCUMULATOR, CODE, layer_stages, left_out
from .graph import Graph, Tensor

IMAGE, LOGITS = "image", "logits"


def to_tosa(network: IntNetwork, images: int = 1, layers: bool = False) -> dict[str, Any]:
    """The graph for batches of ``images``, as the document that TOSA's schema reads; ``layers``: with every stage.

    NetworkError, naming the layer, for dynamic exponents, stochastic rounding and operators that TOSA has no graph for.
    """
    network.require_static("TOSA")
    graph = Graph()
    made: dict[str | None, Tensor] = {None: graph.input((images, *network.input_shape), IMAGE)}
    for layer in network.layers:
        for why in left_out(layer).values():
            raise NetworkError(f"layer {layer.name!r} ({layer.op}): the export to TOSA cannot say {why}")
        stages = layer_stages(Building(network, layer, images, graph, made))
        made[layer.name] = stages[CODE if CODE in stages else ACCUMULATOR]
        if layers:
            for stage, tensor in stages.items():
                graph.output(tensor, f"{layer.name}.{stage}")
    building = Building(network, network.layers[-1], images, graph, made)
    wide = building.wide(made[building.layer.name], building.layer.name)
    shape = (images, network.classes)
    graph.output(graph.node("RESHAPE", [wide, graph.shape(shape)], shape, wide.dtype), LOGITS)
    return graph.document()
