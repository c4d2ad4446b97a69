"""Where windows lie (contract W1-W3), and the kernels of dilated convolutions (T7)."""

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.ops.window import check_pool, output_hw, output_size, reach, spread, spread_size


def test_sizes_of_every_small_window_are_those_counted():
    """Sizes to 7, kernels and strides to 4, padding to 3, both modes: counted by placing windows one by one."""
    seen = 0
    for size in range(1, 8):
        for kernel in range(1, 5):
            for stride in range(1, 5):
                for before in range(4):
                    for after in range(4):
                        if size + before + after < kernel:
                            continue
                        for ceil_mode in (False, True):
                            window = (size, kernel, stride, before, after, ceil_mode)
                            assert output_size(*window) == oracle.output_size(*window), window
                            seen += 1
    assert seen > 3000


@given(
    size=st.integers(1, 300),
    kernel=st.integers(1, 15),
    stride=st.integers(1, 20),
    before=st.integers(0, 14),
    after=st.integers(0, 14),
    ceil_mode=st.booleans(),
)
@example(size=4, kernel=2, stride=3, before=1, after=1, ceil_mode=True)
@example(size=112, kernel=3, stride=2, before=0, after=0, ceil_mode=True)
def test_sizes_of_larger_windows_are_those_counted(size, kernel, stride, before, after, ceil_mode):
    """The same at the sizes of real networks; and a pool's windows never lie in padding alone (W3)."""
    window = (size, kernel, stride, before, after, ceil_mode)
    if size + before + after < kernel:
        with pytest.raises(NetworkError):
            output_size(*window)
        return
    count = output_size(*window)
    assert count == oracle.output_size(*window)
    if before < kernel and after < kernel:
        for start in range(-before, -before + count * stride, stride):
            assert start < size
            assert start + kernel > 0


def test_height_and_width_have_their_own_padding():
    """Height from top and bottom, width from left and right."""
    assert output_hw((5, 7), (2, 3), (1, 2), (1, 0, 2, 1)) == (7, 3)
    assert output_hw((6, 6), (3, 3), (2, 2), (0, 0, 0, 0), ceil_mode=True) == (3, 3)
    assert output_hw((5, 5), (2, 2), (3, 3), (2, 0, 0, 2), ceil_mode=True) == (3, 2)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_a_spread_kernel_has_its_taps_apart_and_zeros_between(high, wide, down, across):
    weight = np.arange(1, 2 * high * wide + 1).reshape(2, 1, high, wide)
    found = spread(weight, (down, across))
    assert found.shape[2:] == (spread_size(high, down), spread_size(wide, across))
    taps = {(o, 0, y * down, x * across): int(weight[o, 0, y, x]) for o, _, y, x in np.ndindex(*weight.shape)}
    assert {place: int(value) for place, value in np.ndenumerate(found) if value} == taps


def test_a_kernel_that_does_not_fit_is_refused():
    """The message gives the sum that it does not fit into."""
    with pytest.raises(NetworkError, match=r"^a kernel of 5 does not fit into 2 \+ 1 \+ 1 pixels$"):
        output_size(2, 5, 1, 1, 1)


@pytest.mark.parametrize("pads", [(2, 0, 0, 0), (0, 3, 0, 0), (0, 0, 2, 0), (0, 0, 0, 3)])
def test_padding_as_large_as_a_pool_is_refused(pads):
    """Each side against its own axis of the kernel (W3)."""
    with pytest.raises(NetworkError) as caught:
        check_pool((9, 9, 1), (2, 3), pads)
    assert str(caught.value) == f"padding {pads} leaves windows of (2, 3) that hold no pixel"
    check_pool((9, 9, 1), (2, 3), tuple(pad - 1 if pad else 0 for pad in pads))


def test_only_images_are_pooled():
    """A flattened tensor has no windows."""
    with pytest.raises(NetworkError, match=r"^pools an image \(H, W, C\), found shape \(12,\)$"):
        check_pool((12,), (2, 2), (0, 0, 0, 0))


def touched(size, kernel, stride, before, after, ceil_mode):
    """How far windows go beyond an axis on both sides, pixel by pixel."""
    pixels = [
        place * stride - before + tap
        for place in range(output_size(size, kernel, stride, before, after, ceil_mode))
        for tap in range(kernel)
    ]
    return -min(*pixels, 0), max(*pixels, size - 1) - size + 1


@given(
    st.tuples(st.integers(3, 9), st.integers(3, 9)),
    st.tuples(st.integers(2, 3), st.integers(2, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.booleans(),
)
def test_the_reach_of_windows_is_what_they_touch(hw, kernel, strides, pads, ceil_mode):
    above, below = touched(hw[0], kernel[0], strides[0], pads[0], pads[2], ceil_mode)
    left, right = touched(hw[1], kernel[1], strides[1], pads[1], pads[3], ceil_mode)
    assert reach(hw, kernel, strides, pads, ceil_mode) == (above, left, below, right)


def test_spread_weights_keep_their_type():
    for dtype in (np.int8, np.float32):
        assert spread(np.ones((1, 1, 2, 2), dtype), (2, 2)).dtype == dtype


def test_reach_takes_the_whole_windows_alone_by_default():
    arguments = (6, 6), (3, 3), (2, 2), (0, 0, 0, 0)
    assert reach(*arguments) == reach(*arguments, ceil_mode=False) != reach(*arguments, ceil_mode=True)
