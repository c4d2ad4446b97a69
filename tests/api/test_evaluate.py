"""evaluate: the counts are the room's own, in whatever form images and labels come."""

import dataclasses

import numpy as np
import pytest

import refengine
from refengine.accuracy.evaluate import evaluate
from refengine.errors import RangeError


def counts(outcome):
    return {**dataclasses.asdict(outcome), "seconds": 0, "ranks": outcome.ranks.tolist()}


def test_every_form_gives_the_same_counts(files):
    images = refengine.load("images.h5")
    expected = evaluate(refengine.load("model.h5"), (images[:], images.labels), float_network=refengine.load("net.h5"))
    forms = ("images.h5", images, (images[:], images.labels), (images[:], images.labels.tolist()))
    for form in forms:
        assert counts(refengine.evaluate("model.h5", form, float_network="net.h5")) == counts(expected)
    assert expected.count == 12


def test_a_limit_evaluates_the_first_images_only(files):
    seen = []
    found = refengine.evaluate("model.h5", "images.h5", limit=5, batch=2, progress=lambda *row: seen.append(row))
    logits = refengine.run("model.h5", "images.h5", count=5)
    assert found.correct == int((logits.argmax(axis=1) == refengine.load("images.h5").labels[:5]).sum())
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_images_without_labels_are_refused(files):
    for images in ("unlabelled.h5", refengine.load("unlabelled.h5")):
        with pytest.raises(RangeError, match=r"unlabelled\.h5: has no labels"):
            refengine.evaluate("model.h5", images)
    with pytest.raises(RangeError, match="an array without labels, needed a pair"):
        refengine.evaluate("model.h5", refengine.load("images.h5")[:])


def test_labels_that_are_no_class(files):
    with pytest.raises(RangeError, match=r"labels lie in 5\.\.5, the network has classes 0\.\.4"):
        refengine.evaluate("model.h5", (refengine.load("images.h5")[:2], np.array([5, 5])))
