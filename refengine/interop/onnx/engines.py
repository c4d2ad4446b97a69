"""Third-party engines that run an ONNX model on pixels, with a common interface: all outputs by name.

onnxruntime      ONNX Runtime on the processor, with the optimizations of the graph that it comes with
onnx-reference   the reference implementation that comes with onnx: NumPy, operator by operator, slow
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import RefengineError
from ...optional import package, quiet
from .export_int import EXTRA, IMAGE, serialized

Array = np.ndarray[Any, Any]

_ONLY_FATAL = 4
_WIDTH_OF_A_REASON = 200


@dataclass(frozen=True)
class Engine:
    """A program that holds a model; ``run``: uint8 images (N, H, W, C) -> its outputs by name."""

    name: str
    version: str
    run: Callable[[Array], Mapping[str, Array]]


def engine(name: str, model: Any, threads: int = 1) -> Engine:
    """The engine ``name`` of ``ENGINES`` with an ``onnx.ModelProto``.

    RefengineError if it is unknown, is not installed, or cannot take the model; ``run`` raises it where running fails.
    """
    if name not in ENGINES:
        raise RefengineError(f"engine {name[:80]!r} is unknown; available: {', '.join(ENGINES)}")
    return ENGINES[name](model, [output.name for output in model.graph.output], threads)


def _onnxruntime(model: Any, outputs: list[str], threads: int) -> Engine:
    runtime = package("onnxruntime", EXTRA)
    state = package("onnxruntime.capi.onnxruntime_pybind11_state", EXTRA)
    errors = tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONLY_FATAL

    def opened() -> Any:
        return runtime.InferenceSession(serialized(model), options, providers=["CPUExecutionProvider"])

    session = _tried("onnxruntime", errors, opened)

    def run(pixels: Array) -> Mapping[str, Array]:
        results = _tried("onnxruntime", errors, lambda: session.run(outputs, {IMAGE: np.ascontiguousarray(pixels)}))
        return dict(zip(outputs, results, strict=True))

    return Engine("onnxruntime", runtime.__version__, run)


def _reference(model: Any, outputs: list[str], threads: int) -> Engine:
    onnx, reference = package("onnx", EXTRA), package("onnx.reference", EXTRA)
    theirs = package("onnx.reference.ops.op_max_pool", EXTRA).MaxPool

    class MaxPool(theirs):  # type: ignore[misc, valid-type]
        """Their own pooling without its short cut for strides of 1, which pads with NaN and so knows floats alone."""

        def _run(self, x: Array, **attributes: Any) -> tuple[Array, ...]:
            found: tuple[Array, ...] = self._max_pool(x, **attributes)
            return found

    errors = (RuntimeError, ValueError, TypeError, NotImplementedError)
    evaluator = _tried("onnx-reference", errors, lambda: reference.ReferenceEvaluator(model, new_ops=[MaxPool]))

    def run(pixels: Array) -> Mapping[str, Array]:
        results = _tried("onnx-reference", errors, lambda: evaluator.run(outputs, {IMAGE: pixels}))
        return dict(zip(outputs, results, strict=True))

    return Engine("onnx-reference", onnx.__version__, run)


def _tried(name: str, errors: tuple[type[Exception], ...], work: Callable[[], Any]) -> Any:
    """What ``work`` gives; RefengineError in one line where the engine raises one of its errors."""
    try:
        with quiet():
            return work()
    except errors as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:_WIDTH_OF_A_REASON]
        raise RefengineError(f"{name} cannot run the model: {reason}") from error


ENGINES: dict[str, Callable[[Any, list[str], int], Engine]] = {
    "onnxruntime": _onnxruntime,
    "onnx-reference": _reference,
}
