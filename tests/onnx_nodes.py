"""ONNX's own tests of single nodes, for the operators that are read: converted, run in layers, compared.

Operands that the converter wants constant are constants here, the others images of a batch.  As a program it prints
the table of docs/interop.md:

    PYTHONPATH=.:tests python tests/onnx_nodes.py
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from refengine.errors import RefengineError
from refengine.interop.onnx.constants import FOLDED
from refengine.interop.onnx.convert import lower
from refengine.interop.onnx.graph import Graph
from refengine.interop.onnx.layers import HWC, View
from refengine.interop.onnx.operators import OPERATORS
from refengine.interop.onnx.read import _Reader
from refengine.interop.onnx.wire import Wire
from refengine.network.forward import OPERATORS as FORWARD
from refengine.optional import package, quiet

EVERY_OPERAND_IS_AN_IMAGE = ("Add", "Concat", "Sum")
# what a refusal is about, by words of its message
LIMITS = {
    "dilations": "dilations",
    "no longer the image": "1-D or 3-D windows",
    "4 integers": "1-D or 3-D windows",
    "2 integers": "1-D or 3-D windows",
    "needed the batch": "the batch changes",
    "batch": "the batch changes",
    "second result": "a second result is needed",
    "training mode": "training mode",
    "cannot be computed": "types that no network needs",
    "reads constants alone": "no batch (scalars and vectors)",
    "ceil_mode": "padding counted in windows over the edge",
    "one number a channel": "a constant that differs within a channel",
    "two tensors of one shape": "broadcast of two tensors",
    "mode": "pads other than constant",
    "clips to": "clips whose lower end is not 0",
    "(N, C, H, W) and (N, H, W, C)": "other orders of axes",
    "needed H, W or both": "reductions over other axes",
    "needed the channels": "axes other than the channels",
    "needed float32": "integers, float64",
    "makes other numbers": "integers, float64",
    "needed zeros": "pads other than zeros",
    "none below 0": "negative pads",
    "cuts": "parts of an axis",
    "gathers": "axes other than the channels",
    "splits": "axes other than the channels",
    "needed vectors": "products of more than vectors and a matrix",
    "transA": "the batch changes",
    "compares": "more than one tensor",
    "could win": "pads other than zeros",
    "two tensors": "products of two tensors",
    "attribute": "attributes that are not known",
}


@dataclass
class Row:
    """What became of an operator's cases."""

    same: int = 0
    refused: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)


def cases():
    """(operator, case) of every test of one node that is read or folded."""
    with quiet():
        collected = package("onnx.backend.test.case.node").collect_testcases(None)
    for case in collected:
        nodes = case.model.graph.node
        read = len(nodes) == 1 and not nodes[0].domain and nodes[0].op_type in {*OPERATORS, *FOLDED}
        if read and all(hasattr(array, "dtype") for array in case.data_sets[0][0]):
            yield nodes[0].op_type, case


def tensors(case):
    """The node's operands by name, and its first result."""
    operands, results = case.data_sets[0]
    values = [np.asarray(array) for array in operands]
    result = np.asarray(results[0])
    return dict(zip((entry.name for entry in case.model.graph.input), values, strict=True)), result


def outcome(op, case):
    """Result of the layers and the wanted one; RefengineError where the case is refused.

    A Gather is what channels are named by, or else arithmetic of shapes, which constants do; an Expand of a pixel is
    what a product reads.
    """
    try:
        return tried(op, case, op in OPERATORS)
    except RefengineError:
        if op not in ("Gather", "Expand"):
            raise
        return tried(op, case, False)


def tried(op, case, on_images):
    """The same, with the operands as images or all of them as constants."""
    operands, wanted = tensors(case)
    wire = Wire(case.name)
    node = _Reader(wire, None)._node(wire.message(memoryview(case.model.graph.node[0].SerializeToString())))
    names = [name for name in node.inputs if name]
    images = names if op in EVERY_OPERAND_IS_AN_IMAGE else names[:1]
    if not on_images or any(operands[name].ndim < 2 or operands[name].dtype != np.float32 for name in images):
        images = []
    constants = {name: array for name, array in operands.items() if name not in images}
    graph = Graph("", (node,), constants, "", (), node.outputs[0])
    return computed(graph, {name: operands[name] for name in images}), wanted


def computed(graph, images):
    """The graph's result, its layers run one by one; an image of any rank is cut into (N, C, H, W) as it lies."""
    batch = len(next(iter(images.values()))) if images else 1
    shapes, views = {}, {}
    for name, array in images.items():
        channels, height, *rest = (*array.shape[1:], 1)
        shapes[name] = (height, int(np.prod(rest)), channels)
        views[name] = array.shape
    layers = lower_seen_as(graph, shapes, batch, views)
    found, inputs = {}, iter(images.values())
    for layer in layers.layers.values():
        if layer.op == "input":
            height, width, channels = layers.shapes[layer.name]
            found[layer.name] = next(inputs).reshape(batch, channels, height, width).transpose(0, 2, 3, 1)
        else:
            found[layer.name] = FORWARD[layer.op](layer, *(found[name] for name in layer.inputs))
    value = layers.values[graph.output]
    return seen(value, found[value.layer]) if isinstance(value, View) else value


def lower_seen_as(graph, shapes, batch, views):
    """``lower``, each image seen in the shape that the case gives it."""
    from refengine.interop.onnx.layers import Layers
    from refengine.interop.onnx.operators import convert_node

    if all(len(shape) == 4 for shape in views.values()):
        return lower(graph, shapes, batch)
    layers = Layers(batch, graph.constants, graph.readers())
    for name, shape in shapes.items():
        layers.image_input(name, shape, nhwc=False)
        layers.values[name] = replace(layers.values[name], shape=views[name])
    for node in graph.nodes:
        convert_node(layers, node)
    return layers


def seen(view, tensor):
    """A layer's numbers as nodes see them, with the padding that waits for the next one."""
    if tensor.ndim == 4 and view.order != HWC:
        tensor = tensor.transpose(0, 3, 1, 2)
    x = tensor.reshape(view.shape)
    top, left, bottom, right = view.pads
    return np.pad(x, [(0, 0), (0, 0), (top, bottom), (left, right)], constant_values=view.fill) if any(view.pads) else x


def limit(message):
    """What a refusal is about."""
    return next((limit for words, limit in LIMITS.items() if words in message), message)


def table():
    """A row for each operator that a layer may become."""
    rows = {}
    for op, case in cases():
        row = rows.setdefault(op, Row())
        try:
            got, wanted = outcome(op, case)
        except RefengineError as error:
            row.refused[limit(str(error))] += 1
            continue
        good = got.shape == wanted.shape and np.allclose(
            got, wanted, rtol=max(1e-4, case.rtol), atol=1e-5, equal_nan=True
        )
        row.same += good
        row.wrong += [] if good else [case.name]
    return rows


def as_markdown(rows):
    """The table of docs/interop.md."""
    lines = ["| operator | cases | same | refused |", "|---|---|---|---|"]
    for op in sorted(rows):
        row = rows[op]
        refused = "; ".join(f"{count} {why}" for why, count in sorted(row.refused.items()))
        lines.append(f"| `{op}` | {row.same + row.refused.total() + len(row.wrong)} | {row.same} | {refused} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_markdown(table()))
