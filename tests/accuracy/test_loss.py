"""Losses without labels: nothing for the same logits, by hand for small ones, and never less than nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refengine.accuracy.loss import loss

LOGITS = arrays(np.float32, (5, 3), elements=st.floats(-30, 30, width=32))


@given(LOGITS, LOGITS, st.floats(-5, 5))
def test_no_loss_is_negative_and_a_constant_changes_nothing(floats, others, constant):
    found = loss(floats, others)
    assert found.kl >= 0
    assert 0 <= found.points <= 100
    assert 0 <= found.differing <= found.count == 5
    assert loss(floats, others + np.float64(constant)).kl == pytest.approx(found.kl, abs=1e-6)


@given(LOGITS)
def test_the_same_logits_lose_nothing(floats):
    found = loss(floats, floats)
    assert (found.kl, found.points, found.differing) == (pytest.approx(0, abs=1e-12), 0, 0)


def test_by_hand():
    p, q = [0.5, 0.3, 0.2], [0.25, 0.5, 0.25]
    found = loss(np.log([p, p]), np.log([q, p]))
    assert found.kl == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 2)
    assert found.points == pytest.approx(100 * (0.5 - 0.3) / 2)
    assert found.differing == 1
