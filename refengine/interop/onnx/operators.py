"""What each ONNX operator becomes: layers, another view of a layer, or an array.

``OPERATORS`` has an operator's function, the attributes that it understands, and whether its first operand may have a
padding that is in no layer yet.  Attributes that an operator is not known to have are refused by name: a graph without
them might be another graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import NetworkError
from .activations import ACTIVATIONS
from .by_channel import ARITHMETIC
from .constants import check_operands, fold, reason
from .graph import Node
from .layers import NO_PADS, Layers, View
from .operands import Operand, Operator, Value
from .views import VIEWS
from .windows import WINDOWS

OPERATORS: dict[str, Operator] = {**ACTIVATIONS, **ARITHMETIC, **VIEWS, **WINDOWS}

_OTHER_ADVICE = "replace it by operators that are (docs/interop.md) and export again"
_TRAIN = "train the network with an activation that is (docs/interop.md) in its place"
_CUT = "cut the graph before it (onnx.utils.extract_model)"
_NORM = "it divides by sums over channels, which no layer does; put a BatchNormalization in its place and train again"
_EXPORT_FLOATS = "export the float network, before it was quantized"
ADVICE = {
    **dict.fromkeys(("Celu", "Selu", "Softsign", "ThresholdedRelu"), _TRAIN),
    **dict.fromkeys(("InstanceNormalization", "LRN", "LayerNormalization", "LpNormalization"), _NORM),
    **dict.fromkeys(("ArgMax", "LogSoftmax", "NonMaxSuppression", "Softmax", "TopK"), _CUT),
    **dict.fromkeys(
        ("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QuantizeLinear"), _EXPORT_FLOATS
    ),
}


def convert_node(layers: Layers, node: Node) -> None:
    """Do what a node says; NetworkError, naming it, where that cannot be said in layers."""
    operands = [layers.values.get(name) if name else None for name in node.inputs]
    for name, operand in zip(node.inputs, operands, strict=True):
        if name and operand is None:
            raise node.error(f"reads {name!r}, a second result, which no layer has")
    before = len(layers.layers)
    known = [operand for operand in operands if not isinstance(operand, View)]
    if len(known) == len(operands):
        layers.give(node, fold(node, known, layers.charge_folding), made=False)
        return
    made = _converted(layers, node, operands)
    results = made if isinstance(made, list) else [made]
    for output, result in zip(node.outputs, results, strict=False):
        layers.give(replace(node, outputs=(output,)), result, made=len(layers.layers) > before)


def _converted(layers: Layers, node: Node, operands: Sequence[Operand]) -> Value | list[View]:
    if node.op not in OPERATORS:
        raise node.error(f"is not among the operators that are read; {_advice(node)}")
    operator = OPERATORS[node.op]
    _check_node(node, operator, operands)
    check_operands(node, operator.convert, operands, (layers, node))
    try:
        return operator.convert(layers, node, *operands)
    except NetworkError:
        raise
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise node.error(f"has wrong operands or attributes{reason(error)}") from None


def _check_node(node: Node, operator: Operator, operands: Sequence[Operand]) -> None:
    """NetworkError for attributes that the operator is not known to have, and for padding that it cannot take up."""
    for name in node.attributes:
        if name not in operator.attributes:
            raise node.error(f"has the attribute {name!r}, known are: {', '.join(operator.attributes) or 'none'}")
    if not operator.padded:
        for operand in operands:
            if isinstance(operand, View) and operand.pads != NO_PADS:
                raise node.error("reads a padded image; a Pad is taken up by convolutions and pools alone")


def _advice(node: Node) -> str:
    return ADVICE.get(node.op, _OTHER_ADVICE)
