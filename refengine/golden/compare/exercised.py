"""What the stimulus behind an EQUAL exercised: agreement says nothing about arithmetic that no image reached."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis.coverage import LayerCoverage, judged, look, summary
from ...analysis.intervals import reach
from ...analysis.terms import accumulates
from ...engine.run import run_layer
from ...network.int_network import IntNetwork
from ...ops.requantize import Draws
from ..dumps.dump import Dump
from .isolated import Alone

IMAGES = 16  # of a long dump the first ones, so that the line costs little beside the comparison


def exercised(network: IntNetwork, golden: Dump, layers: Sequence[str]) -> tuple[LayerCoverage, ...]:
    """Coverage of ``layers`` by the first images of a golden dump, of those whose inputs the dump holds or implies."""
    judged_layers = {*layers} - golden.given
    wanted = [layer for layer in network.layers if layer.name in judged_layers and accumulates(layer)]
    count, first = min(golden.count, IMAGES), golden.first_image or 0
    if not wanted or not count:
        return ()
    alone = Alone(network, golden.arrays, golden.images, first)
    possible, positions = reach(network), {layer.name: at for at, layer in enumerate(network.layers)}
    found = []
    for layer in wanted:
        seen = None
        for start in range(0, count, alone.rows):
            inputs = alone.inputs(layer, start, min(start + alone.rows, count))
            if inputs is None:
                break
            operands, residual = inputs
            draws = Draws(positions[layer.name], first + start)
            one = look(layer, operands, run_layer(layer, operands, residual, "kernels", draws))
            seen = one if seen is None else seen | one
        if seen is not None:
            found.append(judged(network, layer, seen, possible[layer.name]))
    return tuple(found)


def exercised_sentence(found: Sequence[LayerCoverage], golden: Dump) -> str | None:
    """The line under an EQUAL; None where nothing could be said."""
    if not found:
        return None
    part = f" (the first {IMAGES} images)" if golden.count > IMAGES else ""
    return f"{summary(found)}{part}"
