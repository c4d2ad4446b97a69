"""Where the windows of convolutions and pools lie (contract, section Windows).

    output = floor((size + before + after - kernel) / stride) + 1

With ``ceil_mode`` the quotient is rounded up instead, less a last window that would start in the padding after.
"""

from ..errors import NetworkError


def output_size(size, kernel, stride, before, after, ceil_mode=False):
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


def output_hw(hw, kernel_shape, strides, pads, ceil_mode=False):
    """Output height and width; ``pads`` is top, left, bottom, right (contract W1)."""
    top, left, bottom, right = pads
    return (
        output_size(hw[0], kernel_shape[0], strides[0], top, bottom, ceil_mode),
        output_size(hw[1], kernel_shape[1], strides[1], left, right, ceil_mode),
    )


def check_pool(shape, kernel_shape, pads):
    """NetworkError unless (H, W, C) is pooled and every window holds at least one pixel of it (contract W3)."""
    if len(shape) != 3:
        raise NetworkError(f"pools an image (H, W, C), found shape {shape}")
    if any(pads[axis] >= kernel_shape[axis % 2] for axis in range(4)):
        raise NetworkError(f"padding {tuple(pads)} leaves windows of {tuple(kernel_shape)} that hold no pixel")
