"""The float network, run in NumPy float32: the yardstick of accuracy, and what calibration observes.

Feature maps are (N, H, W, C), vectors (N, K).  Every operator is a function of its layer and its operands that leaves
the operands alone and gives a new array or a view; nothing else computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import NetworkError
from ..ops.window import output_hw, spread_size
from .activations import ACTIVATIONS
from .float_layer import FloatLayer, dilations
from .float_network import FloatNetwork

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
Observer = Callable[[FloatLayer, Array], None]

# Convolutions work through a batch in blocks of images with windows of about this size: small blocks stay in the cache,
# but a product of matrices that shares its cores with other programs waits for them each time it starts.
BLOCK_BYTES = 1 << 24


def forward(network: FloatNetwork, images: Array, observe: Observer | None = None) -> Array:
    """Logits, float32 (N, classes), of uint8 images (N, H, W, C).

    ``observe(layer, tensor)`` sees every layer's output, the normalised input included, and must not write to it.
    NetworkError if the images do not have the network's input shape or a layer gives NaN or infinity.
    """
    last_use = _last_use(network.layers)
    tensors: dict[str, Array] = {}
    for number, layer in enumerate(network.layers):
        operands = [tensors[name] for name in layer.inputs] or [normalise(network, images)]
        with np.errstate(over="ignore", invalid="ignore"):
            tensor = OPERATORS[layer.op](layer, *operands)
        if not np.isfinite(tensor).all():
            raise NetworkError(f"layer {layer.name!r} ({layer.op}) gives NaN or infinity for some image")
        if observe is not None:
            observe(layer, tensor)
        tensors[layer.name] = tensor
        for name in layer.inputs:
            if last_use[name] == number:
                tensors.pop(name, None)  # an add of a layer to itself names it twice
    return flatten(network.layers[-1], tensors[network.layers[-1].name])


def normalise(network: FloatNetwork, images: Array) -> Array:
    """uint8 images (N, H, W, C), RGB or gray, as float32 in the network's channel order: (pixel - mean) / std."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != network.input_shape:
        wanted = "uint8 (N, {}, {}, {})".format(*network.input_shape)
        raise NetworkError(f"images are {images.dtype} {images.shape}, network {network.name!r} needs {wanted}")
    pixels = images[..., ::-1] if network.channels == "BGR" else images
    return (pixels - np.array(network.mean, np.float32)) / np.array(network.std, np.float32)


def _last_use(layers: tuple[FloatLayer, ...]) -> dict[str, int]:
    """Number of the layer after which a layer's output is needed no more."""
    return {name: number for number, layer in enumerate(layers) for name in layer.inputs}


# --------------------------------------------------------------------------------------------------------- convolution


def conv(layer: FloatLayer, x: Array) -> Array:
    """y[n,h,w,o] = bias[o] + sum of x[n, h*stride + ky*dilation, w*stride + kx*dilation, i] * weight[o,i,ky,kx]."""
    weight, group = layer.constants["weight"], layer.attributes["group"]
    strides, kernel, apart = layer.attributes["strides"], weight.shape[2:], dilations(layer)
    size = [spread_size(*pair) for pair in zip(kernel, apart, strict=True)]
    out_hw = output_hw(x.shape[1:3], size, strides, layer.attributes["pads"])
    y = np.empty((len(x), *out_hw, len(weight)), np.float32)
    block = images_a_product(layer, out_hw)
    for start in range(0, len(x), block):
        padded = _pad(x[start : start + block], layer.attributes["pads"], 0.0)
        _conv_block(padded, weight, strides, group, apart, y[start : start + block])
    if "bias" in layer.constants:
        y += layer.constants["bias"]
    return y


def images_a_product(layer: FloatLayer, out_hw: Sequence[int]) -> int:
    """How many images one product of matrices of a convolution takes: last bits may depend on it, not on the batch."""
    weight = layer.constants["weight"]
    taps = weight[0].size * layer.attributes["group"]
    return max(1, BLOCK_BYTES // (4 * math.prod(out_hw) * taps))


def _conv_block(x: Array, weight: Array, strides: Pair, group: int, apart: Pair, y: Array) -> None:
    """Convolve padded images into ``y``: one matrix product a group, or tap by tap where a group is one channel."""
    outputs, inputs = len(weight) // group, weight.shape[1]
    if inputs == outputs == 1:
        _depthwise(x, weight, strides, apart, y)
        return
    for g in range(group):
        ours = slice(g * outputs, (g + 1) * outputs)
        y[..., ours] = _dense(x[..., g * inputs : (g + 1) * inputs], weight[ours], strides, apart, y.shape[1:3])


def _dense(x: Array, weight: Array, strides: Pair, apart: Pair, out_hw: tuple[int, ...]) -> Array:
    """All windows as rows of a matrix, times the weights as a matrix."""
    outputs, inputs, kernel_h, kernel_w = weight.shape
    taps = np.ascontiguousarray(weight.transpose(2, 3, 1, 0)).reshape(-1, outputs)
    if kernel_h == kernel_w == 1:
        rows = x[:, :: strides[0], :: strides[1]][:, : out_hw[0], : out_hw[1]]
    elif apart != (1, 1):
        rows = np.stack([_tap(x, ky * apart[0], kx * apart[1], strides, out_hw)
                         for ky, kx in np.ndindex(kernel_h, kernel_w)], axis=3)  # fmt: skip
    else:
        # one row of a window, KW pixels of C channels, lies in one piece of memory: copy it in one piece
        lines = np.ascontiguousarray(x).reshape(*x.shape[:2], -1)
        rows = sliding_window_view(lines, (kernel_h, kernel_w * inputs), axis=(1, 2))
        rows = rows[:, :: strides[0], :: strides[1] * inputs]
    y: Array = rows.reshape(-1, len(taps)) @ taps
    return y.reshape(len(x), *out_hw, outputs)


def _depthwise(x: Array, weight: Array, strides: Pair, apart: Pair, y: Array) -> None:
    """Each channel has its own filter: multiply and add, tap by tap."""
    product = np.empty_like(y)
    y[:] = 0
    for ky, kx in np.ndindex(weight.shape[2:]):
        tap = _tap(x, ky * apart[0], kx * apart[1], strides, y.shape[1:3])
        np.multiply(tap, weight[:, 0, ky, kx], out=product)
        y += product


def _tap(x: Array, ky: int, kx: int, strides: tuple[int, int], out_hw: tuple[int, ...]) -> Array:
    """What one tap of the kernel sees at every window position, (N, OH, OW, C)."""
    bottom, right = ky + strides[0] * (out_hw[0] - 1) + 1, kx + strides[1] * (out_hw[1] - 1) + 1
    return x[:, ky : bottom : strides[0], kx : right : strides[1]]


def _pad(x: Array, pads: tuple[int, ...], value: float) -> Array:
    """Pixels of ``value`` around the images; ``pads`` is top, left, bottom, right."""
    top, left, bottom, right = pads
    if not any(pads):
        return x
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def fc(layer: FloatLayer, x: Array) -> Array:
    """y[n,o] = bias[o] + sum of x[n,k] * weight[o,k]; a feature map is flattened first."""
    y: Array = flatten(layer, x) @ layer.constants["weight"].T
    return y + layer.constants["bias"] if "bias" in layer.constants else y


# ------------------------------------------------------------------------------------------------------------- pooling


def maxpool(layer: FloatLayer, x: Array) -> Array:
    """Largest pixel of each window; padding never wins."""
    out_hw, pads = _pool_geometry(layer, x)
    padded, kernel, strides = _pad(x, pads, -np.inf), layer.attributes["kernel_shape"], layer.attributes["strides"]
    y = np.full((len(x), *out_hw, x.shape[3]), -np.inf, np.float32)
    for ky, kx in np.ndindex(kernel):
        np.maximum(y, _tap(padded, ky, kx, strides, out_hw), out=y)
    return y


def avgpool(layer: FloatLayer, x: Array) -> Array:
    """Mean of each window's pixels; padding is not counted."""
    out_hw, pads = _pool_geometry(layer, x)
    kernel, strides = layer.attributes["kernel_shape"], layer.attributes["strides"]
    padded = _pad(x, pads, 0.0)
    inside = _pad(np.ones((1, *x.shape[1:3], 1), np.float32), pads, 0.0)
    y = np.zeros((len(x), *out_hw, x.shape[3]), np.float32)
    count = np.zeros((1, *out_hw, 1), np.float32)
    for ky, kx in np.ndindex(kernel):
        y += _tap(padded, ky, kx, strides, out_hw)
        count += _tap(inside, ky, kx, strides, out_hw)
    return y / count


def _pool_geometry(layer: FloatLayer, x: Array) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Output size, and pads long enough for the windows that ceil_mode lets reach over the edge."""
    kernel, strides = layer.attributes["kernel_shape"], layer.attributes["strides"]
    top, left, bottom, right = layer.attributes["pads"]
    out_h, out_w = output_hw(x.shape[1:3], kernel, strides, (top, left, bottom, right), layer.attributes["ceil_mode"])
    bottom = max(bottom, (out_h - 1) * strides[0] + kernel[0] - x.shape[1] - top)
    right = max(right, (out_w - 1) * strides[1] + kernel[1] - x.shape[2] - left)
    return (out_h, out_w), (top, left, bottom, right)


def global_avgpool(layer: FloatLayer, x: Array) -> Array:
    """Mean over H and W, summed in float64; (N, 1, 1, C)."""
    return x.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)


# ---------------------------------------------------------------------------------------------------------- the others


def identity(layer: FloatLayer, x: Array) -> Array:
    """The input layer: x."""
    return x


def batchnorm(layer: FloatLayer, x: Array) -> Array:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta, the factor computed in float64."""
    gamma, beta, mean, var = (layer.constants[name] for name in ("gamma", "beta", "mean", "var"))
    factor = gamma / np.sqrt(var.astype(np.float64) + layer.attributes["epsilon"])
    y = x - mean
    y *= factor.astype(np.float32)
    y += beta
    return y


def relu(layer: FloatLayer, x: Array) -> Array:
    """max(x, 0), not above ``max`` where there is one."""
    y: Array = np.maximum(x, np.float32(0))
    if "max" in layer.attributes:
        np.minimum(y, np.float32(layer.attributes["max"]), out=y)
    return y


def add(layer: FloatLayer, x: Array, y: Array) -> Array:
    """x + y."""
    total: Array = x + y
    return total


def mul(layer: FloatLayer, x: Array, y: Array) -> Array:
    """x * y, of a y of one pixel at every pixel."""
    product: Array = x * y
    return product


def gather_channels(layer: FloatLayer, x: Array) -> Array:
    """Channel c is channel order[c]."""
    return x[..., layer.constants["order"].astype(np.int64)]


def concat(layer: FloatLayer, *xs: Array) -> Array:
    """The operands side by side along the channels."""
    return np.concatenate(xs, axis=-1)


def pad_channels(layer: FloatLayer, x: Array) -> Array:
    """Zero channels before and after."""
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (layer.attributes["before"], layer.attributes["after"])))


def flatten(layer: FloatLayer, x: Array) -> Array:
    """Vectors (N, K) of a feature map's numbers in C, H, W order; vectors stay as they are."""
    return x if x.ndim == 2 else x.transpose(0, 3, 1, 2).reshape(len(x), math.prod(x.shape[1:]))


OPERATORS: dict[str, Callable[..., Array]] = {
    "input": identity,
    "conv": conv,
    "batchnorm": batchnorm,
    "relu": relu,
    "add": add,
    "concat": concat,
    "maxpool": maxpool,
    "avgpool": avgpool,
    "global_avgpool": global_avgpool,
    "pad_channels": pad_channels,
    "flatten": flatten,
    "fc": fc,
    "mul": mul,
    "gather_channels": gather_channels,
    **ACTIVATIONS,
}
