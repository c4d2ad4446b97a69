"""Clues: a few wrong values, and what several families compute once."""

import numpy as np
from golden_cases import conv_case

from refengine.golden.diagnose.clues import Family
from refengine.golden.diagnose.evidence import Evidence, sample_of
from refengine.golden.diagnose.machine import STAGES, machine_of
from refengine.golden.diagnose.recompute import recompute

CASE = conv_case(3, count=2, size=(6, 6), inputs=4, outputs=4)
GOLDEN = recompute(machine_of(CASE), STAGES)


def sample(**changed):
    return sample_of(Evidence(CASE, {**GOLDEN, **changed}), 256)


def test_only_wrong_places_are_tried():
    code = GOLDEN["code"].copy()
    code[:, 2] ^= 1
    clues = sample(code=code)
    assert 0 < len(clues.tried) <= 48
    np.testing.assert_array_equal(clues.got_tried["code"], code.reshape(-1)[clues.tried])
    assert (clues.got_tried["code"] != GOLDEN["code"].reshape(-1)[clues.tried]).all()
    assert clues.differing == ("code",)


def test_codes_that_follow_from_their_accumulators():
    acc = GOLDEN["accumulator"] + 700
    parts = recompute(machine_of(CASE).constant(bias=CASE.layer.constants["bias"] + 700), STAGES)
    assert sample(accumulator=acc, total=parts["total"], code=parts["code"]).follows
    assert not sample(accumulator=acc).follows


def test_what_is_remembered_is_computed_once():
    clues, calls = sample(code=GOLDEN["code"] ^ 1), []
    for _ in range(3):
        assert clues.remembered("x", lambda: calls.append(1) or 5) == 5
    assert calls == [1]
    assert clues.few(4).memory is not clues.memory


def test_the_words_of_a_member():
    family = Family("x", "", "bias", lambda clues: iter(()), "{} of {}", lambda a, b: lambda machine: machine)
    assert family.sentence_of((1, 2)) == "1 of 2"
