"""Where the fast plan keeps tensors: bytes with a border of zeros, channels filled up to whole vectors.

The border is as wide as the padding of the windows that read the tensor, so that a window never leaves its buffer.
INT8 codes are stored plus 128, so that all bytes are unsigned and larger codes are larger bytes; what a sum has of the
128 is taken out of its bias.

All buffers lie in one arena.  Small networks give each its own place; others use a place again once its tensor has been
read for the last time, so that memory is bounded by what is alive at one time and not by the depth of the network.  A
border that another tensor may have overwritten is filled again in each run (``Buffer.shared``).
"""

import math
from dataclasses import dataclass

import numpy as np

from ...errors import RangeError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers.formats import INT8
from ...ops.window import reach

VECTOR = 16
MAX_BYTES = 2**31 - 2**10  # offsets are 32 bits wide
SMALL = 2**22  # bytes of a network that gives each tensor its own place
LARGE = 2**22  # bytes from which NumPy asks for large pages
_BLOCK = 2**25
_NO_BYTES = np.zeros(0, np.uint8)
_ALIGNMENT = 64
_SLACK = 64  # what the last window may read beyond its buffer
_FEW = 4

Border = tuple[int, int, int, int]
_NO_BORDER: Border = (0, 0, 0, 0)


class Store:
    """Copies of arrays at addresses that stay: what kernels read beside codes.

    They lie together in large blocks, for which systems can use large pages of memory: weights are read from end to
    end in each run, and small pages would cost a look-up every few vectors.
    """

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._left = _NO_BYTES

    def address(self, array: np.ndarray) -> int:
        """Where a copy of the array begins, a multiple of 64."""
        size = _aligned(array.nbytes)
        if size > self._left.size:
            self._blocks.append(aligned(max(size, _BLOCK)))
            self._left = self._blocks[-1]
        place, self._left = self._left[: array.nbytes], self._left[size:]
        place.view(array.dtype).reshape(array.shape)[:] = array
        return place.ctypes.data


def aligned(size: int) -> np.ndarray:
    """Bytes that begin at a multiple of 64."""
    place = np.empty(max(size, LARGE) + _ALIGNMENT, np.uint8)
    return place[-place.ctypes.data % _ALIGNMENT :][:size]


@dataclass(frozen=True, eq=False)
class Buffer:
    """Where a tensor's codes live: bytes (N, top + H + bottom, left + W + right, filled channels).

    zero: what code 0 is stored as.  shared: whether the place holds other tensors at other times.
    """

    bytes: np.ndarray
    shape: tuple[int, int, int]
    border: Border
    zero: int
    shared: bool = False

    @property
    def stored(self) -> int:
        """Channels of a pixel, filled up."""
        return self.bytes.shape[3]

    @property
    def address(self) -> int:
        """Where the border of the first image begins."""
        return self.bytes.ctypes.data

    @property
    def row_bytes(self) -> int:
        """From one pixel to the one below it."""
        return self.bytes.shape[2] * self.stored

    @property
    def inside(self) -> np.ndarray:
        """The tensor without its border, filled channels included."""
        top, left = self.border[:2]
        return self.bytes[:, top : top + self.shape[0], left : left + self.shape[1]]

    def codes(self, count: int) -> np.ndarray:
        """The codes of the first images (N, H, W, C), uint8 or int8: a copy."""
        stored = self.inside[:count, ..., : self.shape[2]]
        return (stored ^ 128).view(np.int8) if self.zero else stored.copy()

    def put(self, codes: np.ndarray) -> None:
        """Store the codes of the first images, (N, H, W, C) or (N, K), and the border's zeros."""
        self.bytes[:] = self.zero
        stored = codes.view(np.uint8) ^ 128 if self.zero else codes
        self.inside[: len(codes), ..., : self.shape[2]] = stored.reshape(len(codes), *self.shape)

    def offsets(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Where the pixels rows x columns of every image begin, bytes from ``address``: int32 (N, rows, columns)."""
        images, height, width, channels = self.bytes.shape
        y, x = rows[:, None] + self.border[0], columns + self.border[1]
        pixels = (np.arange(images)[:, None, None] * height + y) * width + x
        return (pixels * channels).astype(np.int32)

    def pixels(self) -> np.ndarray:
        """Where each pixel of every image begins: int32 (N, H, W)."""
        return self.offsets(np.arange(self.shape[0]), np.arange(self.shape[1]))


def buffers(network: IntNetwork, images: int, kept: frozenset[str] = frozenset()) -> dict[str, Buffer]:
    """A buffer for each layer's codes; those of the layers ``kept`` are still there after a run.

    RangeError where a tensor of that many images is larger than 32-bit offsets reach.
    """
    borders = borders_of(network)
    shapes = {layer.name: _full_shape(network, images, layer, borders[layer.name]) for layer in network.layers}
    sizes = {name: _aligned(math.prod(shape) + _SLACK) for name, shape in shapes.items()}
    apart = sum(sizes.values()) <= SMALL
    firsts = _one_after_the_other(sizes) if apart else first_fit(sizes, lifetimes(network, kept))
    total = max(first + sizes[name] for name, first in firsts.items())
    arena = aligned(total)
    arena[:] = 0
    made = {}
    for layer in network.layers:
        zero = 128 if network.formats[layer.name] == INT8 else 0
        place = arena[firsts[layer.name] :][: math.prod(shapes[layer.name])]
        if apart:
            place[:] = zero
        shape = network.shapes[layer.name]
        height_width_channels = shape if len(shape) == 3 else (1, 1, shape[0])
        made[layer.name] = Buffer(
            place.reshape(shapes[layer.name]), height_width_channels, borders[layer.name], zero, not apart
        )
    return made


def borders_of(network: IntNetwork) -> dict[str, Border]:
    """The widest padding with which each layer's result is read; operands of a sum have one border."""
    borders = dict.fromkeys((layer.name for layer in network.layers), _NO_BORDER)

    def widen(name: str, border: Border) -> None:
        top, left, bottom, right = map(max, borders[name], border)
        borders[name] = (top, left, bottom, right)

    for layer in network.layers:
        if layer.op == "conv":
            widen(layer.inputs[0], layer.attributes["pads"])
        if layer.op == "avgpool":
            widen(layer.inputs[0], reach(network.shapes[layer.inputs[0]][:2], **layer.attributes))
    for _ in network.layers:
        before = dict(borders)
        for layer in network.layers:
            if layer.op == "add":
                for name, other in (layer.inputs, layer.inputs[::-1]):
                    widen(name, borders[other])
        if before == borders:
            break
    return borders


def filled(channels: int) -> int:
    """Channels filled up to whole vectors."""
    return -(-channels // VECTOR) * VECTOR


def _full_shape(network: IntNetwork, images: int, layer: IntLayer, border: Border) -> tuple[int, int, int, int]:
    """(N, H, W, C) with border and filled channels; an image of few channels that only tiles read stays narrow."""
    shape = network.shapes[layer.name]
    height, width, channels = shape if len(shape) == 3 else (1, 1, shape[0])
    readers = [other for other in network.layers if layer.name in (*other.inputs, other.residual)]
    narrow = channels <= _FEW and layer.op == "input"
    narrow = narrow and all(other.op == "conv" and other.attributes["group"] == 1 for other in readers)
    narrow = narrow and all(other.residual != layer.name for other in readers)
    top, left, bottom, right = border
    full = (images, top + height + bottom, left + width + right, _FEW if narrow else filled(channels))
    if math.prod(full) > MAX_BYTES:
        raise RangeError(
            f"{images} images at a time need {math.prod(full)} bytes for layer {layer.name!r}, a buffer has {MAX_BYTES}"
        )
    return full


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _one_after_the_other(sizes: dict[str, int]) -> dict[str, int]:
    firsts, end = {}, 0
    for name, size in sizes.items():
        firsts[name] = end
        end += size
    return firsts


def lifetimes(network: IntNetwork, kept: frozenset[str]) -> dict[str, tuple[int, int]]:
    """The first and the last layer, by position, during which each result must not be overwritten."""
    lives = {layer.name: (position, position) for position, layer in enumerate(network.layers)}
    for position, layer in enumerate(network.layers):
        for name in (*layer.inputs, *([] if layer.residual is None else [layer.residual])):
            lives[name] = (lives[name][0], position)
    end = len(network.layers)
    return {name: (first, end if name in kept or last == end - 1 else last) for name, (first, last) in lives.items()}


def first_fit(sizes: dict[str, int], lives: dict[str, tuple[int, int]]) -> dict[str, int]:
    """The lowest place for each tensor that no tensor alive at the same time takes."""
    firsts: dict[str, int] = {}
    for name, size in sizes.items():
        begin = lives[name][0]
        taken = sorted((firsts[other], firsts[other] + sizes[other]) for other in firsts if lives[other][1] >= begin)
        place = 0
        for start, end in taken:
            if start - place >= size:
                break
            place = max(place, end)
        firsts[name] = place
    return firsts
