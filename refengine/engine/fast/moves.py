"""Steps LARGEST, COPY and FILL: maxpool, and whatever only moves codes."""

from dataclasses import dataclass

import numpy as np

from ...kernels.fast import plan as kernel
from ...kernels.fast import step
from ...network.int_network import IntLayer
from ...ops import OPS
from ...ops.interface import sources
from .buffers import Buffer
from .compiler import Compiler, Fields, filled, per_image, pixel_steps
from .packing import widths


def maxpool(compiler: Compiler, layer: IntLayer) -> list[Fields]:
    """Places outside the image are replaced by the nearest inside, which a maximum does not notice."""
    source, to = compiler.buffers[layer.inputs[0]], compiler.buffers[layer.name]
    height, width = source.shape[:2]
    (kernel_h, kernel_w), (down, right) = layer.attributes["kernel_shape"], layer.attributes["strides"]
    top, left = layer.attributes["pads"][:2]
    y = np.clip(np.arange(to.shape[0])[:, None] * down - top + np.arange(kernel_h), 0, height - 1)
    x = np.clip(np.arange(to.shape[1])[:, None] * right - left + np.arange(kernel_w), 0, width - 1)
    rows, columns = y * source.row_bytes, x * source.stored
    offsets = rows[:, None, :, None] + columns[None, :, None, :]
    corner = source.offsets(np.zeros(1, int), np.zeros(1, int))
    starts = np.broadcast_to(corner, (compiler.images, *to.shape[:2]))
    common = {
        **pixel_steps(compiler, to),
        step.KIND: step.LARGEST,
        step.IMAGES: source.address,
        step.STARTS: compiler.address(starts),
        step.TAPS: kernel_h * kernel_w,
        step.OFFSETS: compiler.address(offsets.astype(np.int32)),
    }
    return [
        common | {step.CHANNEL: first, step.WIDTH: width, step.PANEL_COUNT: count}
        for first, width, count in widths(to.stored, kernel.LARGEST_WIDTHS)
    ]


def moved(compiler: Compiler, layer: IntLayer) -> list[Fields]:
    """Codes that only move: runs of neighbours, those of one tensor and one length in one step; zeros are filled."""
    to, reads = compiler.buffers[layer.name], [compiler.buffers[name] for name in layer.inputs]
    shapes = [compiler.network.shapes[name] for name in layer.inputs]
    runs = _runs(sources(OPS[layer.op], shapes, layer.arguments).reshape(to.shape), to, reads)
    steps = []
    for operand, length in sorted({(run.operand, run.length) for run in runs}):
        some = [run for run in runs if (run.operand, run.length) == (operand, length)]
        ends = _in_every_image(to, [run.end for run in some])
        if operand < 0:
            steps.append(filled(compiler, to, ends, length))
            continue
        starts = _in_every_image(reads[operand], [run.start for run in some])
        steps.append(
            {
                **per_image(compiler, to, len(some)),
                step.KIND: step.COPY,
                step.IMAGES: reads[operand].address,
                step.STARTS: compiler.address(starts),
                step.CODE_STARTS: compiler.address(ends),
                step.LENGTH: length,
            }
        )
    return steps


@dataclass(frozen=True)
class _Run:
    """Neighbouring codes of a pixel that come from neighbours, in bytes from an image's first; operand -1: zeros."""

    operand: int
    start: int
    end: int
    length: int


def _runs(found: np.ndarray, to: Buffer, reads: list[Buffer]) -> list[_Run]:
    """All runs of one image: ``found`` int64 (H, W, C) is what ``ops.interface.sources`` says."""
    operands = np.concatenate([np.full(np.prod(read.shape), number) for number, read in enumerate(reads)] + [[-1]])
    places = np.concatenate([_bytes_of(read).ravel() for read in reads] + [[0]])
    operand, place, end = operands[found], places[found], _bytes_of(to)
    breaks = np.ones(found.shape, bool)
    breaks[..., 1:] = np.diff(operand) != 0
    breaks[..., 1:] |= (np.diff(place) != 1) & (operand[..., 1:] >= 0)
    first = np.flatnonzero(breaks)
    lengths = np.diff(first, append=found.size)
    columns = (operand.ravel()[first], place.ravel()[first], end.ravel()[first], lengths)
    return [_Run(*run) for run in zip(*(column.tolist() for column in columns), strict=True)]


def _bytes_of(buffer: Buffer) -> np.ndarray:
    """Where each code of the first image lies: int64 (H, W, C), from the buffer's address."""
    return buffer.pixels()[0][:, :, None].astype(np.int64) + np.arange(buffer.shape[2])


def _in_every_image(buffer: Buffer, places: list[int]) -> np.ndarray:
    """The same places in every image: int32 (N, places)."""
    images, size = len(buffer.bytes), buffer.bytes[0].size
    return (np.arange(images)[:, None] * size + np.array(places)).astype(np.int32)
