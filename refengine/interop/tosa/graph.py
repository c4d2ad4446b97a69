"""A graph of TOSA 1.1 as the document that its schema ``tosa.fbs`` reads: operators, tensors, constant shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_TYPES = {np.dtype(kind): kind.__name__.upper() for kind in (np.int8, np.int32, np.int64)} | {np.dtype(bool): "BOOL"}
_VERSION = {"_major": 1, "_minor": 1, "_patch": 0, "_draft": True}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Graph:
    """Operators as they are appended, the tensors and shapes that they read, and which are inputs and outputs."""

    def __init__(self) -> None:
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self._operators: list[dict[str, Any]] = []
        self._tensors: list[dict[str, Any]] = []
        self._shapes: list[dict[str, Any]] = []

    def input(self, shape: Sequence[int], name: str | None = None) -> Tensor:
        """Another input: codes as int8."""
        tensor = self._tensor(name or f"input{len(self.inputs)}", shape, np.int8)
        self.inputs.append(tensor.name)
        return tensor

    def output(self, x: Tensor, name: str) -> None:
        """Another output, under a name of its own."""
        tensor = self._tensor(name, x.shape, x.dtype)
        self._append("IDENTITY", [x.name], [tensor.name])
        self.outputs.append(tensor.name)

    def constant(self, array: Array) -> Tensor:
        """A constant."""
        tensor = self._tensor(f"constant{len(self._tensors)}", array.shape, array.dtype)
        self._tensors[-1]["data"] = bytes_of(array)
        self._append("CONST", [], [tensor.name])
        return tensor

    def number(self, value: int, dtype: type, rank: int = 1) -> Tensor:
        """A constant of one element."""
        return self.constant(np.full((1,) * rank, value, dtype))

    def shape(self, lengths: Sequence[int]) -> str:
        """A constant of lengths, positions or paddings."""
        name = f"shape{len(self._shapes)}"
        self._shapes.append({"name": name, "rank": len(lengths), "data": bytes_of(np.array(lengths, np.int64))})
        self._append("CONST_SHAPE", [], [name])
        return name

    def node(
        self, op: str, inputs: Sequence[Tensor | str], shape: Sequence[int], dtype: Any, **attributes: Any
    ) -> Tensor:
        """What an operator gives, of a shape and type that the model checks."""
        tensor = self._tensor(f"{op.lower()}{len(self._tensors)}", shape, dtype)
        names = [one if isinstance(one, str) else one.name for one in inputs]
        self._append(op, names, [tensor.name], **attributes)
        return tensor

    def elementwise(self, op: str, *operands: Tensor, **attributes: Any) -> Tensor:
        """The same, of operands that are broadcast."""
        shape = np.broadcast_shapes(*(operand.shape for operand in operands))
        extra = (self.number(0, np.int8),) if op == "MUL" else ()
        dtype = np.bool_ if op in ("GREATER", "EQUAL") else operands[-1].dtype
        return self.node(op, [*operands, *extra], shape, dtype, **attributes)

    def cast(self, x: Tensor, dtype: type) -> Tensor:
        """The same integers in another type; between bytes and INT64 there is no way but by INT32."""
        if x.dtype == dtype:
            return x
        if {x.dtype.itemsize, np.dtype(dtype).itemsize} == {1, 8}:
            x = self.cast(x, np.int32)
        return self.node("CAST", [x], x.shape, dtype)

    def reshaped(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """The same numbers in another shape."""
        return self.node("RESHAPE", [x, self.shape(shape)], shape, x.dtype)

    def part(self, x: Tensor, start: Sequence[int], shape: Sequence[int]) -> Tensor:
        """A box of a tensor."""
        return self.node("SLICE", [x, self.shape(start), self.shape(shape)], shape, x.dtype)

    def padded(self, x: Tensor, pads: Sequence[tuple[int, int]], filler: int) -> Tensor:
        """The tensor with ``filler`` before and after it, a pair of counts for each axis."""
        shape = [length + sum(pair) for length, pair in zip(x.shape, pads, strict=True)]
        flat = [count for pair in pads for count in pair]
        return self.node("PAD", [x, self.shape(flat), self.number(filler, x.dtype.type)], shape, x.dtype)

    def document(self) -> dict[str, Any]:
        """The graph, ready to be written as JSON."""
        block = {
            "name": "main",
            "operators": self._operators,
            "tensors": self._tensors,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "shapes": self._shapes,
        }
        return {"version": _VERSION, "regions": [{"name": "main", "blocks": [block]}]}

    def _tensor(self, name: str, shape: Sequence[int], dtype: Any) -> Tensor:
        tensor = Tensor(name, tuple(int(length) for length in shape), np.dtype(dtype))
        self._tensors.append({"name": name, "shape": list(tensor.shape), "type": _TYPES[tensor.dtype]})
        return tensor

    def _append(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        kind = "".join(word.capitalize() for word in op.split("_")) + "Attribute"
        self._operators.append(
            {"op": op, "attribute_type": kind, "attribute": attributes, "inputs": inputs, "outputs": outputs}
        )


def bytes_of(array: Array) -> list[int]:
    """Numbers as the schema holds them, in little endian."""
    little_endian = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return np.frombuffer(little_endian.tobytes(), np.uint8).tolist()
