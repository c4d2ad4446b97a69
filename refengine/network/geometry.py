"""Networks that are known by their geometry alone: shapes of well-known ResNets, weights drawn at random.

Speed, and the number of multiplications, depend on shapes and not on what was trained; so a benchmark needs no trained
weights.  They are drawn so that signals neither die nor explode: He's normal distribution, and batch norms whose mean
and variance fit what arrives there if the numbers of a tensor were independent.

A bottleneck halves the image in its first 1x1 convolution (version 1, as first published) or in its 3x3 convolution
(version 1.5, as PyTorch, MLPerf and NVIDIA have it), which takes more MACs.  ``-stride1x1`` and ``-stride3x3`` say
which; a plain ``resnet50`` is the one that benchmarks mean, 3x3, and a plain ``resnet101`` the one whose
multiplications Mellempudi et al. 2017 count, 1x1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import NetworkError
from .float_layer import FloatLayer
from .float_network import FloatNetwork

EPSILON = 1e-5
LAST_GAMMA = 0.25  # of the batch norm before an addition: a block adds a part of what its shortcut carries
SPREAD = 0.1  # of gamma around its value, and of beta around zero
LARGEST_OF_NINE = (1.485, 0.357)  # mean and variance of the largest of nine standard normal numbers: the stem's pooling

Array = np.ndarray[Any, Any]
Moments = tuple[float, float]


@dataclass(frozen=True)
class Geometry:
    """The shape of a ResNet.

    ``side`` of its square RGB images; ``widths`` and ``blocks`` of its stages; ``block`` is ``basic`` (two 3x3
    convolutions) or ``bottleneck`` (1x1, 3x3, 1x1 to four times the width), whose convolution number ``stride_in`` has
    the stride; ``large_stem`` is a 7x7 convolution of stride 2 and a 3x3 pooling, else one 3x3 convolution; ``project``
    is a 1x1 convolution in the shortcut where the shape changes, else the shortcut is subsampled and filled with zeros.
    """

    side: int
    classes: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    block: str = "basic"
    stride_in: int = 0
    large_stem: bool = True
    project: bool = True
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)

    @property
    def described(self) -> str:
        """The block in words, and where a bottleneck has its stride."""
        if self.block != "bottleneck":
            return "basic blocks"
        size, _ = _CONVOLUTIONS[self.block][self.stride_in]
        return f"bottlenecks with the stride in the {size}x{size} convolution"


_WIDTHS = (64, 128, 256, 512)
_50, _101 = (3, 4, 6, 3), (3, 4, 23, 3)
_CIFAR = {"large_stem": False, "project": False, "mean": (125.3, 123.0, 113.9), "std": (63.0, 62.1, 66.7)}

GEOMETRIES: Mapping[str, Geometry] = MappingProxyType(
    {
        "resnet18": Geometry(224, 1000, _WIDTHS, (2, 2, 2, 2)),
        "resnet34": Geometry(224, 1000, _WIDTHS, (3, 4, 6, 3)),
        "resnet50": Geometry(224, 1000, _WIDTHS, _50, "bottleneck", stride_in=1),
        "resnet50-stride1x1": Geometry(224, 1000, _WIDTHS, _50, "bottleneck", stride_in=0),
        "resnet50-stride3x3": Geometry(224, 1000, _WIDTHS, _50, "bottleneck", stride_in=1),
        "resnet101": Geometry(224, 1000, _WIDTHS, _101, "bottleneck", stride_in=0),
        "resnet101-stride1x1": Geometry(224, 1000, _WIDTHS, _101, "bottleneck", stride_in=0),
        "resnet101-stride3x3": Geometry(224, 1000, _WIDTHS, _101, "bottleneck", stride_in=1),
        "resnet20": Geometry(32, 10, (16, 32, 64), (3, 3, 3), **_CIFAR),  # type: ignore[arg-type]
    }
)
# (side of the kernel, channels as a multiple of the block's width) of a block's convolutions
_CONVOLUTIONS = {"basic": ((3, 1), (3, 1)), "bottleneck": ((1, 1), (3, 1), (1, 4))}


def geometry(name: str, seed: int = 0) -> FloatNetwork:
    """The float network of a geometry in ``GEOMETRIES``, float32 weights drawn from ``seed``.

    The same name, seed and version of NumPy give the same weights.  NetworkError for an unknown name.
    """
    if name not in GEOMETRIES:
        raise NetworkError(f"geometry {name[:80]!r} is unknown; available: {', '.join(GEOMETRIES)}")
    shape = GEOMETRIES[name]
    drawing = _Drawing(seed)
    x = _stem(drawing, shape)
    for stage, (width, blocks) in enumerate(zip(shape.widths, shape.blocks, strict=True), start=1):
        for number in range(blocks):
            stride = 2 if number == 0 and stage > 1 else 1
            x = _block(drawing, shape, f"layer{stage}.{number}", x, width, stride)
    x = drawing.add("avgpool", "global_avgpool", x)
    drawing.fc("fc", x, shape.classes)
    image = (shape.side, shape.side, 3)
    source = f"geometry {name}, random weights of seed {seed}"
    return FloatNetwork(name, image, shape.classes, shape.mean, shape.std, "RGB", tuple(drawing.layers), source, "MIT")


def _stem(drawing: _Drawing, shape: Geometry) -> str:
    """The input and everything before the first block; returns the last layer's name."""
    x = drawing.input()
    size, stride = (7, 2) if shape.large_stem else (3, 1)
    x = drawing.conv("conv1", x, shape.widths[0], size, stride)
    x = drawing.add("relu", "relu", drawing.batch_norm("bn1", x))
    if not shape.large_stem:
        return x
    window = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": False}
    return drawing.add("maxpool", "maxpool", x, **window)


def _block(drawing: _Drawing, shape: Geometry, name: str, x: str, width: int, stride: int) -> str:
    """A residual block behind ``x``; returns its last layer's name."""
    convolutions = _CONVOLUTIONS[shape.block]
    y = x
    for number, (size, multiple) in enumerate(convolutions):
        last = number == len(convolutions) - 1
        here = stride if number == shape.stride_in else 1
        y = drawing.conv(f"{name}.conv{number + 1}", y, multiple * width, size, here)
        y = drawing.batch_norm(f"{name}.bn{number + 1}", y, LAST_GAMMA if last else 1.0)
        if not last:
            y = drawing.add(f"{name}.relu{number + 1}", "relu", y)
    shortcut = _shortcut(drawing, shape, name, x, drawing.channels[y], stride)
    total = drawing.add(f"{name}.add", "add", y, shortcut)
    return drawing.add(f"{name}.relu{len(convolutions)}", "relu", total)


def _shortcut(drawing: _Drawing, shape: Geometry, name: str, x: str, channels: int, stride: int) -> str:
    """What is added to a block's result: ``x`` itself, or ``x`` brought to the result's shape."""
    missing = channels - drawing.channels[x]
    if stride == 1 and not missing:
        return x
    if shape.project:
        x = drawing.conv(f"{name}.downsample.conv", x, channels, 1, stride)
        return drawing.batch_norm(f"{name}.downsample.bn", x)
    strides = (stride, stride)
    window = {"kernel_shape": (1, 1), "strides": strides, "pads": (0, 0, 0, 0), "ceil_mode": False}
    x = drawing.add(f"{name}.subsample", "maxpool", x, **window)
    return drawing.add(f"{name}.widen", "pad_channels", x, before=missing // 2, after=missing - missing // 2)


class _Drawing:
    """Appends layers, numbered in execution order, and follows channels and the moments of what flows."""

    def __init__(self, seed: int) -> None:
        self.layers: list[FloatLayer] = []
        self.channels: dict[str, int] = {}
        self._moments: dict[str, Moments] = {}
        self._random = np.random.default_rng(seed)

    def input(self) -> str:
        """The normalised image."""
        return self._append("input", "input", (), {}, {}, 3, (0.0, 1.0))

    def add(self, name: str, op: str, *inputs: str, **attributes: Any) -> str:
        """A layer without constants; returns its name in the network."""
        channels = self.channels[inputs[0]] + attributes.get("before", 0) + attributes.get("after", 0)
        means, variances = zip(*(self._moments[x] for x in inputs), strict=True)
        moments = (sum(means), sum(variances))
        if op == "relu":
            moments = rectified(moments)
        elif attributes.get("kernel_shape") == (3, 3):
            moments = LARGEST_OF_NINE
        return self._append(name, op, inputs, {}, attributes, channels, moments)

    def conv(self, name: str, x: str, outputs: int, size: int, stride: int) -> str:
        """A square convolution without bias, padded so that stride 1 keeps the image's size."""
        weight = self._normal((outputs, self.channels[x], size, size), math.sqrt(2 / (self.channels[x] * size * size)))
        attributes = {"strides": (stride, stride), "pads": (size // 2,) * 4, "group": 1}
        return self._append(name, "conv", (x,), {"weight": weight}, attributes, outputs, self._moments[x])

    def batch_norm(self, name: str, x: str, gamma: float = 1.0) -> str:
        """A batch norm that fits the convolution ``x`` before it."""
        weight = self.layers[-1].constants["weight"]
        mean, variance = self._moments[x]
        constants = {
            "gamma": np.float32(gamma) * (1 + self._normal((len(weight),), SPREAD)),
            "beta": self._normal((len(weight),), SPREAD),
            "mean": mean * weight.sum(axis=(1, 2, 3)),
            "var": variance * np.square(weight).sum(axis=(1, 2, 3)),
        }
        moments = (0.0, gamma * gamma)
        return self._append(name, "batchnorm", (x,), constants, {"epsilon": EPSILON}, len(weight), moments)

    def fc(self, name: str, x: str, classes: int) -> str:
        """A fully connected layer with a bias."""
        inputs = self.channels[x]
        weight = self._normal((classes, inputs), 1 / math.sqrt(inputs))
        constants = {"weight": weight, "bias": self._normal((classes,), SPREAD)}
        return self._append(name, "fc", (x,), constants, {}, classes, self._moments[x])

    def _normal(self, shape: tuple[int, ...], deviation: float) -> Array:
        return self._random.standard_normal(shape, np.float32) * np.float32(deviation)

    def _append(
        self,
        name: str,
        op: str,
        inputs: tuple[str, ...],
        constants: Mapping[str, Array],
        attributes: Mapping[str, Any],
        channels: int,
        moments: Moments,
    ) -> str:
        key = f"{len(self.layers):03d}_{name}"
        arrays = {word: np.asarray(array, np.float32) for word, array in constants.items()}
        self.layers.append(FloatLayer(key, op, inputs, arrays, attributes))
        self.channels[key], self._moments[key] = channels, moments
        return key


def rectified(moments: Moments) -> Moments:
    """Mean and variance of max(x, 0) for a normally distributed x of this mean and variance (above 0).

    >>> mean, variance = rectified((0.0, 1.0))
    >>> f"{mean:.4f} {variance:.4f}"                            # 1/sqrt(2 pi) and 1/2 - 1/(2 pi)
    '0.3989 0.3408'
    """
    mean, variance = moments
    deviation = math.sqrt(variance)
    z = mean / deviation
    above = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    first = mean * above + deviation * density
    second = (mean * mean + variance) * above + mean * deviation * density
    return first, second - first * first
