"""Whole networks: what comes out depends on the image and its number alone."""

import numpy as np
from conform_customers import some

from refengine.conform.network_cases import GROUP, network_answer, network_of


def test_the_last_images_alone_give_what_they_gave_among_the_others():
    """Also where rounding draws (P1, R5)."""
    cases = [*some(1, GROUP).values()]
    for whole, last in zip(cases[::2], cases[1::2], strict=True):
        ours, theirs = network_answer(whole), network_answer(last)
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {"hash"}:
            np.testing.assert_array_equal(ours[name][-3:], theirs[name])
        assert ours["hash"].tobytes().hex() == network_of(whole).network.hash


def test_the_classes_are_in_falling_order():
    (case, *_) = some(1, GROUP).values()
    found = network_answer(case)
    ranked = np.take_along_axis(found["logits"], found["classes"], axis=1)
    assert (np.diff(ranked, axis=1) <= 0).all()
