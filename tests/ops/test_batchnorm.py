"""A batch norm of its own (contract, section Batchnorm)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.numbers.formats import TERNARY
from refengine.ops import batchnorm

BOTH = pytest.mark.parametrize("run", [batchnorm.reference, batchnorm.kernels], ids=["reference", "kernels"])


@st.composite
def cases(draw):
    """Codes of an image or a vector, with a sign and a bias for each channel."""
    x = draw(strategies.images(max_size=3))
    if draw(st.booleans()):
        x = x.reshape(len(x), -1)
    channels = x.shape[-1]
    return x, {"sign": draw(strategies.codes(TERNARY, channels)), "bias": draw(strategies.biases(channels))}


@BOTH
@given(case=cases())
def test_it_gives_the_integers_of_the_oracle(run, case):
    """Every accumulator, of images and of vectors."""
    x, keywords = case
    acc = run(x, **keywords)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == batchnorm.output_shape(x.shape[1:], **keywords)
    assert dict(np.ndenumerate(acc)) == oracle.batchnorm(x, **keywords)


@given(cases())
def test_bound_holds_and_is_reached(case):
    """Code, bias and their sum (A2)."""
    x, keywords = case
    codes = (-128, 127) if x.dtype == np.int8 else (0, 255)
    lo, hi = batchnorm.bound(codes, shape=x.shape[1:], **keywords)
    acc = [batchnorm.reference(np.full_like(x, code), **keywords) for code in codes]
    for partial in (*acc, keywords["bias"], np.zeros(1), *(a - keywords["bias"] for a in acc)):
        assert (lo <= partial).all()
        assert (partial <= hi).all()
    ends = [sorted(s * 256 * code for code in codes) for s in keywords["sign"].tolist()]
    assert lo.tolist() == [low + min(b, 0) for (low, _), b in zip(ends, keywords["bias"].tolist(), strict=True)]
    assert hi.tolist() == [high + max(b, 0) for (_, high), b in zip(ends, keywords["bias"].tolist(), strict=True)]


@pytest.mark.parametrize(("signs", "biases"), [(2, 3), (3, 2)])
def test_other_channels_are_refused(signs, biases):
    """The message gives the three sizes."""
    with pytest.raises(NetworkError) as caught:
        batchnorm.output_shape((4, 4, 3), sign=np.ones(signs, np.int8), bias=np.zeros(biases, np.int32))
    assert str(caught.value) == f"sign ({signs},) and bias ({biases},) do not fit the 3 channels of its input"
