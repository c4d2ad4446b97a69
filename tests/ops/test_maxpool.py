"""Largest code of a window (contract, section Maxpool)."""

import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given

from refengine.errors import NetworkError
from refengine.ops import maxpool

BOTH = pytest.mark.parametrize("run", [maxpool.reference, maxpool.kernels], ids=["reference", "kernels"])


@BOTH
@given(case=strategies.pool_cases())
def test_it_gives_the_integers_of_the_oracle(run, case):
    """Every window, in the format that came in."""
    x, window = case
    out = run(x, **window)
    assert out.dtype == x.dtype
    assert out.shape[1:] == maxpool.output_shape(x.shape[1:], **window)
    assert dict(np.ndenumerate(out)) == oracle.maxpool(x, **window)


@BOTH
@given(case=strategies.pool_cases())
def test_an_image_does_not_see_its_neighbours(run, case):
    """Batches of one equal the batch (P1)."""
    x, window = case
    whole = run(x, **window)
    for n in range(len(x)):
        np.testing.assert_array_equal(run(x[n : n + 1], **window)[0], whole[n])


@BOTH
@given(case=strategies.pool_cases())
def test_padding_is_a_border_of_the_lowest_code(run, case):
    """What never wins is what is never larger (W3)."""
    x, window = case
    if window["ceil_mode"]:
        return  # which windows are dropped depends on where the image ends
    top, left, bottom, right = window["pads"]
    lowest = np.iinfo(x.dtype).min
    bordered = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=lowest)
    np.testing.assert_array_equal(run(bordered, **window | {"pads": (0, 0, 0, 0)}), run(x, **window))


@BOTH
def test_padding_never_wins(run):
    """Zero is larger than these codes, and no pixel."""
    x = np.full((1, 2, 2, 1), -7, np.int8)
    window = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (1, 1, 1, 1), "ceil_mode": False}
    assert run(x, **window).tolist() == np.full((1, 3, 3, 1), -7).tolist()


def test_windows_without_a_pixel_are_refused():
    """By output_shape, before anything runs."""
    window = {"kernel_shape": (2, 2), "strides": (1, 1), "pads": (0, 2, 0, 0), "ceil_mode": False}
    with pytest.raises(NetworkError, match="hold no pixel"):
        maxpool.output_shape((4, 4, 1), **window)
