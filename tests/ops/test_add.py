"""Sum of two tensors (contract, section Add)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.ops import add

BOTH = pytest.mark.parametrize("run", [add.reference, add.kernels], ids=["reference", "kernels"])
shifts = st.tuples(st.integers(0, 22), st.integers(0, 22))


@st.composite
def pairs(draw):
    """Two tensors of one shape, of any formats."""
    a = draw(strategies.images(max_size=3, max_channels=3))
    return a, draw(strategies.codes(draw(strategies.activation_formats), a.shape))


@BOTH
@given(pair=pairs(), shifts=shifts)
def test_it_gives_the_integers_of_the_oracle(run, pair, shifts):
    """Every sum, at every pair of shifts that a network may have."""
    acc = run(*pair, shifts=shifts)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == add.output_shape(*(x.shape[1:] for x in pair), shifts=shifts)
    assert dict(np.ndenumerate(acc)) == oracle.add(*pair, shifts=shifts)


@BOTH
@given(pair=pairs(), shifts=shifts)
def test_the_order_of_addends_does_not_matter(run, pair, shifts):
    """a + b is b + a."""
    a, b = pair
    np.testing.assert_array_equal(run(a, b, shifts=shifts), run(b, a, shifts=shifts[::-1]))


@given(pair=pairs(), shifts=shifts)
def test_bound_holds_and_is_reached(pair, shifts):
    """The ends of both formats, shifted and added (A2)."""
    ends = [(-128, 127) if x.dtype == np.int8 else (0, 255) for x in pair]
    lo, hi = add.bound(*ends, shifts=shifts)
    acc = add.reference(*pair, shifts=shifts)
    assert (lo <= acc).all()
    assert (acc <= hi).all()
    low, high = (
        add.reference(*(np.full((1, 1), end[k], x.dtype) for x, end in zip(pair, ends, strict=True)), shifts=shifts)
        for k in (0, 1)
    )
    assert (low.ravel().tolist(), high.ravel().tolist()) == (lo.tolist(), hi.tolist())


def test_the_longest_shifts_stay_in_int32():
    """255 << 22, twice."""
    top = np.full((1, 1), 255, np.uint8)
    assert add.reference(top, top, shifts=(22, 22)).tolist() == [[2 * 255 * 2**22]]


def test_other_shapes_are_refused():
    """No broadcasting."""
    with pytest.raises(NetworkError, match=r"^adds tensors of different shapes, \(1, 2, 3\) and \(1, 2, 1\)$"):
        add.output_shape((1, 2, 3), (1, 2, 1), shifts=(0, 0))


def test_bound_holds_0_where_no_code_is_0():
    """Padding and what an activation cuts are 0, whatever the range of the codes."""
    for shifts in ((0, 0), (3, 1)):
        assert [int(end[0]) for end in add.bound((4, 9), (2, 3), shifts=shifts)] == [
            0,
            (9 << shifts[0]) + (3 << shifts[1]),
        ]
        assert [int(end[0]) for end in add.bound((-9, -4), (-3, -2), shifts=shifts)] == [
            -((9 << shifts[0]) + (3 << shifts[1])),
            0,
        ]
