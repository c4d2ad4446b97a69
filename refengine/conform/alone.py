"""A network around one layer: pixels, convolutions that make them the layer's operands, and the layer.

Whoever runs whole networks alone can so be asked for the cases of layers.  Each operand and the residual are one
channel of RGB pixels.  A convolution picks its codes out, a pixel for each; where images choose their exponents two
pixels make an integer of 15 bits, of which the rule of D2 makes the case's codes and d.

Building the network validates the case: what cannot be a layer of a network is no case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import ACTIVATION_FORMATS, INT32, UINT8, CodeFormat
from ..numbers.requantize import Requantize
from ..ops import OPS
from .answers import LAYER, layer_of, operands_of
from .case import Array, Case

_FINE = 127  # the weight of the first of two pixels


@dataclass(frozen=True, eq=False)
class Alone:
    """A network, images for it, the number of the first, and the name of the case's layer."""

    network: IntNetwork
    images: Array
    first_image: int
    layer: str


def around(case: Case) -> Alone:
    """The network; RefengineError where the case is none that a network can have."""
    return _pixels_of_input(case) if case.group == f"{LAYER}_input" else _with_operands(case)


def names_of_tensors(inputs: Mapping[str, Array]) -> list[str]:
    """Operands in order, and the residual."""
    names = [name for name in sorted(inputs) if name.startswith("input_") and not name.endswith("_d")]
    return names + ["residual"] * ("residual" in inputs)


def position(inputs: Mapping[str, Array]) -> int:
    """Which layer the case's is in the network around it, the input being 0 (contract R5)."""
    tensors = [inputs[name] for name in names_of_tensors(inputs)]
    return 1 + len(tensors) + sum(tensor.ndim == 2 for tensor in tensors)


def _pixels_of_input(case: Case) -> Alone:
    images = case.inputs["input_0"]
    layer = layer_of(case, "000_input")
    channels = "gray" if images.shape[-1] == 1 else "BGR" if layer.attributes["flip"] else "RGB"
    network = IntNetwork("a case", images.shape[1:], prod(images.shape[1:]), channels, (layer,))
    return Alone(network, images, case.parameters["first_image"], layer.name)


def _with_operands(case: Case) -> Alone:
    names = names_of_tensors(case.inputs)
    tensors = {name: _Tensor.of(case, name) for name in names}
    height, width = (max(getattr(one, side) for one in tensors.values()) for side in ("height", "width"))
    count = len(case.inputs[names[0]])
    images = np.zeros((count, height, width, 3), np.uint8)
    layers = [_input()]
    called: dict[str, str] = {}
    exponents = _exponents(case, names)
    for channel, (name, tensor) in enumerate(tensors.items()):
        images[:, : tensor.height, : tensor.width, channel] = tensor.pixels()
        layers.append(tensor.picked(len(layers), channel, (height, width), exponents[name]))
        if tensor.flat:
            before = layers[-1].name
            layers.append(IntLayer(f"{len(layers):03d}_flatten", "flatten", (before,), exponents[name]))
        called[name] = layers[-1].name
    inputs = tuple(called[name] for name in names if name != "residual")
    made = layer_of(case, f"{len(layers):03d}_layer", inputs, residual=called.get("residual"))
    layers.append(made)
    step = made.requantize
    passed = not OPS[made.op].ACCUMULATES and any(tensor.dynamic for tensor in tensors.values())
    if passed or (step is not None and step.dynamic):  # the logits have one exponent (D5)
        layers.append(IntLayer(f"{len(layers):03d}_end", "requantize", (made.name,), 0, requantize=_as_it_is(INT32)))
    classes = _size_of_result(made, operands_of(case))
    network = IntNetwork("a case", (height, width, 3), classes, "RGB", tuple(layers))
    return Alone(network, images, case.parameters["first_image"], made.name)


def _size_of_result(layer: IntLayer, operands: Sequence[Array]) -> int:
    shapes = [operand.shape[1:] for operand in operands]
    return prod(OPS[layer.op].output_shape(*shapes, **layer.arguments))


def _input() -> IntLayer:
    """Pixels as they are."""
    step = Requantize(np.array([1]), np.array([8]), None, "half_up", UINT8, "none", UINT8.lo, UINT8.hi)
    return IntLayer("000_input", "input", (), 0, {"bias": np.zeros(3, np.int32)}, {"flip": False}, step)


def _as_it_is(fmt: CodeFormat, dynamic: int = 0) -> Requantize:
    one, nothing = np.array([1]), np.array([0])
    return Requantize(one, nothing, None, "half_up", fmt, "none", fmt.lo, fmt.hi, dynamic=dynamic)


def _exponents(case: Case, names: Sequence[str]) -> dict[str, int]:
    """Exponents that make the case's shifts right: the layer's own is 0 (contract Q5, Add1)."""
    shifts = case.parameters["attributes"].get("shifts", [0] * len(names))
    found = {name: 0 if name == "residual" else shifts[number] for number, name in enumerate(names)}
    if "residual" in found:
        found["residual"] = int(case.inputs["residual_shift"][0] - case.inputs["shift"][0])
    return found


@dataclass(frozen=True, eq=False)
class _Tensor:
    """An operand and how it lies in the pixels: (H, W * C) of them, or (H, W * C * 2)."""

    codes: Array
    d: Array | None
    format: CodeFormat
    dynamic: int
    flat: bool

    @staticmethod
    def of(case: Case, name: str) -> _Tensor:
        codes, told = case.inputs[name], case.parameters["operands"][name]
        flat = codes.ndim == 2
        codes = codes[:, None, None, :] if flat else codes
        fmt = ACTIVATION_FORMATS[told["format"]]
        return _Tensor(codes, case.inputs.get(f"{name}_d"), fmt, told["dynamic"], flat)

    @property
    def height(self) -> int:
        return int(self.codes.shape[1])

    @property
    def step(self) -> int:
        """Pixels of one place: all channels."""
        return int(self.codes.shape[3]) * (2 if self.dynamic else 1)

    @property
    def width(self) -> int:
        return int(self.codes.shape[2]) * self.step

    @property
    def _bias(self) -> int:
        return self.format.lo << (7 if self.dynamic else 0)

    def pixels(self) -> Array:
        """uint8 (N, H, W * step)."""
        values = self.codes.astype(np.int64)
        if self.d is not None:
            values <<= self.d.reshape(-1, 1, 1, 1)
        values -= self._bias
        if self.dynamic:
            coarse = np.minimum(values // _FINE, 255)
            values = np.stack([coarse, values - _FINE * coarse], axis=-1)
        return values.reshape(len(values), self.height, self.width).astype(np.uint8)

    def picked(self, number: int, channel: int, size: tuple[int, int], exponent: int) -> IntLayer:
        """The convolution that gives the codes: its window begins at each place and ends with the image."""
        channels, each = self.codes.shape[3], 2 if self.dynamic else 1
        kernel = (size[0] - self.height + 1, size[1] - self.width + self.step)
        weight = np.zeros((channels, 3, *kernel), np.int8)
        for c in range(channels):
            weight[c, channel, 0, each * c : each * c + each] = (_FINE, 1)[-each:]
        constants = {
            "weight": weight,
            "scale": np.ones((channels, 1), np.int8),
            "bias": np.full(channels, self._bias, np.int32),
        }
        return IntLayer(
            f"{number:03d}_pick",
            "conv",
            ("000_input",),
            exponent,
            constants,
            {"strides": (1, self.step), "pads": (0, 0, 0, 0), "group": 1, "cluster": 3},
            _as_it_is(self.format, self.dynamic),
            weight_format="int8",
            weight_exponent=np.zeros(channels, np.int64),
        )
