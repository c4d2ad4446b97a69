"""Draws by counting: the same for ever, in their range, ends included."""

import numpy as np
import pytest

from refengine.conform.stream import Stream


def test_the_same_for_ever():
    """A change here changes every case and the digest of the passport."""
    stream = Stream("a name")
    assert stream.integers(0, 99, (6,)).tolist() == EXPECTED
    assert Stream("a name").integers(0, 99, (6,)).tolist() != stream.integers(0, 99, (6,)).tolist()
    assert Stream("another").integers(0, 99, (6,)).tolist() != EXPECTED


EXPECTED = [66, 40, 15, 20, 60, 67]


@pytest.mark.parametrize(("lo", "hi"), [(0, 0), (-3, 3), (-(2**62), 2**62 - 1), (0, 2**63 - 2), (-128, 127)])
def test_the_range(lo, hi):
    found = Stream(f"{lo}").integers(lo, hi, (4, 50))
    assert (found.dtype, found.shape) == (np.int64, (4, 50))
    assert lo <= found.min()
    assert found.max() <= hi
    if hi - lo < 10:
        assert {*found.ravel().tolist()} == {*range(lo, hi + 1)}


def test_codes_have_their_ends_and_zero_among_them():
    codes = Stream("codes").codes(-128, 127, (2000,), np.int8)
    assert codes.dtype == np.int8
    assert all(np.count_nonzero(codes == value) > 60 for value in (-128, 127, 0))
    assert len(np.unique(codes)) > 200


def test_a_pick_is_one_of_the_options():
    stream = Stream("picks")
    assert {stream.pick("abc") for _ in range(40)} == {*"abc"}
