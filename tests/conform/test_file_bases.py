"""The four files that are changed: each change does one thing."""

import json

import numpy as np

from refengine.conform.draft import hash_of
from refengine.conform.file_bases import PLAIN, all_of, array, attribute, bases, element, renamed, stored_as, without


def test_the_bases_are_valid_and_different():
    assert len({hash_of(draft) for draft in bases().values()}) == 4


def test_changes():
    draft = bases()[PLAIN]
    changed = draft.changed(
        all_of(
            attribute("001_conv", "group", 7),
            element("001_conv", "weight", -9),
            array("002_fc", "bias", [1, 2]),
            without("002_fc", "cluster"),
            renamed({"001_conv": "005_conv"}),
        )
    )
    conv, fc = changed.layers["005_conv"], changed.layers["002_fc"]
    assert conv.attributes["group"] == 7
    assert np.count_nonzero(conv.arrays["weight"] != draft.layers["001_conv"].arrays["weight"]) == 1
    assert json.loads(fc.attributes["inputs"]) == ["005_conv"]
    assert (fc.arrays["bias"].tolist(), "cluster" in fc.attributes) == ([1, 2], False)


def test_floats_lie_between_the_integers():
    weight = bases()[PLAIN].changed(stored_as("001_conv", "weight", "<f4")).layers["001_conv"].arrays["weight"]
    assert (weight % 1 == 0.5).all()
