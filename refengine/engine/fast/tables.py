"""input and lookup as steps LOOKUP: a pixel has 256 values, so its code stands in a table."""

import numpy as np

from ...kernels.fast import plan as kernel
from ...kernels.fast import step
from ...network.int_network import IntLayer
from ...numbers import requantize
from ...numbers.accumulator import confine
from ...numbers.rounding import round_shift
from ...ops import OPS
from .compiler import Compiler, Fields, block, pixel_steps


def pixel_table(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """One table a channel: what a stored byte each pixel value becomes.  The walker reads the caller's images."""
    if layer.requantize is None or layer.residual is not None:
        return None
    height, width, channels = compiler.buffers[layer.name].shape
    values = np.arange(256, dtype=np.uint8)[:, None] + np.zeros(channels, np.uint8)
    acc = OPS["input"].reference(values, **layer.arguments)
    order = np.arange(channels)[::-1] if layer.attributes["flip"] else np.arange(channels)
    rows = np.arange(compiler.images * height, dtype=np.int32) * width * channels
    return [_tabled(compiler, layer, layer.requantize, acc, order, rows) | {step.PIXEL_BYTES: channels}]


def code_table(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """One table a channel: what a stored byte each byte as it is stored becomes."""
    if layer.requantize is None:
        return None
    source, channels = compiler.buffers[layer.inputs[0]], compiler.buffers[layer.name].shape[2]
    addresses = (np.arange(256) ^ source.zero)[:, None] + np.zeros(channels, np.int64)
    acc = OPS["lookup"].reference(addresses, **layer.arguments)
    rows = source.pixels()[:, :, 0]
    fields = {step.IMAGES: source.address, step.PIXEL_BYTES: source.stored}
    return [_tabled(compiler, layer, layer.requantize, acc, np.arange(channels), rows) | fields]


def _tabled(
    compiler: Compiler,
    layer: IntLayer,
    rescale: requantize.Requantize,
    acc: np.ndarray,
    order: np.ndarray,
    rows: np.ndarray,
) -> Fields:
    """Rows of pixels through tables: acc int32 (256, C) are the sums of all bytes, ``rows`` where each row begins."""
    to = compiler.buffers[layer.name]
    height, width, channels = to.shape
    codes, events = _codes_of_bytes(layer, rescale, acc)
    return {
        **pixel_steps(compiler, to),
        step.KIND: step.LOOKUP,
        step.PIXELS: compiler.images * height,
        step.PER_IMAGE: height,
        step.BLOCK: block(compiler.images * height),
        step.STARTS: compiler.address(rows),
        step.RUN: width,
        step.CODE_STARTS: compiler.address(to.pixels()[:, :, 0]),
        step.SOURCE_CHANNELS: compiler.address(order.astype(np.int32)),
        step.CODE_TABLES: compiler.address((codes.view(np.uint8) ^ to.zero).T),
        step.PANEL_COUNT: channels,
        step.EVENT_TABLES: compiler.address(events.T) if compiler.counted else 0,
    }


def _codes_of_bytes(layer: IntLayer, rescale: requantize.Requantize, acc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The code of each of 256 sums (256, C), and which of ``kernel.EVENTS`` each counts as: u8, a bit each."""
    confined = acc
    if layer.accumulator_bits < 32:
        confined = np.stack([_confined(value, layer) for value in acc])
    rounded = round_shift(requantize.total(confined, rescale), rescale.shift, rescale.rounding)
    happens = {
        kernel.BELOW: rounded < rescale.lo,
        kernel.ABOVE: rounded > rescale.hi,
        kernel.OVERFLOWED: confined != acc,
    }
    events = np.bitwise_or.reduce([where.astype(np.uint8) << event for event, where in happens.items()])
    return requantize.clip(rounded, rescale), events


def _confined(acc: np.ndarray, layer: IntLayer) -> np.ndarray:
    return confine(acc, layer.accumulator_bits, layer.accumulator_policy)[0]
