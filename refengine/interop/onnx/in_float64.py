"""The logits of an ONNX file by ONNX's reference implementation, every float32 of the file a float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import RefengineError
from ...optional import package, quiet
from ...text import PathLike

# what a reference written in Python may raise: it judges nothing then
_RAISED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RefengineError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip

Array = np.ndarray[Any, Any]


def logits_in_float64(path: PathLike, tensor: str, batches: Sequence[Array]) -> Array | None:
    """A tensor of the file, float64 (N, ...), for batches as its input wants them; None where the reference cannot."""
    try:
        onnx, reference = package("onnx"), package("onnx.reference")
        with quiet():
            model = _widened(onnx, onnx.load(path))
            run = reference.ReferenceEvaluator(model)
            return np.concatenate([run.run([tensor], {_image(model): x.astype(np.float64)})[0] for x in batches])
    except _RAISED:
        return None


def _image(model: Any) -> str:
    arrays = {array.name for array in model.graph.initializer}
    return next(entry.name for entry in model.graph.input if entry.name not in arrays)


def _widened(onnx: Any, model: Any) -> Any:
    """The model with float64 in place of float32: arrays, constants, and what casts give."""
    single, double, helper = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, package("onnx.numpy_helper")

    def widen(tensor: Any) -> None:
        if tensor.data_type == single:
            tensor.CopyFrom(helper.from_array(helper.to_array(tensor).astype(np.float64), tensor.name))

    for tensor in model.graph.initializer:
        widen(tensor)
    for entry in (*model.graph.input, *model.graph.output):
        if entry.type.tensor_type.elem_type == single:
            entry.type.tensor_type.elem_type = double
    del model.graph.value_info[:]
    for node in model.graph.node:
        for attribute in node.attribute:
            widen(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == single:
                attribute.i = double
            if node.op_type == "Constant" and attribute.name == "value_float":
                attribute.CopyFrom(onnx.helper.make_attribute("value", helper.from_array(np.float64(attribute.f))))
    return model
