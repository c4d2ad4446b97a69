"""Product of two tensors (contract, section Mul)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.ops import mul

BOTH = pytest.mark.parametrize("run", [mul.reference, mul.kernels], ids=["reference", "kernels"])


@st.composite
def pairs(draw):
    """A tensor, and one of its shape or of one pixel, of any formats."""
    a = draw(strategies.images(max_size=3, max_channels=3))
    shape = draw(st.sampled_from([a.shape, (len(a), 1, 1, a.shape[3])]))
    return a, draw(strategies.codes(draw(strategies.activation_formats), shape))


@BOTH
@given(pair=pairs())
def test_it_gives_the_integers_of_the_oracle(run, pair):
    acc = run(*pair)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == mul.output_shape(*(x.shape[1:] for x in pair))
    assert dict(np.ndenumerate(acc)) == oracle.mul(*pair)


@pytest.mark.parametrize("one", [(-128, 127), (0, 255), (0, 255 << 7), (-128 << 7, 127 << 7)])
@pytest.mark.parametrize("other", [(-128, 127), (0, 255), (0, 255 << 7), (-128 << 7, 127 << 7)])
def test_bound_holds_and_is_reached_and_fits_int32(one, other):
    """Dynamic codes, 7 bits longer, too (A2, A6)."""
    lo, hi = (int(end[0]) for end in mul.bound(one, other))
    products = [a * b for a in one for b in other]
    assert (lo, hi) == (min(0, *products), max(0, *products))
    assert -(2**31) <= lo <= hi < 2**31


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3, 4), (2, 3, 1)), ((2, 3, 4), (1, 1, 3)), ((1, 1, 4), (2, 3, 4)), ((4,), (1, 1, 4))]
)
def test_other_shapes_are_refused(a, b):
    with pytest.raises(
        NetworkError, match=r"^multiplies .* by .*, needed the same shape, or one pixel of as many channels$"
    ):
        mul.output_shape(a, b)


def test_bound_holds_0_where_no_code_is_0():
    assert [int(end[0]) for end in mul.bound((4, 9), (2, 3))] == [0, 27]
    assert [int(end[0]) for end in mul.bound((4, 9), (-3, -2))] == [-27, 0]
