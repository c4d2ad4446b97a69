"""Orders of an image's axes: blocks of channels lie where plain Python says, and come back as they were."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.vectors.orders import Order, blocked, order_of

AXES = ["".join(letters) for letters in permutations("HWC")]


def test_blocks_of_channels():
    assert order_of("nchw8c") == Order("CHW", 8)
    assert order_of("HWC16c") == Order("HWC", 16, images=False)
    assert [order_of(name).name for name in ("NCHW8C", "chw4c", "NHWC")] == ["NCHW8c", "CHW4c", "NHWC"]
    made, filling = order_of("NCHW2c").as_trace(np.arange(2 * 3 * 4 * 6), (3, 4, 5))
    assert (made.shape, filling.shape) == ((2, 3, 4, 5), (2, 3, 4, 1))
    assert made[0, 1, 2].tolist() == [12, 13, 36, 37, 60]  # blocks of two channels, 24 places apart
    assert filling[0, 1, 2].tolist() == [61]


@pytest.mark.parametrize(
    "order", ["", "N", "NCH", "NHWCC", "CNHW", "abcd", "NNCHW", "\n", "NCHW0c", "NCHWc", "NCHW8", "8c", "NCHW8cc"]
)
def test_what_is_no_order(order):
    with pytest.raises(RangeError, match="--order is") as caught:
        order_of(order)
    assert "\n" not in str(caught.value)
    assert blocked(order) is None


@given(st.sampled_from(AXES), st.sampled_from([None, 1, 2, 3, 8]), st.tuples(*[st.integers(1, 5)] * 3))
def test_a_channel_lies_in_its_block(axes, block, shape):
    """c is lane c % block of block c // block; the other axes run as the order's letters say."""
    image = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    order = Order(axes, block)
    length = {"H": shape[0], "W": shape[1], "C": -(-shape[2] // (block or 1))}
    wanted = [0] * (length["H"] * length["W"] * length["C"] * (block or 1))
    for (y, x, c), value in np.ndenumerate(image):
        place = {"H": y, "W": x, "C": c // (block or 1)}
        number = 0
        for axis in axes:
            number = number * length[axis] + place[axis]
        wanted[number * (block or 1) + c % (block or 1)] = int(value)
    stored = order.as_stored(image)
    assert stored.reshape(-1).tolist() == wanted
    assert stored.shape == order.stored_shape(shape)
    back, filling = order.as_trace(stored.reshape(1, -1), shape)
    np.testing.assert_array_equal(back[0], image)
    assert not filling.any()
