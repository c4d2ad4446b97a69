"""The fast plan: an IntNetwork compiled for a batch, with the same bits as its definition.

Convolutions that the fused kernel covers become rows of a table that one call walks: sums in registers, rescale,
residual and clip, straight into the next layer's buffer.  Every other layer runs through the existing kernels.
Which is which changes no bit: no sum can leave its accumulator (contract A2), so its order is free.
"""

import numpy as np

from ..errors import RangeError
from ..kernels import plan as kernel
from ..network.int_network import IntLayer, IntNetwork
from ..ops.requantize import Draws
from .buffers import Buffer, borders_of, new_buffer
from .packing import is_depthwise, packed, packed_depthwise, panels, tables
from .run import check_images, run_layer

_SEGMENT = 16
_BLOCK = 96


class Plan:
    """A network compiled for batches of up to ``images`` images.

    ``run`` works in the plan's own buffers: one call at a time, a plan for each thread.
    """

    def __init__(self, network: IntNetwork, images: int) -> None:
        self.network = network
        self.images = images
        borders = borders_of(network)
        self._buffers = {
            layer.name: new_buffer(images, network, layer, borders[layer.name]) for layer in network.layers[:-1]
        }
        self._code_starts: list[np.ndarray] = []
        self._residual_starts: list[np.ndarray] = []
        self._kept: list[np.ndarray] = []
        self._parts: list[np.ndarray | tuple[int, IntLayer]] = []
        rows: list[list[int]] = []
        for position, layer in enumerate(network.layers):
            fused = tables(network, layer, position == len(network.layers) - 1)
            if fused is not None:
                rows += self._rows(layer, *fused)
                continue
            if rows:
                self._parts.append(np.array(rows, np.int64))
                rows = []
            self._parts.append((position, layer))
        if rows:
            self._parts.append(np.array(rows, np.int64))
        self._starts = tuple(
            np.concatenate(starts) if starts else np.zeros(0, np.int32)
            for starts in (self._residual_starts, self._code_starts)
        )

    def run(self, pixels: np.ndarray, first_image: int = 0) -> np.ndarray:
        """uint8 (N, H, W, C), N at most the plan's images -> logits int32 (N, classes)."""
        check_images(self.network, pixels)
        count = len(pixels)
        if count > self.images:
            raise RangeError(f"the plan is for {self.images} images at a time, found {count}")
        logits = np.zeros((0, 0), np.int32)
        for part in self._parts:
            if isinstance(part, np.ndarray):
                kernel.walk(part, *self._starts)
                continue
            position, layer = part
            operands = [self._codes(name)[:count] for name in layer.inputs] or [pixels]
            residual = None if layer.residual is None else self._codes(layer.residual)[:count]
            result = run_layer(layer, operands, residual, "kernels", Draws(position, first_image)).result
            if layer is self.network.layers[-1]:
                logits = result.reshape(count, -1).astype(np.int32)
            else:
                self._buffers[layer.name].put(result)
        return logits

    def _codes(self, name: str) -> np.ndarray:
        codes = self._buffers[name].codes()
        return codes.reshape(len(codes), -1) if len(self.network.shapes[name]) == 1 else codes

    def _rows(self, layer: IntLayer, table: np.ndarray, exact: np.ndarray) -> list[list[int]]:
        """The steps of one convolution: one for each width of panels.  One of the two tables is empty."""
        x, y = self._buffers[layer.inputs[0]], self._buffers[layer.name]
        lo, hi = self.network.ranges[layer.name]
        code_starts = y.offsets(np.arange(y.shape[0])[:, None], np.arange(y.shape[1])[None])
        common = {
            kernel.IMAGES: x.bytes.ctypes.data,
            kernel.STARTS: self._keep(_window_starts(layer, x, y)),
            kernel.TABLE: self._keep(table),
            kernel.EXACT_TABLE: self._keep(exact),
            kernel.TABLE_WIDTH: y.bytes.shape[3],
            kernel.CODES: y.bytes.ctypes.data,
            kernel.CODE_STARTS: _appended(self._code_starts, code_starts),
            kernel.LO: lo + y.zero,
            kernel.HI: hi + y.zero,
            kernel.ZERO: y.zero,
            kernel.PIXELS: len(code_starts),
            kernel.BLOCK: _BLOCK,
        }
        if layer.residual is not None:
            r = self._buffers[layer.residual]
            starts = r.offsets(np.arange(r.shape[0])[:, None], np.arange(r.shape[1])[None])
            common |= {
                kernel.RESIDUAL: r.bytes.ctypes.data,
                kernel.RESIDUAL_STARTS: _appended(self._residual_starts, starts),
                kernel.RESIDUAL_ZERO: r.zero,
            }
        if is_depthwise(layer):
            return [_row(common | self._channelwise(layer, x))]
        widths = panels(y.bytes.shape[3], kernel.RUNG.widths)
        return [_row(common | self._panelled(layer, x, *width)) for width in widths]

    def _channelwise(self, layer: IntLayer, x: Buffer) -> dict[int, int]:
        """What a depthwise step has of its own: a table of taps and its weights."""
        rows, columns = layer.constants["weight"].shape[2:]
        taps = (np.arange(rows)[:, None] * x.bytes.shape[2] + np.arange(columns)) * x.bytes.shape[3]
        return {
            kernel.TAPS: taps.size,
            kernel.TAP_OFFSETS: self._keep(taps.astype(np.int32).ravel()),
            kernel.PANELS: self._keep(packed_depthwise(layer)),
        }

    def _panelled(self, layer: IntLayer, x: Buffer, first: int, width: int, count: int) -> dict[int, int]:
        """What a step of ``count`` panels has of its own: where their segments lie and their weights."""
        segment = -(-layer.constants["weight"].shape[3] * x.bytes.shape[3] // _SEGMENT) * _SEGMENT
        weights, panel_bytes, second = packed(layer, x.bytes.shape[3], segment, first, width, count)
        return {
            kernel.SEGMENTS: layer.constants["weight"].shape[2],
            kernel.STRIDE: x.bytes.shape[2] * x.bytes.shape[3],
            kernel.LENGTH: segment,
            kernel.PANELS: self._keep(weights),
            kernel.PANEL_BYTES: panel_bytes,
            kernel.PANEL_COUNT: count,
            kernel.WIDTH: width,
            kernel.SECOND_LIMB: second,
            kernel.CHANNEL: first,
        }

    def _keep(self, array: np.ndarray) -> int:
        """The address of an array that lives as long as the plan; 0 for an empty one."""
        self._kept.append(array)
        return array.ctypes.data if array.size else 0


def _row(fields: dict[int, int]) -> list[int]:
    return [fields.get(field, 0) for field in range(kernel.FIELDS)]


def _appended(parts: list[np.ndarray], part: np.ndarray) -> int:
    """Append an array that will stand behind the others; returns where it begins."""
    place = sum(map(len, parts))
    parts.append(part)
    return place


def _window_starts(layer: IntLayer, x: Buffer, y: Buffer) -> np.ndarray:
    """Where each output pixel's window begins in the input's buffer."""
    (top, left), (down, right) = layer.attributes["pads"][:2], layer.attributes["strides"]
    return x.offsets(np.arange(y.shape[0])[:, None] * down - top, np.arange(y.shape[1])[None] * right - left)
