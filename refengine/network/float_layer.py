"""A layer of a float network, checked when it is built and never changed afterwards.

``LAYER_OPS`` is the table of what a layer may be; the reader and the writer of files (``float_file.py``) and the checks
here share it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import NetworkError

MAX_SIDE = 1 << 16  # of images, kernels, strides and pads
MAX_NAME = 200

Array = np.ndarray[Any, Any]


# ----------------------------------------------------------------------------------------- what a layer may consist of


@dataclass(frozen=True)
class Attribute:
    """One attribute: an integer or ``length`` integers in low..high, a flag (0 or 1), or a finite real number."""

    kind: str
    low: float = 0
    high: float = math.inf
    length: int | None = None
    needed: bool = True


@dataclass(frozen=True)
class Constant:
    """One array of float32: a letter an axis; one letter means one length throughout a layer."""

    axes: str
    needed: bool = True


@dataclass(frozen=True)
class LayerOp:
    """What a layer of one op consists of; ``inputs`` is the least and the greatest number of them."""

    inputs: tuple[int, float] = (1, 1)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


_STRIDES = Attribute("integers", 1, MAX_SIDE, length=2)
_PADS = Attribute("integers", 0, MAX_SIDE, length=4)
_COUNT = Attribute("integer", 0, MAX_SIDE)
_REAL = Attribute("real", -math.inf)
_POOL = {"kernel_shape": _STRIDES, "strides": _STRIDES, "pads": _PADS, "ceil_mode": Attribute("flag")}

LAYER_OPS: Mapping[str, LayerOp] = {
    "input": LayerOp(inputs=(0, 0)),
    "conv": LayerOp(
        constants={"weight": Constant("OIYX"), "bias": Constant("O", needed=False)},
        attributes={
            "strides": _STRIDES,
            "pads": _PADS,
            "group": Attribute("integer", 1, MAX_SIDE),
            "dilations": Attribute("integers", 1, MAX_SIDE, length=2, needed=False),
        },
    ),
    "batchnorm": LayerOp(
        constants={name: Constant("C") for name in ("gamma", "beta", "mean", "var")},
        attributes={"epsilon": Attribute("real")},
    ),
    "relu": LayerOp(attributes={"max": Attribute("real", needed=False)}),
    "add": LayerOp(inputs=(2, 2)),
    "concat": LayerOp(inputs=(1, math.inf)),
    "maxpool": LayerOp(attributes=_POOL),
    "avgpool": LayerOp(attributes=_POOL),
    "global_avgpool": LayerOp(),
    "pad_channels": LayerOp(attributes={"before": _COUNT, "after": _COUNT}),
    "flatten": LayerOp(),
    "fc": LayerOp(constants={"weight": Constant("OI"), "bias": Constant("O", needed=False)}),
    "mul": LayerOp(inputs=(2, 2)),
    "gather_channels": LayerOp(constants={"order": Constant("O")}),
    "prelu": LayerOp(constants={"slope": Constant("C")}),
    "clip": LayerOp(attributes={"low": _REAL, "high": _REAL}),
    "elu": LayerOp(attributes={"alpha": Attribute("real")}),
    "sigmoid": LayerOp(),
    "silu": LayerOp(),
    "tanh": LayerOp(),
    "hard_sigmoid": LayerOp(attributes={"alpha": Attribute("real"), "beta": _REAL}),
    "hard_swish": LayerOp(),
    "gelu": LayerOp(attributes={"tanh": Attribute("flag")}),
    "erf": LayerOp(),
    "softplus": LayerOp(),
    "mish": LayerOp(),
}


# ----------------------------------------------------------------------------------------------------------- one layer


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """One layer; ``name`` is its key in the file, number included; arrays are float32 and read-only.

    NetworkError, by the layer's name, if the op is unknown or inputs, constants or attributes are not those of the op.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    constants: Mapping[str, Array] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.op not in LAYER_OPS:
            known = ", ".join(sorted(LAYER_OPS))
            raise NetworkError(f"layer {self.name!r}: op {str(self.op)[:80]!r} is unknown, known are: {known}")
        op = LAYER_OPS[self.op]
        try:
            object.__setattr__(self, "inputs", _checked_inputs(op, self.inputs))
            object.__setattr__(self, "constants", MappingProxyType(_checked_constants(op, self.constants)))
            object.__setattr__(self, "attributes", MappingProxyType(_checked_attributes(op, self.attributes)))
            _EXTRA_CHECKS.get(self.op, lambda layer: None)(self)
        except NetworkError as error:
            raise NetworkError(f"layer {self.name!r} ({self.op}): {error}") from None


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or len(name) > MAX_NAME or "/" in name or not name.isprintable():
        needed = f"1 to {MAX_NAME} printable characters without '/' were needed"
        raise NetworkError(f"a layer is called {str(name)[:80]!r}, {needed}")


def _checked_inputs(op: LayerOp, inputs: tuple[str, ...]) -> tuple[str, ...]:
    least, most = op.inputs
    if not least <= len(inputs) <= most:
        needed = str(least) if least == most else f"{least} or more"
        raise NetworkError(f"has {len(inputs)} inputs, needs {needed}")
    for name in inputs:
        _check_name(name)
    return tuple(inputs)


def _check_keys(kind: str, found: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """NetworkError if a key is not in the op's table, or a needed one is missing."""
    extra = sorted(str(name)[:80] for name in found if name not in known)
    if extra:
        raise NetworkError(f"has {kind} {extra[0]!r}, known are: {', '.join(sorted(known)) or 'none'}")
    missing = sorted(name for name, rule in known.items() if rule.needed and name not in found)
    if missing:
        raise NetworkError(f"has no {kind} {missing[0]!r}")


def _checked_constants(op: LayerOp, constants: Mapping[str, Array]) -> dict[str, Array]:
    """Read-only arrays whose ranks and lengths agree with the op's axis letters."""
    _check_keys("constant", constants, op.constants)
    lengths: dict[str, int] = {}
    checked = {}
    for name in sorted(constants, key=lambda name: (-len(op.constants[name].axes), name)):
        axes, array = op.constants[name].axes, _read_only(name, constants[name])
        wanted = tuple(lengths.get(axis) for axis in axes)
        if array.ndim != len(axes) or any(w not in (None, s) for w, s in zip(wanted, array.shape, strict=True)):
            needed = ", ".join("any" if w is None else str(w) for w in wanted)
            raise NetworkError(f"{name} has shape {array.shape}, needed ({needed})")
        if array.size == 0:
            raise NetworkError(f"{name} has shape {array.shape}, which holds nothing")
        lengths.update(zip(axes, array.shape, strict=True))
        checked[name] = array
    return checked


def _read_only(name: str, value: Array) -> Array:
    """The array itself if nobody can write to it, else a copy; float32 and finite, or NetworkError."""
    array = np.asarray(value)
    if array.dtype != np.float32:
        raise NetworkError(f"{name} holds {array.dtype}, needed float32")
    if not np.isfinite(array).all():
        raise NetworkError(f"{name} holds NaN or infinity")
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, order="C")
        array.flags.writeable = False
    return array


def _checked_attributes(op: LayerOp, attributes: Mapping[str, Any]) -> dict[str, Any]:
    _check_keys("attribute", attributes, op.attributes)
    return {name: checked_attribute(name, op.attributes[name], attributes[name]) for name in sorted(attributes)}


def checked_attribute(name: str, rule: Attribute, value: Any) -> Any:
    """The value as int, tuple of int, bool or float; NetworkError if it is none or out of range."""
    try:
        if rule.kind == "integers":
            parsed: Any = tuple(operator.index(item) for item in value)
            good = len(parsed) == rule.length and all(rule.low <= item <= rule.high for item in parsed)
        elif rule.kind == "integer":
            parsed = operator.index(value)
            good = rule.low <= parsed <= rule.high
        elif rule.kind == "flag":
            parsed = bool(value)
            good = value in (0, 1)
        else:
            parsed = float(value)
            good = math.isfinite(parsed) and rule.low <= parsed
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise NetworkError(f"attribute {name!r} is {repr(value)[:80]}, needed {_words(rule)}")
    return parsed


def _words(rule: Attribute) -> str:
    """What an attribute must be, for messages."""
    return {
        "integers": f"{rule.length} integers in {rule.low}..{rule.high}",
        "integer": f"an integer in {rule.low}..{rule.high}",
        "flag": "0 or 1",
        "real": "a finite number" + (f" not below {rule.low}" if math.isfinite(rule.low) else ""),
    }[rule.kind]


def _check_batchnorm(layer: FloatLayer) -> None:
    least = float(layer.constants["var"].min())
    if least < 0 or least + layer.attributes["epsilon"] == 0:
        epsilon = layer.attributes["epsilon"]
        raise NetworkError(f"var goes down to {least} and epsilon is {epsilon}; var >= 0 and var + epsilon > 0 needed")


def _check_relu(layer: FloatLayer) -> None:
    if layer.attributes.get("max", 1.0) <= 0:
        raise NetworkError(f"attribute 'max' is {layer.attributes['max']}, needed a number above 0")


def _check_conv(layer: FloatLayer) -> None:
    outputs, group = len(layer.constants["weight"]), layer.attributes["group"]
    if outputs % group:
        raise NetworkError(f"has {outputs} output channels in {group} groups, needs a multiple of {group}")


def _check_clip(layer: FloatLayer) -> None:
    low, high = layer.attributes["low"], layer.attributes["high"]
    if not low < high:
        raise NetworkError(f"clips to {low}..{high}, needs a lower end below the upper one")


def _check_order(layer: FloatLayer) -> None:
    order = layer.constants["order"]
    if order.min() < 0 or order.max() > MAX_SIDE or (order % 1).any():
        raise NetworkError(f"order holds {order.min()}..{order.max()}, needs numbers of channels from 0 on")


def _check_pool(layer: FloatLayer) -> None:
    """A pad as wide as the kernel would make windows that see no pixel at all."""
    kernel, pads = layer.attributes["kernel_shape"], layer.attributes["pads"]
    if any(pad >= size for pad, size in zip(pads, kernel * 2, strict=True)):
        raise NetworkError(f"has pads {pads} and a kernel of {kernel}, needs pads smaller than the kernel")


_EXTRA_CHECKS: dict[str, Callable[[FloatLayer], None]] = {
    "batchnorm": _check_batchnorm,
    "relu": _check_relu,
    "conv": _check_conv,
    "clip": _check_clip,
    "gather_channels": _check_order,
    "maxpool": _check_pool,
    "avgpool": _check_pool,
}


def dilations(layer: FloatLayer) -> tuple[int, int]:
    """How many pixels apart the taps of a conv lie, down and to the right; 1 where it does not say."""
    down, right = layer.attributes.get("dilations", (1, 1))
    return down, right
