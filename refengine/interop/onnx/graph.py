"""A network as a list of ONNX nodes: what the readers make and ``onnx_convert.py`` understands.

Operators, attributes and axes are ONNX's, of any opset from ``OLDEST`` to ``NEWEST``; an operand that is not there is
the empty name.  Arrays are NumPy's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import NetworkError
from ...text import shown

OLDEST, NEWEST = 7, 28

GIVES_PROBABILITIES = ("Softmax", "LogSoftmax")
ONLY_SEES = ("Identity", "Flatten", "Reshape", "Squeeze")  # what may come behind them

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Node:
    """One node: an operator of ONNX's own domain, or ``domain::operator``."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def error(self, what: str) -> NetworkError:
        """A NetworkError for the caller to raise, which names the node."""
        name = self.name or next((name for name in self.outputs if name), "")
        return NetworkError(f"node {shown(name)} ({shown(self.op, 40)[1:-1]}): {what}")


@dataclass(frozen=True)
class Graph:
    """Nodes in order of execution, the arrays that they know, and the names of the image and of what comes out.

    ``image_shape`` has None for a size that the graph leaves open.
    """

    name: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    image: str
    image_shape: tuple[int | None, ...]
    output: str
    opset: int = NEWEST

    def readers(self) -> dict[str, list[Node | None]]:
        """The nodes that read each tensor, each as often as it does; the output has None among them."""
        found: dict[str, list[Node | None]] = defaultdict(list)
        for node in self.nodes:
            for name in node.inputs:
                found[name].append(node)
        found[self.output].append(None)
        return dict(found)


def logits_of(nodes: Sequence[Node], outputs: Sequence[str]) -> str | None:
    """Of outputs that are views and probabilities of one tensor, the first that is no probability; None of others."""
    makers = {name: node for node in nodes for name in node.outputs[:1]}
    roots, plain = set(), []
    for output in outputs:
        passed, node = set(), makers.get(output)
        while node is not None and node.op in (*ONLY_SEES, *GIVES_PROBABILITIES) and node not in passed:
            passed.add(node)
            output, node = node.inputs[0] if node.inputs else "", makers.get(node.inputs[0] if node.inputs else "")
        roots.add(output)
        plain.append(not any(one.op in GIVES_PROBABILITIES for one in passed))
    if len(roots) != 1 or len(set(outputs)) != len(outputs):
        return None
    return outputs[plain.index(True) if True in plain else 0]


def only_needed(graph: Graph) -> Graph:
    """The graph without what its output does not depend on.

    NetworkError where two nodes give one tensor, or one reads what comes after it (as every cycle must) or never.
    """
    known = {graph.image, *graph.constants}
    made = {name for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                where = "comes after it (a cycle, or a wrong order)" if name in made else "does not exist"
                raise node.error(f"reads {shown(name)}, which {where}")
        for name in filter(None, node.outputs):
            if name in known:
                raise node.error(f"gives {shown(name)}, which exists already")
            known.add(name)
    if graph.output not in known:
        raise NetworkError(f"the output {shown(graph.output)} is given by no node")
    needed, kept = {graph.output}, []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs) - {""}:
            needed.update(node.inputs)
            kept.append(node)
    return replace(graph, nodes=tuple(reversed(kept)))
