"""conv and fc as steps CONV, CLUSTERS and CROSSED: products of windows and panels.

Grouped convolutions are products whose panels read only the channels of their groups.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...kernels.fast import plan as kernel
from ...kernels.fast import step
from ...network.int_network import IntLayer
from ...ops.conv import integer_weights
from .buffers import Buffer
from .channelwise import channelwise
from .cluster_packing import Chains, chains_of, packed_clusters
from .compiler import Compiler, Fields, Sums, common_fields, taps_of, windows, wrapped, zeros_of
from .packing import Panels, in_reading_order, missing, panels, widths

_PLACE = 4  # bytes of a place are a multiple of it


def conv(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """Products of windows and panels, or channel by channel where each group is one channel."""
    weight, group = _weight(layer), layer.attributes["group"]
    sums = windows(compiler, layer, layer.constants["bias"])
    if group == len(weight) and weight.shape[1] == 1:
        return channelwise(compiler, layer, sums, weight.reshape(group, -1), taps_of(sums.source, *weight.shape[2:]))
    return _product(compiler, layer, sums, weight, group)


def fc(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """Products of one window, which is as large as the image."""
    source = compiler.buffers[layer.inputs[0]]
    height, width, channels = source.shape
    weight = _weight(layer).reshape(-1, channels, height, width)
    starts = source.offsets(np.zeros(1, int), np.zeros(1, int))
    return _product(compiler, layer, Sums(source, starts, layer.constants["bias"]), weight, 1)


def _weight(layer: IntLayer) -> np.ndarray:
    """Integer weights, scales multiplied in: int32 (O, I, KH, KW)."""
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    return weight.reshape(*weight.shape, *[1] * (4 - weight.ndim))


def _product(compiler: Compiler, layer: IntLayer, sums: Sums, weight: np.ndarray, group: int) -> list[Fields]:
    chains = chains_of(layer, sums.source.stored, kernel.TARGET)
    if chains is not None:
        return _clustered(compiler, layer, sums, weight, chains)
    common = common_fields(compiler, layer, sums, step.CONV)
    begun = np.zeros(common[step.STORED], np.int64)
    begun[: len(weight)] = sums.bias - zeros_of(sums.source, weight)
    steps = []
    for first, width, count in widths(common[step.STORED], kernel.TARGET.widths):
        for part in _parts(weight, group, first, width, count):
            places, length = _places(sums.source, part)
            rows = in_reading_order(part.by_place(), part.channels(sums.source), length)
            begun[part.first : part.first + len(rows)] += missing(rows, kernel.TARGET)
            for packed in panels(rows, part.first, width, kernel.TARGET.dense):
                steps.append(
                    common
                    | _panelled(compiler, common, begun, packed, packed.limbs)
                    | {
                        step.IMAGES: sums.source.address + part.channel,
                        step.TAPS: len(places),
                        step.OFFSETS: compiler.address(places),
                        step.LENGTH: length,
                    }
                )
    return steps


def _clustered(compiler: Compiler, layer: IntLayer, sums: Sums, weight: np.ndarray, chains: Chains) -> list[Fields]:
    """Panels of codes and scales, for codes whose products with their scale do not fit one limb."""
    common = common_fields(compiler, layer, sums, step.CROSSED if chains.crossed else step.CLUSTERS)
    offsets = chains.offsets(weight.shape[3], sums.source.stored, sums.source.row_bytes)
    bias = sums.bias - zeros_of(sums.source, weight)
    return [
        common
        | {step.CHAINS: len(offsets), step.PLACES: offsets.shape[1], step.OFFSETS: compiler.address(offsets)}
        | _panelled(
            compiler,
            common,
            bias,
            Panels(first, width, packed_clusters(layer, chains, kernel.TARGET, first, width, count)),
            1,
        )
        for first, width, count in widths(common[step.STORED], kernel.TARGET.cluster_widths)
    ]


@dataclass(frozen=True, eq=False)
class _Part:
    """Panels that read the same input channels: weights int32 (O, I, KH, KW) of the outputs from ``first`` on.

    ``channel`` is the first input channel; whole: the panels read all channels of a pixel.
    """

    first: int
    weight: np.ndarray
    channel: int
    whole: bool

    def channels(self, source: Buffer) -> int:
        """Channels of a tap, as they are stored."""
        return source.stored if self.whole else self.weight.shape[1]

    def by_place(self) -> np.ndarray:
        """The weights as (O, I, places, taps of a place)."""
        return self.weight if self.whole else self.weight.reshape(*self.weight.shape[:2], -1, 1)


def _parts(weight: np.ndarray, group: int, first: int, width: int, count: int) -> Iterator[_Part]:
    """The weights of ``count`` panels; those of grouped convolutions one by one, with zeros between groups."""
    outputs, inputs = weight.shape[:2]
    if group == 1:
        rows = np.zeros((width * count, *weight.shape[1:]), np.int32)
        rows[: outputs - first] = weight[first : first + len(rows)]
        yield _Part(first, rows, 0, True)
        return
    outputs_of_group = outputs // group
    for start in range(first, first + width * count, width):
        end = min(start + width, outputs)
        q_first, q_last = start // outputs_of_group, max(start, end - 1) // outputs_of_group
        if start >= outputs:
            q_first = q_last = 0
        rows = np.zeros((width, (q_last - q_first + 1) * inputs, *weight.shape[2:]), np.int32)
        for o in range(start, end):
            q = o // outputs_of_group - q_first
            rows[o - start, q * inputs : (q + 1) * inputs] = weight[o]
        yield _Part(start, rows, q_first * inputs, False)


def _places(source: Buffer, part: _Part) -> tuple[np.ndarray, int]:
    """Where the places of a window begin, and how many bytes each has: kernel rows, or single taps of some channels."""
    kernel_h, kernel_w = part.weight.shape[2:]
    if part.whole:
        length = kernel_w * source.stored
        return taps_of(source, kernel_h, 1), -(-length // _PLACE) * _PLACE
    return taps_of(source, kernel_h, kernel_w), -(-part.weight.shape[1] // _PLACE) * _PLACE


def _panelled(compiler: Compiler, common: Fields, bias: np.ndarray, packed: Panels, limbs: int) -> Fields:
    initial = np.zeros((limbs, common[step.STORED]), np.int64)
    initial[-1, : len(bias)] = bias
    return {
        step.PANELS: compiler.address(packed.weights),
        step.PANEL_BYTES: packed.weights[0].nbytes,
        step.PANEL_COUNT: packed.count,
        step.LIMBS: limbs,
        step.WIDTH: packed.width,
        step.CHANNEL: packed.first,
        step.INITIAL: compiler.address(wrapped(initial)),
    }
