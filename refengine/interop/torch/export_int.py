"""Integer networks in PyTorch: the engine's integers, with gradients that pass straight through the roundings.

Codes are float32 tensors (N, C, H, W) or (N, C) that hold integers.  Sums are floats too, and exact: float32 as long as
no partial sum can reach 2**24, float64 beyond, and on graphics cards, whose convolutions may divide on the way.  What
is rounded is int64, as in the contract (Q1-Q3).  Backward, a code stands for the real that it rounds wherever it lies
strictly inside its range; at the ends nothing passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...errors import NetworkError
from ...network.int_network import IntLayer, IntNetwork
from ...network.units import result_divisor
from ...numbers.rounding import addends
from ...ops import OPS, conv, lookup
from ...ops.avgpool import shares
from ...ops.batchnorm import CODE_SHIFT
from ...ops.input import PIXEL_SHIFT
from ...ops.interface import sources
from ...ops.window import reach
from ...optional import package

ROUNDING = "half_up"
Observer = Callable[[IntLayer, Any, Any], None]

EXTRA = 'pip install "refengine[train]"'
_FLOAT32_INTEGERS = 2**24
_IN_CACHE = 2**17  # elements that are requantized at a time
_ONE_PIXEL: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


class IntForward:
    """The layers of an integer network, one after the other; ``used`` are those of the last call, by name.

    NetworkError for roundings other than half_up, for narrow accumulators that wrap or saturate, and for operators of
    which nothing is known here.
    """

    def __init__(self, network: IntNetwork) -> None:
        for layer in network.layers:
            if layer.op not in SUM and layer.op not in PASS and not OPS[layer.op].MOVES and layer.op not in WEIGHTED:
                known = ", ".join(name for name in OPS if name in {*SUM, *PASS, *WEIGHTED} or OPS[name].MOVES)
                raise NetworkError(f"layer {layer.name!r} ({layer.op}): unknown to PyTorch's export; it has: {known}")
            if layer.requantize is not None and layer.requantize.rounding != ROUNDING:
                raise NetworkError(f"layer {layer.name!r} rounds {layer.requantize.rounding}, needed {ROUNDING}")
            if layer.requantize is not None and layer.requantize.dynamic:
                raise NetworkError(f"layer {layer.name!r} has dynamic exponents, needed static ones")
            if layer.accumulator_policy != "error":
                raise NetworkError(f"layer {layer.name!r}: accumulators {layer.accumulator_policy}, needed 'error'")
        self.network = network
        self.used: dict[str, IntLayer] = {}

    def __call__(self, pixels: Any, observe: Observer | None = None) -> Any:
        """uint8 (N, C, H, W) -> logits (N, classes) as reals, integers times the worth of the last layer's steps.

        ``observe(layer, accumulator, result)`` sees every layer with the integers it used; accumulators int64, bias
        included, None where codes pass through.
        """
        tensors: dict[str, Any] = {}
        self.used = {}
        for layer in self.network.layers:
            operands = [tensors[name] for name in layer.inputs] or [pixels]
            acc = None
            if OPS[layer.op].ACCUMULATES:
                layer, acc = self.accumulate(layer, operands)
                layer, result = self.epilogue(layer, acc, None if layer.residual is None else tensors[layer.residual])
            else:
                result = PASS.get(layer.op, _moved)(layer, *operands)
            self.used[layer.name], tensors[layer.name] = layer, result
            if observe is not None:
                observe(layer, None if acc is None else biased(layer, acc), result)
        return result.movedim(1, -1).flatten(1) * (2.0**layer.exponent / result_divisor(self.network, layer))

    def accumulate(self, layer: IntLayer, operands: list[Any]) -> tuple[IntLayer, Any]:
        """The layer's sums, without its bias."""
        if layer.op in WEIGHTED:
            return layer, convolve(layer, operands[0])
        return layer, SUM[layer.op](layer, *operands)

    def epilogue(self, layer: IntLayer, acc: Any, residual: Any) -> tuple[IntLayer, Any]:
        """Codes of the sums, or the logits."""
        if layer.requantize is None:
            return layer, biased(layer, acc).double()
        return layer, functions().requantization.apply(acc, residual, None, None, layer, None)


@lru_cache
def pytorch() -> Any:
    """PyTorch; RefengineError where it is missing."""
    return package("torch", EXTRA)


# -------------------------------------------------------------------------------------------------------- exact layers


def column(values: Any, like: Any, dtype: Any = None) -> Any:
    """Numbers by channel (C), or one for all, as a tensor that broadcasts to ``like`` (N, C, ...)."""
    tensor = pytorch().tensor(np.array(values), dtype=dtype, device=like.device)
    return tensor.reshape(1, -1, *[1] * (like.ndim - 2))


def biased(layer: IntLayer, acc: Any) -> Any:
    """Accumulators as the engine has them: int64, bias included."""
    return acc.long() + column(layer.constants.get("bias", [0]), acc)


def convolve(layer: IntLayer, x: Any, weight: Any = None, unit: Any = None, gradients: Any = None) -> Any:
    """Sums of a conv or fc, without a bias: exact, and differentiable by x and by real weights like the codes.

    A product of code and scale stands for ``weight / unit``, unit (O); ``gradients`` is the type they are computed in.
    """
    torch, codes = pytorch(), layer.constants["weight"]
    window = _ONE_PIXEL
    if layer.op == "fc":
        x, codes = flatten(layer, x)[:, :, None, None], codes[:, :, None, None]
    else:
        window = {name: layer.attributes[name] for name in _ONE_PIXEL}
    products = conv.integer_weights(codes, layer.constants["scale"], layer.attributes["cluster"])
    wide = x.device.type != "cpu" or _peak(products) >= _FLOAT32_INTEGERS
    top, left, bottom, right = window["pads"]
    if (top, left) != (bottom, right):
        x, top, left = torch.nn.functional.pad(x, (left, right, top, bottom)), 0, 0
    geometry = (window["strides"], (top, left), window["group"])
    exact = torch.float64 if wide else torch.float32
    products = torch.as_tensor(products, device=x.device).to(exact, memory_format=torch.channels_last)
    acc = functions().convolution.apply(x, weight, products, unit, geometry, gradients or torch.float32)
    return acc.flatten(1) if layer.op == "fc" else acc


def _peak(products: np.ndarray) -> int:
    """What no partial sum of 8-bit codes exceeds."""
    return int(np.abs(products).reshape(len(products), -1).sum(axis=1, dtype=np.int64).max()) * 255


def requantized(layer: IntLayer, acc: Any, residual: Any) -> Any:
    """Contract Q1-Q3: codes, float32, of sums without their bias."""
    torch, step = pytorch(), layer.requantize
    if step is None:
        raise NetworkError(f"layer {layer.name!r} has no requantization")
    multiplier, shift = column(step.multiplier, acc), column(step.shift, acc)
    bias = layer.constants.get("bias", np.zeros(1, np.int64)).astype(np.int64)
    constant = column(bias * step.multiplier + addends(step.shift, ROUNDING)[..., 0], acc)
    residual_shift = None if step.residual_shift is None else column(step.residual_shift, acc)
    codes = torch.empty_like(acc, dtype=torch.float32)
    images = max(1, _IN_CACHE // acc[0].numel())
    for start in range(0, len(acc), images):
        some = slice(start, start + images)
        total = acc[some].long().mul_(multiplier).add_(constant)
        if residual is not None:
            total += residual[some].long() << residual_shift
        codes[some] = (total >> shift).clamp_(step.lo, step.hi)
    return codes


def _input(layer: IntLayer, pixels: Any) -> Any:
    torch = pytorch()
    ordered = pixels.flip(1) if layer.attributes["flip"] else pixels
    return ordered.to(torch.float32, memory_format=torch.channels_last) * 2**PIXEL_SHIFT


def _batchnorm(layer: IntLayer, x: Any) -> Any:
    return x * column(layer.constants["sign"], x) * 2**CODE_SHIFT


def _add(layer: IntLayer, a: Any, b: Any) -> Any:
    first, second = layer.attributes["shifts"]
    return a.double() * 2**first + b.double() * 2**second


def _avgpool(layer: IntLayer, x: Any) -> Any:
    window, shape = layer.attributes, (*x.shape[2:], x.shape[1])
    share = shares(shape, **window)
    windows = _whole_windows(layer, x.double(), 0.0)
    pool = pytorch().nn.functional.avg_pool2d
    sums = pool(windows, window["kernel_shape"], window["strides"], divisor_override=1)
    return sums * pytorch().as_tensor(share, device=x.device)


def _global_avgpool(layer: IntLayer, x: Any) -> Any:
    return x.double().sum((2, 3), keepdim=True)


def _lookup(layer: IntLayer, x: Any) -> Any:
    """Entries; backward they rise as from the entry before to the one behind."""
    torch, table = pytorch(), layer.constants["table"].astype(np.int64)
    codes = np.arange(-128, 256)
    near = [table[:, (codes + step) & (lookup.ENTRIES - 1)] for step in (0, 1, -1)]
    entries, above, below = (torch.as_tensor(rows, device=x.device).to(torch.float64) for rows in near)
    channel = torch.arange(x.shape[1], device=x.device).reshape(1, -1, *[1] * (x.ndim - 2)) % len(table)
    place = x.detach().long() + 128
    slope = ((above - below) / 2)[channel, place]
    return entries[channel, place] + slope * (x - x.detach()).double()


SUM: dict[str, Callable[..., Any]] = {
    "input": _input,
    "batchnorm": _batchnorm,
    "add": _add,
    "avgpool": _avgpool,
    "global_avgpool": _global_avgpool,
    "requantize": lambda layer, x: x,
    "lookup": _lookup,
    "mul": lambda layer, a, b: a.double() * b.double(),
}


WEIGHTED = ("conv", "fc")  # by ``convolve``


def flatten(layer: IntLayer, x: Any) -> Any:
    """Vectors (N, K) in the order C, H, W."""
    return x.flatten(1)


def _maxpool(layer: IntLayer, x: Any) -> Any:
    pool = pytorch().nn.functional.max_pool2d
    return pool(_whole_windows(layer, x, -np.inf), layer.attributes["kernel_shape"], layer.attributes["strides"])


def _pad_channels(layer: IntLayer, x: Any) -> Any:
    return pytorch().nn.functional.pad(x, (0, 0, 0, 0, layer.attributes["before"], layer.attributes["after"]))


PASS: dict[str, Callable[..., Any]] = {
    "maxpool": _maxpool,
    "concat": lambda layer, *xs: pytorch().cat(xs, 1),
    "pad_channels": _pad_channels,
    "flatten": flatten,
    "gather_channels": lambda layer, x: x[:, pytorch().as_tensor(layer.constants["order"].astype(np.int64))],
}


def _moved(layer: IntLayer, *xs: Any) -> Any:
    """Codes that only move, by their numbers in the operands laid end to end; the last number is code 0."""
    torch = pytorch()
    channels_last = [x.movedim(1, -1) for x in xs]
    found = sources(OPS[layer.op], [tuple(x.shape[1:]) for x in channels_last], layer.arguments)
    together = torch.cat([*(x.flatten(1) for x in channels_last), xs[0].new_zeros(len(xs[0]), 1)], 1)
    order = torch.as_tensor(found % together.shape[1], device=xs[0].device)
    return together[:, order].movedim(-1, 1)


def _whole_windows(layer: IntLayer, x: Any, value: float) -> Any:
    """The images with pixels of ``value`` around, as many as the windows reach over the edges (contract W)."""
    top, left, bottom, right = reach(x.shape[2:], **layer.attributes)
    return pytorch().nn.functional.pad(x, (left, right, top, bottom), value=value)


# ----------------------------------------------------------------------------------------------------------- gradients


@dataclass(frozen=True)
class Functions:
    """torch.autograd.Functions: sums of products, and requantization."""

    convolution: Any
    requantization: Any


@lru_cache
def functions() -> Functions:
    """Made late, since their base class is torch's."""
    torch: Any = pytorch()

    class Convolution(torch.autograd.Function):
        """(x, weight, products, unit, (strides, padding, group), type of the gradients) -> sums."""

        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, products: Any, unit: Any, window: Any, gradients: Any) -> Any:
            ctx.save_for_backward(x.to(gradients), products.to(gradients), unit)
            ctx.window = window
            strides, padding, group = window
            return torch.nn.functional.conv2d(x.to(products.dtype), products, None, strides, padding, 1, group)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, products, unit = ctx.saved_tensors
            strides, padding, group = ctx.window
            wanted = [*ctx.needs_input_grad[:2], False]
            grad_x, grad_products, _ = torch.ops.aten.convolution_backward(
                grad.to(x.dtype), x, products, None, strides, padding, [1, 1], False, [0, 0], group, wanted
            )
            grad_weight = grad_products.float() / unit[:, None, None, None] if wanted[1] else None
            return grad_x.float() if wanted[0] else None, grad_weight, None, None, None, None

    class Requantization(torch.autograd.Function):
        """(sums, residual, gamma, beta, layer, moments) -> codes.

        With ``moments``, the mean and 1 / sqrt(var + epsilon) of these sums (C), the gradient is that of a batch norm.
        """

        @staticmethod
        def forward(ctx: Any, acc: Any, residual: Any, gamma: Any, beta: Any, layer: IntLayer, moments: Any) -> Any:
            codes = requantized(layer, acc, residual)
            ctx.save_for_backward(None if moments is None else acc.float(), codes, gamma)
            ctx.layer, ctx.moments = layer, moments
            return codes

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            acc, codes, gamma = ctx.saved_tensors
            step, unit = ctx.layer.requantize, 2.0**-ctx.layer.exponent
            grad = grad * ((codes > step.lo) & (codes < step.hi))
            grad_residual = grad_gamma = grad_beta = None
            if step.residual_shift is not None:
                grad_residual = grad * 2.0 ** int(step.residual_shift[0] - step.shift[0])
            if ctx.moments is None:
                if ctx.needs_input_grad[3]:
                    grad_beta = grad.transpose(0, 1).flatten(1).sum(1) * unit
                factor = step.multiplier * np.ldexp(1.0, -step.shift)
                grad_acc = grad * column(factor, grad, torch.float32)
            else:
                grad_acc, grad_gamma, grad_beta = torch.ops.aten.native_batch_norm_backward(
                    grad, acc, gamma.abs() * unit, None, None, *ctx.moments, True, 0.0, [True, True, True]
                )
                grad_gamma = grad_gamma * unit * torch.where(gamma < 0, -1.0, 1.0)
                grad_beta = grad_beta * unit
            return grad_acc, grad_residual, grad_gamma, grad_beta, None, None

    return Functions(Convolution, Requantization)
