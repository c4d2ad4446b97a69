"""Pixels to accumulators (contract, section Input)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refengine.errors import NetworkError
from refengine.numbers.formats import UINT8
from refengine.ops import input as input_op

BOTH = pytest.mark.parametrize("run", [input_op.reference, input_op.kernels], ids=["reference", "kernels"])


@st.composite
def cases(draw):
    """Pixels, a bias for each channel, flipped or not."""
    pixel = draw(strategies.images(UINT8))
    bias = draw(arrays(np.int32, pixel.shape[3], elements=st.integers(-(2**17), 2**17)))
    return pixel, {"bias": bias, "flip": draw(st.booleans())}


@BOTH
@given(case=cases())
def test_it_gives_the_integers_of_the_oracle(run, case):
    """Pixel times 256 plus bias, channels reversed where that is asked for."""
    pixel, keywords = case
    acc = run(pixel, **keywords)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == input_op.output_shape(pixel.shape[1:], **keywords)
    assert dict(np.ndenumerate(acc)) == oracle.input(pixel, **keywords)


@given(cases())
def test_the_bias_is_in_the_order_of_the_network(case):
    """Flipping pixels and not the bias is what flip does."""
    pixel, keywords = case
    flipped = input_op.reference(pixel[..., ::-1], bias=keywords["bias"], flip=not keywords["flip"])
    np.testing.assert_array_equal(input_op.reference(pixel, **keywords), flipped)


@given(cases())
def test_bound_holds(case):
    """Pixel, bias, and their sum (A2)."""
    pixel, keywords = case
    lo, hi = input_op.bound((0, 255), shape=pixel.shape[1:], **keywords)
    for partial in (input_op.reference(pixel, **keywords), pixel[..., None].astype(np.int64) * 256, keywords["bias"]):
        assert (lo <= partial).all()
        assert (partial <= hi).all()
    assert hi.tolist() == [255 * 256 + max(b, 0) for b in keywords["bias"].tolist()]
    assert lo.tolist() == [min(b, 0) for b in keywords["bias"].tolist()]


def test_other_channels_are_refused():
    """A gray image is no RGB image."""
    with pytest.raises(NetworkError, match=r"^images have 1 channels, the network wants 3$"):
        input_op.output_shape((4, 4, 1), bias=np.zeros(3, np.int32), flip=False)
