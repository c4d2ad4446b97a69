"""Zero channels around the others (contract, section Pad_channels)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.ops import concat, pad_channels

BOTH = pytest.mark.parametrize("run", [pad_channels.reference, pad_channels.kernels], ids=["reference", "kernels"])
few = st.integers(0, 3)


@BOTH
@given(x=strategies.images(), before=few, after=few)
def test_it_gives_the_integers_of_the_oracle(run, x, before, after):
    """Codes in the middle, 0 around them."""
    out = run(x, before=before, after=after)
    assert out.dtype == x.dtype
    assert out.shape[1:] == pad_channels.output_shape(x.shape[1:], before=before, after=after)
    assert dict(np.ndenumerate(out)) == oracle.pad_channels(x, before=before, after=after)


@BOTH
@given(x=strategies.images(), before=few, after=few)
def test_it_is_a_concat_with_zeros(run, x, before, after):
    """The same by another operator."""
    zeros = [np.zeros((*x.shape[:3], count), x.dtype) for count in (before, after)]
    np.testing.assert_array_equal(run(x, before=before, after=after), concat.reference(zeros[0], x, zeros[1]))


def test_only_images_are_padded():
    """A flattened tensor has no channels."""
    with pytest.raises(NetworkError, match=r"^pads the channels of an image \(H, W, C\), found shape \(12,\)$"):
        pad_channels.output_shape((12,), before=1, after=1)
