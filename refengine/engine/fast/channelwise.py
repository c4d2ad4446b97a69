"""Steps DEPTHWISE: each channel by itself, with weights that are counts, signs or shifts.

Depthwise convolutions, average pools, batchnorm, add and requantize; an add has two taps, one in each tensor.
"""

import numpy as np

from ...kernels.fast import depthwise, step
from ...network.int_network import IntLayer
from ...ops.avgpool import counts
from ...ops.batchnorm import CODE_SHIFT
from .compiler import Compiler, Fields, Sums, common_fields, pixels, taps_of, windows, wrapped, zeros_of

_MAX_WEIGHT = 2**15 - 1


def channelwise(
    compiler: Compiler, layer: IntLayer, sums: Sums, weight: np.ndarray, taps: np.ndarray
) -> list[Fields] | None:
    """weight int (C or 1, taps); taps int (taps) -> the one step, None where weights or taps leave their types."""
    if np.abs(weight).max() > _MAX_WEIGHT or np.abs(taps).max() >= 2**31:
        return None
    common = common_fields(compiler, layer, sums, step.DEPTHWISE)
    channels = common[step.CHANNELS]
    if taps.size % 2:  # taps come in pairs
        weight, taps = np.pad(weight, ((0, 0), (0, 1))), np.append(taps, taps[-1])
    rows = np.zeros((taps.size // 2, common[step.STORED], 2), np.int16)
    rows[:, :channels] = weight.reshape(len(weight), -1, 2).transpose(1, 0, 2)
    initial = np.zeros(common[step.STORED], np.int64)
    initial[:channels] = sums.bias - zeros_of(sums.source, weight)
    own = {
        step.TAPS: taps.size,
        step.OFFSETS: compiler.address(taps.astype(np.int32)),
        step.PANELS: compiler.address(rows),
        step.PANEL_COUNT: common[step.STORED] // depthwise.WIDTH,
        step.WIDTH: depthwise.WIDTH,
        step.INITIAL: compiler.address(wrapped(initial)),
    }
    return [common | own]


def batchnorm(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """One tap, weighted by the channel's sign."""
    sums = pixels(compiler, layer, layer.constants["bias"])
    weight = layer.constants["sign"].astype(np.int64)[:, None] << CODE_SHIFT
    return channelwise(compiler, layer, sums, weight, np.zeros(1, np.int64))


def requantize(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """One tap of weight 1."""
    return channelwise(compiler, layer, pixels(compiler, layer), np.ones((1, 1), np.int64), np.zeros(1, np.int64))


def add(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """Two taps, one in each tensor: they have the same border, so one distance leads from one to the other."""
    a, b = (compiler.buffers[name] for name in layer.inputs)
    if a.bytes.shape != b.bytes.shape:
        return None
    first, second = (np.int64(1) << shift for shift in layer.attributes["shifts"])
    bias = np.array([(a.zero - b.zero) * second])  # the zeros are taken out as if both were a's
    sums = Sums(a, a.pixels(), bias)
    taps = np.array([0, b.address - a.address])
    return channelwise(compiler, layer, sums, np.array([[first, second]]), taps)


def avgpool(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """As many taps of weight 1 as a window has; None where windows differ in size."""
    source = compiler.buffers[layer.inputs[0]]
    if len(np.unique(counts(source.shape, **layer.attributes))) > 1:
        return None
    kernel_h, kernel_w = layer.attributes["kernel_shape"]
    taps = taps_of(source, kernel_h, kernel_w)
    sums = windows(compiler, layer, np.zeros(1, np.int64))
    return channelwise(compiler, layer, sums, np.ones((1, taps.size), np.int64), taps)


def global_avgpool(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """As many taps of weight 1 as the image has pixels."""
    source = compiler.buffers[layer.inputs[0]]
    taps = taps_of(source, *source.shape[:2])
    starts = source.offsets(np.zeros(1, int), np.zeros(1, int))
    sums = Sums(source, starts, np.zeros(1, np.int64))
    return channelwise(compiler, layer, sums, np.ones((1, taps.size), np.int64), taps)
