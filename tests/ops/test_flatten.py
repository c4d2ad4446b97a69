"""Images as vectors (contract, section Flatten)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given

from refengine.ops import flatten

BOTH = pytest.mark.parametrize("run", [flatten.reference, flatten.kernels], ids=["reference", "kernels"])


@BOTH
@given(x=strategies.images())
def test_it_gives_the_integers_of_the_oracle(run, x):
    """Channel by channel, row by row."""
    out = run(x)
    assert out.dtype == x.dtype
    assert out.shape[1:] == flatten.output_shape(x.shape[1:])
    assert dict(np.ndenumerate(out)) == oracle.flatten(x)


@BOTH
@given(x=strategies.images())
def test_a_vector_stays_as_it_is(run, x):
    """Twice is once."""
    np.testing.assert_array_equal(run(run(x)), run(x))
