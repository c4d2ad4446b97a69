"""Tensors side by side (contract, section Concat)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.numbers.formats import INT8, UINT8
from refengine.ops import concat

BOTH = pytest.mark.parametrize("run", [concat.reference, concat.kernels], ids=["reference", "kernels"])


@st.composite
def tensors(draw):
    """One to three tensors of one format and size."""
    fmt, place = draw(st.sampled_from([UINT8, INT8])), draw(st.sampled_from([(2,), (1, 2, 3), (2, 1, 1)]))
    return [draw(strategies.codes(fmt, (*place, c))) for c in draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))]


@BOTH
@given(tensors())
def test_it_gives_the_integers_of_the_oracle(run, inputs):
    """Channels in the order of the inputs; images and flattened tensors."""
    out = run(*inputs)
    assert out.dtype == inputs[0].dtype
    assert out.shape[1:] == concat.output_shape(*(x.shape[1:] for x in inputs))
    assert dict(np.ndenumerate(out)) == oracle.concat(*inputs)


def test_other_sizes_are_refused():
    """The message lists the shapes."""
    with pytest.raises(NetworkError, match=r"^joins images of different sizes: \(2, 2, 1\), \(2, 3, 1\)$"):
        concat.output_shape((2, 2, 1), (2, 3, 1))
