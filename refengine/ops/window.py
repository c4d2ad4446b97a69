"""Where the windows of convolutions and pools lie (contract, section Windows).

    output = floor((size + before + after - kernel) / stride) + 1

With ``ceil_mode`` the quotient is rounded up instead, less a last window that would start in the padding after.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import NetworkError
from .interface import FLAG, Array, Attribute, Pair, Shape, Sides

POOL = {
    "kernel_shape": Attribute(1, count=2),
    "strides": Attribute(1, count=2),
    "pads": Attribute(0, count=4),
    "ceil_mode": FLAG,
}


def output_size(size: int, kernel: int, stride: int, before: int, after: int, ceil_mode: bool = False) -> int:
    """Number of window positions along one axis (contract W1, W2).

    >>> output_size(5, 3, 2, 0, 0), output_size(6, 3, 2, 0, 0), output_size(6, 3, 2, 0, 0, ceil_mode=True)
    (2, 2, 3)
    """
    span = size + before + after - kernel
    if span < 0:
        raise NetworkError(f"a kernel of {kernel} does not fit into {size} + {before} + {after} pixels")
    count = (span + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + before:
        count -= 1
    return count


def output_hw(
    hw: Sequence[int], kernel_shape: Sequence[int], strides: Sequence[int], pads: Sequence[int], ceil_mode: bool = False
) -> Pair:
    """Output height and width; ``pads`` is top, left, bottom, right (contract W1)."""
    top, left, bottom, right = pads
    return (
        output_size(hw[0], kernel_shape[0], strides[0], top, bottom, ceil_mode),
        output_size(hw[1], kernel_shape[1], strides[1], left, right, ceil_mode),
    )


def spread_size(kernel: int, dilation: int) -> int:
    """Pixels from a kernel's first tap to its last one, both counted, where taps lie ``dilation`` pixels apart."""
    return (kernel - 1) * dilation + 1


def spread(weight: Array, dilations: Pair) -> Array:
    """Weights (O, I, KH, KW) of a dilated convolution as those of a plain one: zeros between the taps (contract T7).

    >>> spread(np.array([[[[5, 7]]]]), (3, 2)).ravel()
    array([5, 0, 7])
    """
    if dilations == (1, 1):
        return weight
    kernel = [spread_size(size, step) for size, step in zip(weight.shape[2:], dilations, strict=True)]
    wide = np.zeros((*weight.shape[:2], *kernel), weight.dtype)
    wide[:, :, :: dilations[0], :: dilations[1]] = weight
    return wide


def reach(
    hw: Sequence[int], kernel_shape: Sequence[int], strides: Sequence[int], pads: Sequence[int], ceil_mode: bool = False
) -> Sides:
    """Pixels beside the image that windows touch: above, left, below, right; other than ``pads`` after the image.

    >>> reach((4, 6), (3, 3), (2, 2), (1, 1, 1, 1)), reach((4, 4), (3, 3), (2, 2), (0, 0, 0, 0), ceil_mode=True)
    ((1, 1, 0, 0), (0, 0, 1, 1))
    """
    below, right = (
        max(0, (count - 1) * stride + size - before - side)
        for count, stride, size, side, before in zip(
            output_hw(hw, kernel_shape, strides, pads, ceil_mode), strides, kernel_shape, hw, pads[:2], strict=True
        )
    )
    return pads[0], pads[1], below, right


def check_pool(shape: Shape, kernel_shape: Pair, pads: Sides) -> None:
    """NetworkError unless (H, W, C) is pooled and every window holds at least one pixel of it (contract W3)."""
    if len(shape) != 3:
        raise NetworkError(f"pools an image (H, W, C), found shape {shape}")
    if any(pads[axis] >= kernel_shape[axis % 2] for axis in range(4)):
        raise NetworkError(f"padding {tuple(pads)} leaves windows of {tuple(kernel_shape)} that hold no pixel")
