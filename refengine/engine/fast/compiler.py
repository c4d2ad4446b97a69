"""What the steps of a plan share: buffers, addresses, windows, and the fields that many steps have.

A step is a row of integers, by field (``kernels/fast/step.py``); here it is a dict from field to integer.
"""

from dataclasses import dataclass, field

import numpy as np

from ...kernels.fast import plan as kernel
from ...kernels.fast import step
from ...kernels.fast.epilogue import LIFT
from ...network.int_network import IntLayer, IntNetwork
from .buffers import Buffer, Store
from .packing import exact_table, table

Fields = dict[int, int]


@dataclass(eq=False)
class Compiler:
    """What all steps of one plan share.

    accumulators: int32 (N * pixels, filled channels) of the layers whose accumulators are kept.  counted: whether
    clipped values are counted.  store: the arrays whose addresses stand in steps.
    """

    network: IntNetwork
    buffers: dict[str, Buffer]
    images: int
    counted: bool
    traced: frozenset[str]
    accumulators: dict[str, np.ndarray] = field(default_factory=dict)
    store: Store = field(default_factory=Store)

    def address(self, array: np.ndarray) -> int:
        """The address of a copy that lives as long as the plan."""
        return self.store.address(array)

    def is_last(self, layer: IntLayer) -> bool:
        """Whether the layer gives the logits."""
        return layer is self.network.layers[-1]


@dataclass(frozen=True, eq=False)
class Sums:
    """A layer's accumulators as a sum over the taps of windows.

    starts: where each window of ``source`` begins, int32 (N, OH, OW).  bias int (O), in the layer's unit.
    """

    source: Buffer
    starts: np.ndarray
    bias: np.ndarray


def windows(compiler: Compiler, layer: IntLayer, bias: np.ndarray) -> Sums:
    """Windows that slide over the tensor that the layer reads."""
    source, to = compiler.buffers[layer.inputs[0]], compiler.buffers[layer.name]
    (top, left), (down, right) = layer.attributes["pads"][:2], layer.attributes["strides"]
    starts = source.offsets(np.arange(to.shape[0]) * down - top, np.arange(to.shape[1]) * right - left)
    return Sums(source, starts, bias)


def pixels(compiler: Compiler, layer: IntLayer, bias: np.ndarray | None = None) -> Sums:
    """Windows of one pixel."""
    source = compiler.buffers[layer.inputs[0]]
    return Sums(source, source.pixels(), np.zeros(1, np.int64) if bias is None else bias)


def taps_of(source: Buffer, kernel_h: int, kernel_w: int) -> np.ndarray:
    """Where the taps of a window lie from its first one: int32 (KH*KW)."""
    rows, columns = np.arange(kernel_h)[:, None] * source.row_bytes, np.arange(kernel_w) * source.stored
    return (rows + columns).astype(np.int32).ravel()


def zeros_of(source: Buffer, weight: np.ndarray) -> np.ndarray:
    """What code 0 as it is stored adds to each sum."""
    return source.zero * weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)


def wrapped(values: np.ndarray) -> np.ndarray:
    """Modulo 2**32, as registers hold it: sums that start so end right, because the bound holds for their end."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def common_fields(compiler: Compiler, layer: IntLayer, sums: Sums, kind: int) -> Fields:
    """What every step of a layer has that accumulates."""
    to = compiler.buffers[layer.name]
    fields = {
        **pixel_steps(compiler, to),
        step.KIND: kind,
        step.IMAGES: sums.source.address,
        step.STARTS: compiler.address(sums.starts),
        step.LIMBS: 1,
        step.ACCUMULATOR_BITS: layer.accumulator_bits,
        step.SATURATES: layer.accumulator_policy == "saturate",
    }
    if layer.name in compiler.traced or layer.requantize is None:
        kept = np.zeros((fields[step.PIXELS], to.stored), np.int32)
        compiler.accumulators[layer.name] = kept
        fields[step.SUMS] = kept.ctypes.data
    return fields | _epilogue(compiler, layer, to, kind)


def _epilogue(compiler: Compiler, layer: IntLayer, to: Buffer, kind: int) -> Fields:
    """How accumulators become codes; nothing for those that are the logits."""
    rescale = layer.requantize
    if rescale is None:
        return {}
    fields = {step.LO: rescale.lo + to.zero, step.HI: rescale.hi + to.zero, step.ZERO: to.zero}
    narrow = table(compiler.network, layer, rescale, to.zero)
    if narrow is None:
        fields[step.EXACT_TABLE] = compiler.address(exact_table(rescale, to.shape[2]))
    else:
        later = compiler.counted or (kind != step.DEPTHWISE and narrow[LIFT].any())
        fields[step.LATER_TABLE if later else step.TABLE] = compiler.address(narrow)
    if layer.residual is not None:
        residual = compiler.buffers[layer.residual]
        fields[step.RESIDUAL] = residual.address
        fields[step.RESIDUAL_STARTS] = compiler.address(residual.pixels())
        fields[step.RESIDUAL_ZERO] = residual.zero
    return fields


def pixel_steps(compiler: Compiler, to: Buffer) -> Fields:
    """What every step has that writes each pixel of a tensor."""
    return {
        **per_image(compiler, to, to.shape[0] * to.shape[1]),
        step.STORED: to.stored,
        step.CHANNELS: to.shape[2],
        step.CODE_STARTS: compiler.address(to.pixels()),
    }


def per_image(compiler: Compiler, to: Buffer, count: int) -> Fields:
    """What every step has that writes so many places of each image."""
    return {
        step.PIXELS: compiler.images * count,
        step.PER_IMAGE: count,
        step.BLOCK: block(compiler.images * count),
        step.PANEL_COUNT: 1,
        step.CODES: to.address,
    }


def block(pixels: int) -> int:
    """Pixels of an item: as many blocks as are needed, all of about the same size, so that no small one is left over.

    >>> block(196), block(49), block(12544)
    (66, 49, 96)
    """
    blocks = -(-pixels // kernel.BLOCK_PIXELS)
    return -(-pixels // blocks)


def border(compiler: Compiler, buffer: Buffer) -> list[Fields]:
    """Zeros around every image, where another tensor may have been since the last run."""
    if not buffer.shared or not any(buffer.border):
        return []
    top, left, bottom, right = buffer.border
    height, width = buffer.shape[:2]
    inside, every = np.arange(height), np.arange(-left, width + right)
    outside = np.r_[np.arange(-top, 0), np.arange(height, height + bottom)]
    runs = [
        (buffer.offsets(outside, every[:1]), len(every)),
        (buffer.offsets(inside, every[:1]), left),
        (buffer.offsets(inside, np.array([width])), right),
    ]
    return [filled(compiler, buffer, starts, pixels * buffer.stored) for starts, pixels in runs if starts.size * pixels]


def filled(compiler: Compiler, to: Buffer, starts: np.ndarray, length: int) -> Fields:
    """Zeros from each of the places on."""
    count = starts.size // compiler.images
    return {
        step.KIND: step.FILL,
        step.PIXELS: starts.size,
        step.PER_IMAGE: count,
        step.BLOCK: count,
        step.PANEL_COUNT: 1,
        step.CODES: to.address,
        step.CODE_STARTS: compiler.address(starts),
        step.LENGTH: length,
        step.ZERO: to.zero,
    }
