"""Where the fast plan keeps tensors: bytes with a border of zeros, channels filled up to whole vectors.

The border is as wide as the padding of the convolutions that read the tensor, so that a window never leaves its buffer.
INT8 codes are stored plus 128, so that all bytes are unsigned; what a tile sums of the 128 is taken out of the bias.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import RangeError
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import INT8

VECTOR = 16
MAX_BYTES = 2**31 - 2**10  # offsets are 32 bits wide
_SLACK = 64
_FEW = 4


@dataclass(frozen=True, eq=False)
class Buffer:
    """Where a tensor's codes live: bytes (N, top + H + bottom, left + W + right, filled channels) and some slack."""

    bytes: np.ndarray
    shape: tuple[int, int, int]
    border: tuple[int, int, int, int]
    zero: int

    @property
    def inside(self) -> np.ndarray:
        """The tensor without its border, filled channels included."""
        top, left = self.border[:2]
        return self.bytes[:, top : top + self.shape[0], left : left + self.shape[1]]

    def codes(self) -> np.ndarray:
        """The codes (N, H, W, C), uint8 or int8."""
        stored = self.inside[..., : self.shape[2]]
        return (stored ^ 128).view(np.int8) if self.zero else np.ascontiguousarray(stored)

    def put(self, codes: np.ndarray) -> None:
        """Store the codes of the first images, (N, H, W, C) or (N, K)."""
        stored = codes.view(np.uint8) ^ 128 if self.zero else codes
        self.inside[: len(codes), ..., : self.shape[2]] = stored.reshape(len(codes), *self.shape)

    def offsets(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Where the pixels (rows x columns) of every image begin, in bytes: int32 (N * rows * columns)."""
        images, height, width, channels = self.bytes.shape
        y, x = rows + self.border[0], columns + self.border[1]
        pixels = (np.arange(images)[:, None, None] * height + y) * width + x
        return (pixels * channels).astype(np.int32).ravel()


def borders_of(network: IntNetwork) -> dict[str, tuple[int, int, int, int]]:
    """The widest padding with which each layer's result is read by a convolution."""
    borders: dict[str, tuple[int, int, int, int]] = {layer.name: (0, 0, 0, 0) for layer in network.layers}
    for layer in network.layers:
        if layer.op == "conv":
            name = layer.inputs[0]
            top, left, bottom, right = map(max, borders[name], layer.attributes["pads"])
            borders[name] = (top, left, bottom, right)
    return borders


def new_buffer(images: int, network: IntNetwork, layer: IntLayer, border: tuple[int, int, int, int]) -> Buffer:
    """A buffer of zeros for the layer's result; images of few channels stay narrow."""
    shape = network.shapes[layer.name]
    height, width, channels = shape if len(shape) == 3 else (1, 1, shape[0])
    stored = _FEW if channels <= _FEW and layer.op == "input" else filled(channels)
    zero = 128 if network.formats[layer.name] is INT8 else 0
    top, left, bottom, right = border
    full = (images, top + height + bottom, left + width + right, stored)
    if math.prod(full) > MAX_BYTES:
        raise RangeError(
            f"{images} images at a time need {math.prod(full)} bytes for layer {layer.name!r}, a buffer has {MAX_BYTES}"
        )
    place = np.full(math.prod(full) + _SLACK, zero, np.uint8)
    return Buffer(place[: math.prod(full)].reshape(full), (height, width, channels), border, zero)


def filled(channels: int) -> int:
    """Channels filled up to whole vectors."""
    return -(-channels // VECTOR) * VECTOR
