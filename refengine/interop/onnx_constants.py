"""Nodes whose operands are all known are computed when the network is read: the arithmetic of shapes around a Reshape.

A result may not be larger than what went in, ``MAX_GROWTH`` elements aside, so that no small file asks for much memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .onnx_graph import Array, Node
from .onnx_read import TYPES

MAX_GROWTH = 1 << 16
_ERRORS = (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError, OverflowError)


def fold(node: Node, operands: Sequence[Array | None]) -> Array:
    """What a node of known operands gives; NetworkError, naming it, where that is not defined or too large."""
    if node.op not in FOLDED:
        raise node.error(f"reads constants alone, which is understood of {', '.join(sorted(FOLDED))}")
    limit = max([MAX_GROWTH, *(operand.size for operand in operands if operand is not None)])
    try:
        with np.errstate(all="ignore"):
            return FOLDED[node.op](node, limit, *operands)
    except _ERRORS as error:
        raise node.error(f"cannot be computed ({str(error).splitlines()[0] if str(error) else 'no reason'})") from None


def axes_of(node: Node, operand: Array | None) -> tuple[int, ...] | None:
    """Axes as the attribute of older opsets or the operand of newer ones; None where there are none."""
    if operand is not None:
        return tuple(int(axis) for axis in operand.reshape(-1))
    return node.attributes.get("axes")


def reshaped(shape: Sequence[int], target: Array, keep_zero: bool = False) -> tuple[int, ...]:
    """The shape that Reshape gives: 0 copies a size (unless ``keep_zero``), -1 is what is left; ValueError if none."""
    wanted = [int(size) for size in target.reshape(-1)]
    if not keep_zero:
        wanted = [shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    known = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and known > 0:
        wanted[wanted.index(-1)] = math.prod(shape) // known
    if min(wanted, default=0) < 0 or math.prod(wanted) != math.prod(shape):
        raise ValueError(f"{tuple(shape)} does not become {tuple(int(size) for size in target.reshape(-1))[:8]}")
    return tuple(wanted)


def unsqueezed(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """The shape with sizes of 1 at ``axes`` of the result."""
    rank = len(shape) + len(axes)
    places, sizes = {_place(axis, rank) for axis in axes}, iter(shape)
    if len(places) != len(axes):
        raise ValueError(f"axes {tuple(axes)} name one axis twice")
    return tuple(1 if axis in places else next(sizes) for axis in range(rank))


def squeezed(shape: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """The shape without the sizes of 1 at ``axes``, or without any."""
    places = {_place(axis, len(shape)) for axis in axes} if axes else {a for a, s in enumerate(shape) if s == 1}
    if any(shape[axis] != 1 for axis in places):
        raise ValueError(f"axes {tuple(axes or ())} of {tuple(shape)} are not all 1")
    return tuple(size for axis, size in enumerate(shape) if axis not in places)


def _place(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} does not exist among {rank}")
    return axis % rank


# --------------------------------------------------------------------------------------------------- node by node


def _constant(node: Node, limit: int) -> Array:
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for name, value in node.attributes.items():
        if name == "value" and isinstance(value, np.ndarray):
            return value
        if name in kinds:
            return np.array(value, kinds[name])
    raise ValueError("it holds no array of numbers")


def _full(node: Node, limit: int, shape: Array) -> Array:
    sizes = _within(limit, [int(size) for size in shape.reshape(-1)])
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return np.full(sizes, value.reshape(-1)[0], value.dtype)


def _expand(node: Node, limit: int, x: Array, shape: Array) -> Array:
    sizes = np.broadcast_shapes(x.shape, tuple(int(size) for size in shape.reshape(-1)))
    return np.broadcast_to(x, _within(limit, sizes))


def _gather(node: Node, limit: int, x: Array, indices: Array) -> Array:
    axis = _place(node.attributes.get("axis", 0), x.ndim)
    _within(limit, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    return np.take(x, indices, axis)


def _slice(node: Node, limit: int, x: Array, *operands: Array | None) -> Array:
    return x[slices(node, x.ndim, *operands)]


def slices(node: Node, rank: int, *operands: Array | None) -> tuple[slice, ...]:
    """What Slice takes of each axis, by the attributes of opset 9 or the operands of newer ones."""
    names = ("starts", "ends", "axes", "steps")
    given = {name: node.attributes.get(name) for name in names}
    given |= {
        name: array.reshape(-1).tolist() for name, array in zip(names, operands, strict=False) if array is not None
    }
    starts, ends = given["starts"] or (), given["ends"] or ()
    axes, steps = given["axes"] or range(len(starts)), given["steps"] or [1] * len(starts)
    taken = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # an end before the first element is as far as it goes, which Python spells None where the step is negative
        taken[_place(axis, rank)] = slice(start, None if step < 0 and end < -(2**31) else end, step)
    return tuple(taken)


def _two(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def compute(node: Node, limit: int, x: Array, y: Array) -> Array:
        _within(limit, np.broadcast_shapes(x.shape, y.shape))
        return np.asarray(function(x, y)).astype(x.dtype, copy=False)

    return compute


def _quotient(x: Array, y: Array) -> Array:
    """Division; of integers as ONNX has it, cut towards 0."""
    if x.dtype.kind == "f":
        return x / y
    if not np.all(y):
        raise ZeroDivisionError("division by 0")
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))


def _within(limit: int, shape: Sequence[int]) -> Sequence[int]:
    if math.prod(shape) > limit:
        raise ValueError(f"it would hold {math.prod(shape)} numbers, at most {limit} are computed")
    return shape


def _concat(node: Node, limit: int, *xs: Array) -> Array:
    _within(2 * limit, [sum(x.size for x in xs)])
    return np.concatenate(xs, _place(node.attributes["axis"], xs[0].ndim))


FOLDED: dict[str, Callable[..., Array]] = {
    "Add": _two(np.add),
    "Cast": lambda node, limit, x: x.astype(TYPES[node.attributes["to"]]),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _full,
    "Div": _two(_quotient),
    "Expand": _expand,
    "Gather": _gather,
    "Identity": lambda node, limit, x: x,
    "Mul": _two(np.multiply),
    "Reshape": lambda node, limit, x, shape: x.reshape(
        reshaped(x.shape, shape, bool(node.attributes.get("allowzero", 0)))
    ),
    "Shape": lambda node, limit, x: shape_of(node, x.shape),
    "Slice": _slice,
    "Sqrt": lambda node, limit, x: np.sqrt(x).astype(x.dtype),
    "Squeeze": lambda node, limit, x, axes=None: x.reshape(squeezed(x.shape, axes_of(node, axes))),
    "Sub": _two(np.subtract),
    "Transpose": lambda node, limit, x: x.transpose(node.attributes.get("perm")),
    "Unsqueeze": lambda node, limit, x, axes=None: x.reshape(unsqueezed(x.shape, axes_of(node, axes) or ())),
}


def shape_of(node: Node, shape: Sequence[int]) -> Array:
    """What Shape gives: int64, the part from ``start`` to ``end``."""
    return np.array(shape[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)
