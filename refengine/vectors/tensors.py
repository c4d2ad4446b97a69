"""Tensors of a vector pack: which integers a network and its run consist of, with their axes, widths and exponents.

======================  =====================  =========================  ==========================================
name                    axes                   bits                       one step is worth
======================  =====================  =========================  ==========================================
images                  nhwc                   8, unsigned
LAYER/weight            oihw or oi             2, 4 or 8, signed          the scale's step
LAYER/scale             og                     7, unsigned                2**weight_exponent[o]
LAYER/bias              o or c                 32, signed                 as the accumulator
LAYER/sign              c                      2, signed
LAYER/table             ct                     8, as the layer's codes    2**exponent
LAYER/order             c                      of the largest channel
LAYER/multiplier        c                      the network's widest       2**(exponent - shift[c]) / accumulator's
LAYER/shift             c                      6, unsigned
LAYER/residual_shift    c                      6, unsigned
LAYER/partial_sums      nhwcg or ncg           32, signed
LAYER/accumulator       nhwc or nc             accumulator_bits, signed   2**(input's exponent + weight_exponent[o])
LAYER/total             nhwc or nc             what its bound needs       2**(exponent - shift[c])
LAYER/code              nhwc or nc             the format's               2**exponent
logits                  nc                     32, signed                 2**exponent of the last layer
======================  =====================  =========================  ==========================================

Axis letters are those of the contract: n images, h and w pixels, c channels, o output and i input channels, g clusters,
t addresses of a table.  An array along ``c`` with one entry holds the entry of all channels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..network.int_network import IntLayer, IntNetwork
from ..network.total_bounds import total_bits
from ..network.units import power_of_two, result_divisor, sum_divisor, sum_exponent
from ..numbers.formats import INT8, INT32, SCALE, TERNARY, UINT8, WEIGHT_FORMATS, signed_bits
from ..numbers.rounding import MAX_SHIFT
from ..ops import OPS
from ..ops.conv import clusters_of
from ..runs.trace import STAGES

IMAGES, LOGITS = "images", "logits"
CONSTANTS = ("weight", "scale", "bias", "sign", "table", "order", "multiplier", "shift", "residual_shift")
PARTS = (*CONSTANTS, *STAGES)
AXES = ("nhwc", "nc", "nhwcg", "ncg", "oihw", "oi", "og", "ct", "o", "c")

Exponent = int | tuple[int, ...] | None


@dataclass(frozen=True)
class Tensor:
    """One array of a pack.  layer: None for images and logits.  ternary: whether a code map writes it.

    exponent: a step is worth 2**exponent, one for all or one an output channel; None where a step has no unit of its
    own, or one that is no power of two: sums of pools, also as logits.
    """

    layer: str | None
    part: str
    shape: tuple[int, ...]
    axes: str
    dtype: str
    bits: int
    signed: bool
    exponent: Exponent = None
    ternary: bool = False

    @property
    def name(self) -> str:
        """What files and messages call it."""
        return self.part if self.layer is None else f"{self.layer}/{self.part}"

    @property
    def has_images(self) -> bool:
        """Whether the first axis counts images."""
        return self.axes.startswith("n")

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Shape of what is packed together: one image's integers, or the whole constant."""
        return self.shape[1:] if self.has_images else self.shape


def tensors_of(
    network: IntNetwork, count: int, wanted: Mapping[str, Collection[str]], partial: str | None = None
) -> tuple[Tensor, ...]:
    """The tensors of a run of ``count`` images, in the order of execution.

    ``wanted``: layer -> which of its parts.  ``partial``: the layer whose partial sums are among them.
    """
    found = [Tensor(None, IMAGES, (count, *network.input_shape), "nhwc", "uint8", UINT8.bits, False)]
    for layer in network.layers:
        parts = wanted.get(layer.name, ())
        every = [*_constants(network, layer), *_stages(network, layer, count, layer.name == partial)]
        found += [tensor for tensor in every if tensor.part in parts]
    last = network.layers[-1]
    exponent = power_of_two(last.exponent, result_divisor(network, last))
    return (*found, Tensor(None, LOGITS, (count, network.classes), "nc", "int32", INT32.bits, True, exponent))


def constant(layer: IntLayer, part: str) -> np.ndarray:
    """The array of a constant that the layer has."""
    return layer.constants[part] if part in layer.constants else getattr(layer.requantize, part)


def feeders(layer: IntLayer) -> tuple[str, ...]:
    """The layers whose codes a layer reads."""
    return layer.inputs if layer.residual is None else (*layer.inputs, layer.residual)


def _constants(network: IntNetwork, layer: IntLayer) -> Iterator[Tensor]:
    outputs = "o" if "weight" in layer.constants else "c"
    for part in CONSTANTS:
        if part in ("table", "order") and part in layer.constants:
            yield _addressed(network, layer, part)
        elif part in layer.constants:
            fmt = {"weight": WEIGHT_FORMATS.get(layer.weight_format or ""), "scale": SCALE, "sign": TERNARY}.get(part)
            fmt = fmt or INT32
            array = layer.constants[part]
            axes = {"weight": "oihw"[: array.ndim], "scale": "og", "bias": outputs, "sign": "c"}[part]
            exponent = {"scale": _integers(layer.weight_exponent), "bias": _unit(network, layer)}.get(part)
            yield Tensor(
                layer.name, part, array.shape, axes, array.dtype.name, fmt.bits, fmt.lo < 0, exponent, fmt == TERNARY
            )
        elif getattr(layer.requantize, part, None) is not None:
            bits = _multiplier_bits(network) if part == "multiplier" else MAX_SHIFT.bit_length()
            array = getattr(layer.requantize, part)
            yield Tensor(layer.name, part, array.shape, "c", array.dtype.name, bits, False)


def _addressed(network: IntNetwork, layer: IntLayer, part: str) -> Tensor:
    """A table of codes, or the channels that a layer reads."""
    array = layer.constants[part]
    if part == "order":
        bits = max(1, int(array.max()).bit_length())
        return Tensor(layer.name, part, array.shape, "c", array.dtype.name, bits, False)
    signed = int(array.min()) < 0
    bits = signed_bits(int(array.min()), int(array.max())) if signed and array.max() > INT8.hi else UINT8.bits
    return Tensor(layer.name, part, array.shape, "ct", array.dtype.name, bits, signed, layer.exponent)


def _stages(network: IntNetwork, layer: IntLayer, count: int, partial: bool) -> Iterator[Tensor]:
    shape = network.shapes[layer.name]
    axes = "nhwc" if len(shape) == 3 else "nc"
    step, fmt = layer.requantize, network.formats[layer.name]
    if partial:
        clusters = clusters_of(layer.constants["weight"].shape[1], layer.attributes["cluster"])
        yield Tensor(layer.name, "partial_sums", (count, *shape, clusters), f"{axes}g", "int32", INT32.bits, True)
    accumulates = OPS[layer.op].ACCUMULATES
    if accumulates:
        unit, bits = _unit(network, layer), layer.accumulator_bits
        yield Tensor(layer.name, "accumulator", (count, *shape), axes, "int32", bits, True, unit)
    if step is not None:
        unit = _integers(layer.exponent - step.shift)
        bits = total_bits(network, layer) or INT32.bits
        yield Tensor(layer.name, "total", (count, *shape), axes, "int64", bits, True, unit)
    if step is not None or not accumulates:
        dtype = np.dtype(fmt.dtype).name
        yield Tensor(layer.name, "code", (count, *shape), axes, dtype, fmt.bits, fmt.lo < 0, layer.exponent)


def _unit(network: IntNetwork, layer: IntLayer) -> Exponent:
    """Exponent of an accumulator (contract, sections Conv, Batchnorm, Add), None where it is no power of two."""
    exponents = [network.layer(name).exponent for name in layer.inputs]
    if layer.weight_exponent is not None:
        return _integers(exponents[0] + layer.weight_exponent)
    if layer.op == "batchnorm":
        return exponents[0] - 8
    if layer.op in ("lookup", "mul"):
        return sum_exponent(network, layer)
    return power_of_two(min(exponents), sum_divisor(network, layer)) if exponents else None


def _integers(array: np.ndarray | None) -> tuple[int, ...] | None:
    return None if array is None else tuple(array.tolist())


def _multiplier_bits(network: IntNetwork) -> int:
    """Bits of the network's largest multiplier, so that all layers' multipliers have one width."""
    steps = [layer.requantize for layer in network.layers if layer.requantize is not None]
    return max([1, *(int(step.multiplier.max()).bit_length() for step in steps)])
