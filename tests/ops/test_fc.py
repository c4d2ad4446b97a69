"""Fully connected layers (contract, section Fc)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.numbers.formats import INT4, INT8_WEIGHT, TERNARY
from refengine.ops import conv, fc

BOTH = pytest.mark.parametrize("run", [fc.reference, fc.kernels], ids=["reference", "kernels"])


@pytest.mark.parametrize("w_format", [TERNARY, INT4, INT8_WEIGHT], ids=["ternary", "int4", "int8"])
@given(data=st.data())
def test_it_gives_the_integers_of_the_oracle(w_format, data):
    """Vectors and images, by definition and by kernel."""
    x, case = data.draw(strategies.fc_cases(w_format))
    expected = oracle.fc(x, **case)
    for run in (fc.reference, fc.kernels):
        acc = run(x, **case)
        assert acc.dtype == np.int32
        assert acc.shape[1:] == fc.output_shape(x.shape[1:], **case)
        assert dict(np.ndenumerate(acc)) == expected


@given(strategies.fc_cases())
def test_partial_sums_times_scales_add_up(case):
    """bias + sum of scale * P is the accumulator (C3)."""
    x, keywords = case
    partial = fc.partial_sums(x, **keywords)
    acc = keywords["bias"] + (keywords["scale"].astype(np.int64) * partial).sum(axis=-1)
    np.testing.assert_array_equal(acc, fc.reference(x, **keywords))


@BOTH
@given(case=strategies.fc_cases())
def test_an_image_does_not_see_its_neighbours(run, case):
    """Batches of one equal the batch (P1)."""
    x, keywords = case
    whole = run(x, **keywords)
    for n in range(len(x)):
        np.testing.assert_array_equal(run(x[n : n + 1], **keywords)[0], whole[n])


@given(x=strategies.images(max_size=3, max_channels=3), data=st.data())
def test_it_is_the_convolution_whose_kernel_is_the_image(x, data):
    """Weights in the order C, H, W; clusters of whole channels (Fc1, Flatten1)."""
    _, height, width, channels = x.shape
    case = data.draw(strategies.clustered_weights(2, channels, (height, width), INT4))
    bias = data.draw(strategies.biases(2))
    window = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}
    expected = conv.reference(x, bias=bias, **case, **window)[:, 0, 0]
    flat = {"weight": case["weight"].reshape(2, -1), "cluster": case["cluster"] * height * width}
    np.testing.assert_array_equal(fc.kernels(x, bias=bias, **case | flat), expected)


@given(strategies.fc_cases())
def test_bound_is_the_contract(case):
    """As for a 1x1 convolution (A2)."""
    x, keywords = case
    codes = (-128, 127) if x.dtype == np.int8 else (0, 255)
    lo, hi = fc.bound(codes, shape=x.shape[1:], **keywords)
    filters = keywords | {"weight": keywords["weight"][:, :, None, None]}
    assert list(zip(lo.tolist(), hi.tolist(), strict=True)) == oracle.conv_bound(codes, **filters)


def test_a_wrong_size_is_refused():
    """The message counts the inputs after flattening."""
    weight, scale, bias = np.zeros((2, 5), np.int8), np.zeros((2, 1), np.int8), np.zeros(2, np.int32)
    with pytest.raises(
        NetworkError, match=r"^input of shape \(1, 1, 6\) has not the 5 channels that the weights expect$"
    ):
        fc.output_shape((1, 2, 3), weight=weight, scale=scale, bias=bias, cluster=5)
