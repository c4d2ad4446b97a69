"""Nodes whose operands are all known are computed when the network is read: the arithmetic of shapes around a Reshape.

A result may not be larger than what went in, ``MAX_GROWTH`` elements aside, so that no small file asks for much memory;
and before it is made its bytes are charged to the one who counts those of all constants.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...errors import NetworkError
from .graph import Array, Node
from .read import TYPES

MAX_GROWTH = 1 << 16
_ERRORS = (ValueError, TypeError, AttributeError, IndexError, KeyError, ZeroDivisionError, OverflowError)


Charge: TypeAlias = Callable[[Node, int], None]  # counts bytes, NetworkError where they are too many
Reserve: TypeAlias = Callable[[Sequence[int], "np.dtype[Any]"], Sequence[int]]  # charges a shape, and gives it back


def fold(node: Node, operands: Sequence[Array | None], charge: Charge) -> Array:
    """What a node of known operands gives; NetworkError, naming it, where that is not defined or too large."""
    if node.op not in FOLDED:
        raise node.error(f"reads constants alone, which is understood of {', '.join(sorted(FOLDED))}")
    compute = FOLDED[node.op]
    check_operands(node, compute, operands, (node, None))
    limit = max([MAX_GROWTH, *(operand.size for operand in operands if operand is not None)])
    if node.op == "Concat":  # gives as much as all of them together
        limit = max(limit, sum(operand.size for operand in operands if operand is not None))

    def reserve(shape: Sequence[int], dtype: np.dtype[Any]) -> Sequence[int]:
        count = math.prod(shape)
        if count > limit:
            raise ValueError(f"it would hold {count} numbers, at most {limit} are computed")
        charge(node, count * dtype.itemsize)
        return shape

    try:
        with np.errstate(all="ignore"):
            return compute(node, reserve, *operands)
    except NetworkError:
        raise
    except _ERRORS as error:
        raise node.error(f"cannot be computed{reason(error)}") from None


def check_operands(
    node: Node, function: Callable[..., Any], operands: Sequence[object], before: tuple[object, ...]
) -> None:
    """NetworkError unless a node has as many operands as its function takes after the arguments ``before``."""
    try:
        inspect.signature(function).bind(*before, *operands)
    except TypeError:
        known = list(inspect.signature(function).parameters.values())[len(before) :]
        least = sum(one.default is one.empty and one.kind is not one.VAR_POSITIONAL for one in known)
        many = any(one.kind is one.VAR_POSITIONAL for one in known)
        needed = f"{least} or more" if many else f"{least}" if least == len(known) else f"{least} to {len(known)}"
        raise node.error(f"has {len(operands)} operands, needed {needed}") from None


def reason(error: Exception) -> str:
    """What an error says, in brackets, of errors that speak of numbers and not of Python."""
    if isinstance(error, KeyError):
        return f" (the attribute {str(error)[:80]} is missing or has a value that is not known)"
    text = "" if isinstance(error, TypeError | AttributeError) else (str(error).splitlines() or [""])[0][:200]
    return f" ({text})" if text else ""


def axes_of(node: Node, operand: Array | None) -> tuple[int, ...] | None:
    """Axes as the attribute of older opsets or the operand of newer ones; None where there are none."""
    if operand is not None:
        return tuple(int(axis) for axis in operand.reshape(-1))
    return node.attributes.get("axes")


def reshaped(shape: Sequence[int], target: Array, keep_zero: bool = False) -> tuple[int, ...]:
    """The shape that Reshape gives: 0 copies a size (unless ``keep_zero``), -1 is what is left; ValueError if none."""
    wanted = [int(size) for size in target.reshape(-1)]
    if not keep_zero:
        copied = [*shape, *[0] * len(wanted)]  # 0 copies nothing behind the last axis
        wanted = [copied[axis] if size == 0 else size for axis, size in enumerate(wanted)]
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


def _constant(node: Node, reserve: Reserve) -> Array:
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for name, value in node.attributes.items():
        if name == "value" and isinstance(value, np.ndarray):
            return value
        if name in kinds:
            return np.array(value, kinds[name])
    raise ValueError("it holds no array of numbers")


def _full(node: Node, reserve: Reserve, shape: Array) -> Array:
    value = node.attributes.get("value", np.zeros(1, np.float32))
    sizes = reserve([int(size) for size in shape.reshape(-1)], value.dtype)
    return np.full(sizes, value.reshape(-1)[0], value.dtype)


def _expand(node: Node, reserve: Reserve, x: Array, shape: Array) -> Array:
    sizes = np.broadcast_shapes(x.shape, tuple(int(size) for size in shape.reshape(-1)))
    return np.broadcast_to(x, reserve(sizes, x.dtype))


def _gather(node: Node, reserve: Reserve, x: Array, indices: Array) -> Array:
    axis = _place(node.attributes.get("axis", 0), x.ndim)
    reserve((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    return np.take(x, indices, axis)


def _cast(node: Node, reserve: Reserve, x: Array) -> Array:
    dtype = np.dtype(TYPES[node.attributes["to"]])
    reserve(x.shape, dtype)
    return x.astype(dtype)


def _sqrt(node: Node, reserve: Reserve, x: Array) -> Array:
    reserve(x.shape, x.dtype)
    return np.sqrt(x).astype(x.dtype)


def _mean(node: Node, reserve: Reserve, x: Array, axes: Array | None = None) -> Array:
    """The mean over some axes, over all where none are named: of weights that are standardized."""
    named = axes_of(node, axes)
    if not named and node.attributes.get("noop_with_empty_axes", 0):
        return x
    places = {_place(axis, x.ndim) for axis in named or range(x.ndim)}
    reserve([1 if axis in places else size for axis, size in enumerate(x.shape)], x.dtype)
    mean = x.mean(tuple(places), np.float64, keepdims=bool(node.attributes.get("keepdims", 1)))
    return np.asarray(mean).astype(x.dtype)


def _normalised(
    node: Node, reserve: Reserve, x: Array, scale: Array, bias: Array, mean: Array, variance: Array
) -> Array:
    """Batch norm of constants, by a mean and a variance that are constants."""
    if node.attributes.get("training_mode", 0):
        raise ValueError("it is in training mode")
    reserve(x.shape, x.dtype)
    factor = scale / np.sqrt(variance.astype(np.float64) + node.attributes.get("epsilon", 1e-5))
    column = (-1, *[1] * (x.ndim - 2))
    mean, factor, bias = (each.reshape(column).astype(x.dtype) for each in (mean, factor, bias))
    return (x - mean) * factor + bias


def _slice(node: Node, reserve: Reserve, x: Array, *operands: Array | None) -> Array:
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
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError(f"it has {len(starts)} starts, {len(ends)} ends, {len(axes)} axes and {len(steps)} steps")
    taken = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # an end before the first element is as far as it goes, which Python spells None where the step is negative
        taken[_place(axis, rank)] = slice(start, None if step < 0 and end < -(2**31) else end, step)
    return tuple(taken)


def _two(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    def compute(node: Node, reserve: Reserve, x: Array, y: Array) -> Array:
        reserve(np.broadcast_shapes(x.shape, y.shape), max(x.dtype, y.dtype, key=lambda dtype: dtype.itemsize))
        return np.asarray(function(x, y)).astype(x.dtype, copy=False)

    return compute


def _quotient(x: Array, y: Array) -> Array:
    """Division; of integers as ONNX has it, cut towards 0."""
    if x.dtype.kind == "f":
        return x / y
    if not np.all(y):
        raise ZeroDivisionError("division by 0")
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))


def _concat(node: Node, reserve: Reserve, *xs: Array) -> Array:
    reserve([sum(x.size for x in xs)], max((x.dtype for x in xs), key=lambda dtype: dtype.itemsize))
    return np.concatenate(xs, _place(node.attributes["axis"], xs[0].ndim))


FOLDED: dict[str, Callable[..., Array]] = {
    "Add": _two(np.add),
    "BatchNormalization": _normalised,
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _full,
    "Div": _two(_quotient),
    "Expand": _expand,
    "Gather": _gather,
    "Identity": lambda node, reserve, x: x,
    "Mul": _two(np.multiply),
    "ReduceMean": _mean,
    "Reshape": lambda node, reserve, x, shape: x.reshape(
        reshaped(x.shape, shape, bool(node.attributes.get("allowzero", 0)))
    ),
    "Shape": lambda node, reserve, x: shape_of(node, x.shape),
    "Slice": _slice,
    "Sqrt": _sqrt,
    "Squeeze": lambda node, reserve, x, axes=None: x.reshape(squeezed(x.shape, axes_of(node, axes))),
    "Sub": _two(np.subtract),
    "Transpose": lambda node, reserve, x: x.transpose(node.attributes.get("perm")),
    "Unsqueeze": lambda node, reserve, x, axes=None: x.reshape(unsqueezed(x.shape, axes_of(node, axes) or ())),
}


def shape_of(node: Node, shape: Sequence[int]) -> Array:
    """What Shape gives: int64, the part from ``start`` to ``end``."""
    return np.array(shape[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)
