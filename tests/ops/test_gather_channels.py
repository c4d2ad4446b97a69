"""Channels by their numbers (contract, section Gather_channels)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.ops import gather_channels

BOTH = pytest.mark.parametrize(
    "run", [gather_channels.reference, gather_channels.kernels], ids=["reference", "kernels"]
)


@BOTH
@given(x=strategies.images(max_size=3, max_channels=4), data=st.data())
def test_it_gives_the_codes_of_the_oracle(run, x, data):
    """Any channels, in any order, as often as wanted."""
    order = np.array(data.draw(st.lists(st.integers(0, x.shape[-1] - 1), min_size=1, max_size=6)), np.int32)
    moved = run(x, order=order)
    assert moved.dtype == x.dtype
    assert moved.shape[1:] == gather_channels.output_shape(x.shape[1:], order=order)
    assert dict(np.ndenumerate(moved)) == oracle.gather_channels(x, order=order)


@given(x=strategies.images(max_size=2, max_channels=4), data=st.data())
def test_an_order_and_its_inverse_give_the_codes_back(x, data):
    order = np.array(data.draw(st.permutations(range(x.shape[-1]))), np.int32)
    there = gather_channels.reference(x, order=order)
    np.testing.assert_array_equal(gather_channels.reference(there, order=np.argsort(order)), x)


@pytest.mark.parametrize("order", [[-1, 0], [0, 3]])
def test_channels_that_do_not_exist_are_refused(order):
    with pytest.raises(
        NetworkError, match=rf"^order names channels {min(order)}\.\.{max(order)}, its input has 0\.\.2$"
    ):
        gather_channels.output_shape((2, 2, 3), order=np.array(order, np.int32))
