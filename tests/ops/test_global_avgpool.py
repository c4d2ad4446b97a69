"""Average of a channel, as a sum (contract, section Global_avgpool)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given

from refengine.errors import NetworkError
from refengine.ops import avgpool, global_avgpool

BOTH = pytest.mark.parametrize("run", [global_avgpool.reference, global_avgpool.kernels], ids=["reference", "kernels"])


@BOTH
@given(x=strategies.images())
def test_it_gives_the_integers_of_the_oracle(run, x):
    """Sums over height and width."""
    acc = run(x)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == global_avgpool.output_shape(x.shape[1:])
    assert dict(np.ndenumerate(acc)) == oracle.global_avgpool(x)


@BOTH
@given(x=strategies.images())
def test_it_is_the_pool_of_one_window(run, x):
    """With L = H * W."""
    window = {"kernel_shape": x.shape[1:3], "strides": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False}
    np.testing.assert_array_equal(run(x), avgpool.reference(x, **window))


@given(strategies.images())
def test_bound_holds_and_is_reached(x):
    """H * W times the ends of the format (A2)."""
    codes = (-128, 127) if x.dtype == np.int8 else (0, 255)
    ends = global_avgpool.bound(codes, shape=x.shape[1:])
    for code, end in zip(codes, ends, strict=True):
        assert set(global_avgpool.reference(np.full_like(x, code)).ravel().tolist()) == set(end.tolist())


def test_only_images_are_averaged():
    """A flattened tensor has no pixels."""
    with pytest.raises(NetworkError, match=r"^averages an image \(H, W, C\), found shape \(12,\)$"):
        global_avgpool.output_shape((12,))


def test_bound_holds_0_where_no_code_is_0():
    assert [int(end[0]) for end in global_avgpool.bound((4, 9), shape=(2, 3, 1))] == [0, 54]
    assert [int(end[0]) for end in global_avgpool.bound((-9, -4), shape=(2, 3, 1))] == [-54, 0]
