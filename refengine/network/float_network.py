"""A float network: a list of layers in execution order, checked when it is built and never changed afterwards.

Shapes are per image: (H, W, C) for feature maps, (K,) after flatten and fc.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import NetworkError
from ..ops.window import output_hw, spread_size
from ..text import PathLike
from .activations import ACTIVATIONS
from .float_layer import MAX_SIDE, Attribute, FloatLayer, checked_attribute, dilations

CHANNELS = {"RGB": 3, "BGR": 3, "gray": 1}
MAX_CLASSES = 1 << 20
MAX_ELEMENTS = 1 << 28  # of one layer's output for one image (1 GiB of float32)

Shape = tuple[int, ...]


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
    sides = checked_attribute("input_shape", Attribute("integers", 1, MAX_SIDE, length=3), network.input_shape)
    if sides[2] != count:
        raise NetworkError(f"input_shape is {sides}, needed {count} channels for {network.channels}")
    numbers = {name: _checked_reals(name, getattr(network, name), count) for name in ("mean", "std")}
    if min(numbers["std"]) <= 0:
        raise NetworkError(f"std is {numbers['std']}, needed numbers above 0")
    classes = checked_attribute("classes", Attribute("integer", 1, MAX_CLASSES), network.classes)
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
