"""One layer of an integer network as a graph of TOSA 1.1, which gives its accumulators and its codes.

The graph's inputs are the codes that the layer reads, its outputs are called as a dump calls them.

    graph.py         operators, tensors and constants, as TOSA's schema reads them
    building.py      a layer under construction: how codes are held
    sums.py          accumulators, by operator
    requantize.py    from accumulators to codes
    moves.py         codes that are passed on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import NetworkError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.rounding import STOCHASTIC
from ...ops import OPS
from .building import Building
from .graph import Graph, Tensor
from .moves import PASS, moved
from .requantize import requantized
from .sums import SUMS, confined

ACCUMULATOR, CODE = "accumulator", "code"


@dataclass(frozen=True)
class LayerGraph:
    """A layer as a TOSA graph.

    document: the graph.  inputs: the tensors that it reads, in the order of the layer's operands, residual last.
    outputs: stage -> tensor that holds it.
    """

    document: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: Mapping[str, str]


def layer_graph(network: IntNetwork, layer: IntLayer, images: int) -> LayerGraph:
    """The layer on that many images; codes and pixels that go in and out are held as ``signed`` holds them.

    Stages for which ``left_out`` has a reason are missing.  NetworkError for dynamic exponents.
    """
    network.require_static("TOSA")
    building = Building(network, layer, images, Graph())
    stages = {stage: tensor.name for stage, tensor in layer_stages(building).items()}
    building.graph.outputs.extend(stages.values())
    return LayerGraph(building.graph.document(), tuple(building.graph.inputs), stages)


def layer_stages(building: Building) -> dict[str, Tensor]:
    """Append a layer's operators to the graph: stage -> tensor; NetworkError for an operator without any."""
    layer = building.layer
    if layer.op not in SUMS and layer.op not in PASS and not OPS[layer.op].MOVES:
        known = ", ".join(name for name in OPS if name in SUMS or name in PASS or OPS[name].MOVES)
        raise NetworkError(
            f"layer {layer.name!r} ({layer.op}): the export to TOSA has no graph for this operator; it has: {known}"
        )
    operands = [building.operand(name) for name in layer.inputs or [None]]
    if not OPS[layer.op].ACCUMULATES:
        return {CODE: PASS.get(layer.op, moved)(building, operands)}
    stages = {ACCUMULATOR: confined(building, SUMS[layer.op](building, operands))}
    if layer.requantize is not None and CODE not in left_out(layer):
        stages[CODE] = requantized(building, stages[ACCUMULATOR], layer.requantize)
    return stages


def left_out(layer: IntLayer) -> dict[str, str]:
    """Stages of a layer that TOSA cannot express -> why."""
    if layer.requantize is not None and layer.requantize.rounding == STOCHASTIC:
        return {CODE: f"{STOCHASTIC} rounding, whose draws no operator makes"}
    return {}
