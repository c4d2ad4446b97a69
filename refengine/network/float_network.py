"""A float network: a list of layers in execution order, checked when it is built and never changed afterwards.

``LAYER_OPS`` is the table of what a layer may be; the reader and the writer of files (``float_file.py``) and the checks
here share it.  Shapes are per image: (H, W, C) for feature maps, (K,) after flatten and fc.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import NetworkError
from ..ops.window import output_hw, spread_size
from ..text import PathLike
from .activations import ACTIVATIONS

CHANNELS = {"RGB": 3, "BGR": 3, "gray": 1}
MAX_SIDE = 1 << 16  # of images, kernels, strides and pads
MAX_CLASSES = 1 << 20
MAX_ELEMENTS = 1 << 28  # of one layer's output for one image (1 GiB of float32)
MAX_NAME = 200

Shape = tuple[int, ...]
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
    return {name: _checked_attribute(name, op.attributes[name], attributes[name]) for name in sorted(attributes)}


def _checked_attribute(name: str, rule: Attribute, value: Any) -> Any:
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


# --------------------------------------------------------------------------------------------------- the whole network


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Layers in execution order, the last one giving ``classes`` logits, and how pixels become the input.

    x = (pixel - mean) / std per channel, pixels in 0..255 and channels in the order ``channels`` (images are stored RGB
    or gray; a BGR network gets them flipped).  NetworkError, by the layer's name, if the layers do not fit together.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str
    layers: tuple[FloatLayer, ...]
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        _normalise_fields(self)
        _check_graph(self.layers)
        shapes(self)

    def save(self, path: PathLike) -> None:
        """Write the network to an HDF5 file, which ``refengine.load`` reads; FileError where that cannot be done."""
        from .float_file import write_float_network  # here, because that file reads this one

        write_float_network(self, path)


def _normalise_fields(network: FloatNetwork) -> None:
    """Check everything but the layers, and turn lists and NumPy numbers into tuples and Python numbers."""
    if not isinstance(network.name, str) or not network.name:
        raise NetworkError("the network has no name")
    if network.channels not in CHANNELS:
        raise NetworkError(f"channels is {str(network.channels)[:80]!r}, needed one of {', '.join(CHANNELS)}")
    count = CHANNELS[network.channels]
    sides = _checked_attribute("input_shape", Attribute("integers", 1, MAX_SIDE, length=3), network.input_shape)
    if sides[2] != count:
        raise NetworkError(f"input_shape is {sides}, needed {count} channels for {network.channels}")
    numbers = {name: _checked_reals(name, getattr(network, name), count) for name in ("mean", "std")}
    if min(numbers["std"]) <= 0:
        raise NetworkError(f"std is {numbers['std']}, needed numbers above 0")
    classes = _checked_attribute("classes", Attribute("integer", 1, MAX_CLASSES), network.classes)
    fields = {**numbers, "input_shape": sides, "classes": classes, "layers": tuple(network.layers)}
    for name, value in fields.items():
        object.__setattr__(network, name, value)


def _checked_reals(name: str, values: Any, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise NetworkError(f"{name} is {repr(values)[:80]}, needed {count} finite numbers")
    return numbers


def _check_graph(layers: tuple[FloatLayer, ...]) -> None:
    """NetworkError unless names differ, inputs precede, the first layer alone is the input and nothing is left over."""
    if len(layers) < 2 or layers[0].op != "input":
        first = f"starts with {layers[0].name!r} ({layers[0].op})" if layers else "has no layers"
        raise NetworkError(f"the network {first}, needed an input layer and at least one more")
    everything = {layer.name for layer in layers}
    seen: set[str] = set()
    for layer in layers:
        if layer.name in seen:
            raise NetworkError(f"layer {layer.name!r} exists twice")
        if layer.op == "input" and seen:
            raise NetworkError(f"layer {layer.name!r} is a second input layer, needed exactly one")
        for name in layer.inputs:
            if name not in seen:
                where = "is not before it (a cycle, or a wrong order)" if name in everything else "does not exist"
                raise NetworkError(f"layer {layer.name!r} ({layer.op}): its input {name!r} {where}")
        seen.add(layer.name)
    unused = seen - {name for layer in layers for name in layer.inputs} - {layers[-1].name}
    if unused:
        raise NetworkError(f"layer {min(unused)!r} is used by no other layer and is not the last one")


# -------------------------------------------------------------------------------------------------------------- shapes


def shapes(network: FloatNetwork) -> dict[str, Shape]:
    """Shape of every layer's output for one image; NetworkError, by the layer's name, where shapes do not fit."""
    found: dict[str, Shape] = {}
    for layer in network.layers:
        operands = [found[name] for name in layer.inputs] or [network.input_shape]
        found[layer.name] = output_shape(layer, *operands)
    last = network.layers[-1]
    if math.prod(found[last.name]) != network.classes:
        raise NetworkError(
            f"layer {last.name!r} ({last.op}) is the last one and gives {found[last.name]}, "
            f"needed {network.classes} numbers, one for each class"
        )
    return found


def output_shape(layer: FloatLayer, *operands: Shape) -> Shape:
    """Shape of one layer's output for operands of these shapes; NetworkError, naming it, if they do not fit."""
    try:
        shape = _SHAPES[layer.op](layer, *operands)
        if math.prod(shape) > MAX_ELEMENTS:
            raise NetworkError(f"gives {shape}, more than {MAX_ELEMENTS} numbers for an image")
    except NetworkError as error:
        raise NetworkError(f"layer {layer.name!r} ({layer.op}): {error}") from None
    return shape


def with_input_shape(network: FloatNetwork, size: tuple[int, int]) -> FloatNetwork:
    """The same network for images of another (H, W); NetworkError if its layers do not fit that size."""
    height, width = size
    return dataclasses.replace(network, input_shape=(height, width, network.input_shape[2]))


def dilations(layer: FloatLayer) -> tuple[int, int]:
    """How many pixels apart the taps of a conv lie, down and to the right; 1 where it does not say."""
    down, right = layer.attributes.get("dilations", (1, 1))
    return down, right


def _same_shape(layer: FloatLayer, x: Shape) -> Shape:
    return x


def _feature_map(x: Shape) -> Shape:
    if len(x) != 3:
        raise NetworkError(f"its input has shape {x}, needed (H, W, C)")
    return x


def _conv_shape(layer: FloatLayer, x: Shape) -> Shape:
    height, width, channels = _feature_map(x)
    outputs, inputs, *kernel = layer.constants["weight"].shape
    group = layer.attributes["group"]
    if inputs * group != channels:
        raise NetworkError(f"its input has {channels} channels, its weight wants {inputs} in each of {group} groups")
    size = [spread_size(*pair) for pair in zip(kernel, dilations(layer), strict=True)]
    return (*output_hw((height, width), size, layer.attributes["strides"], layer.attributes["pads"]), outputs)


def _batchnorm_shape(layer: FloatLayer, x: Shape) -> Shape:
    count = len(layer.constants["gamma"])
    if x[-1] != count:
        raise NetworkError(f"its input has {x[-1]} channels, gamma has {count}")
    return x


def _add_shape(layer: FloatLayer, x: Shape, y: Shape) -> Shape:
    if x != y:
        raise NetworkError(f"its inputs have shapes {x} and {y}, needed two of one shape")
    return x


def _mul_shape(layer: FloatLayer, x: Shape, y: Shape) -> Shape:
    if len(x) != len(y) or y not in (x, (1, 1, x[-1])):
        raise NetworkError(f"its inputs have shapes {x} and {y}, needed two of one shape, or one pixel as the second")
    return x


def _gather_shape(layer: FloatLayer, x: Shape) -> Shape:
    order = layer.constants["order"]
    if order.max() >= x[-1]:
        raise NetworkError(f"its input has {x[-1]} channels, order names number {int(order.max())}")
    return (*x[:-1], len(order))


def _prelu_shape(layer: FloatLayer, x: Shape) -> Shape:
    if len(layer.constants["slope"]) != x[-1]:
        raise NetworkError(f"its input has {x[-1]} channels, slope has {len(layer.constants['slope'])}")
    return x


def _concat_shape(layer: FloatLayer, *xs: Shape) -> Shape:
    if any(x[:-1] != xs[0][:-1] or len(x) != len(xs[0]) for x in xs):
        raise NetworkError(f"its inputs have shapes {', '.join(map(str, xs[:8]))}; they may differ in channels only")
    return (*xs[0][:-1], sum(x[-1] for x in xs))


def _pool_shape(layer: FloatLayer, x: Shape) -> Shape:
    height, width, channels = _feature_map(x)
    window = (layer.attributes[name] for name in ("kernel_shape", "strides", "pads", "ceil_mode"))
    return (*output_hw((height, width), *window), channels)


def _global_shape(layer: FloatLayer, x: Shape) -> Shape:
    return (1, 1, _feature_map(x)[2])


def _pad_channels_shape(layer: FloatLayer, x: Shape) -> Shape:
    height, width, channels = _feature_map(x)
    return (height, width, layer.attributes["before"] + channels + layer.attributes["after"])


def _flat_shape(layer: FloatLayer, x: Shape) -> Shape:
    return (math.prod(x),)


def _fc_shape(layer: FloatLayer, x: Shape) -> Shape:
    outputs, inputs = layer.constants["weight"].shape
    if math.prod(x) != inputs:
        raise NetworkError(f"its input has shape {x}, {math.prod(x)} numbers; its weight wants {inputs}")
    return (outputs,)


_SHAPES: dict[str, Callable[..., Shape]] = {
    "input": _same_shape,
    "conv": _conv_shape,
    "batchnorm": _batchnorm_shape,
    "relu": _same_shape,
    "add": _add_shape,
    "concat": _concat_shape,
    "maxpool": _pool_shape,
    "avgpool": _pool_shape,
    "global_avgpool": _global_shape,
    "pad_channels": _pad_channels_shape,
    "flatten": _flat_shape,
    "fc": _fc_shape,
    "mul": _mul_shape,
    "gather_channels": _gather_shape,
    **dict.fromkeys(ACTIVATIONS, _same_shape),
    "prelu": _prelu_shape,
}
