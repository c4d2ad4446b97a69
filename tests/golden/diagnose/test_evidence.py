"""Dumps are checked before they are believed, and a sample holds what it should."""

import numpy as np
import pytest
from golden_cases import cases_of, conv_case
from networks import small

from refengine.errors import RangeError
from refengine.golden.diagnose.evidence import Evidence, everything, sample_of, screened, with_faults
from refengine.golden.diagnose.hypotheses import HYPOTHESES, faulty
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute

CASE = conv_case(0, count=5)
GOLDEN = recompute(machine_of(CASE), ["accumulator", "code"])


def test_what_is_no_dump_of_the_layer_is_refused():
    with pytest.raises(RangeError, match="has no stage 'sums', it has accumulator, total, code"):
        Evidence(CASE, {"sums": GOLDEN["code"]})
    with pytest.raises(RangeError, match=r"the dump has shape \(4, 5, 5, 3\), needed \(5, 5, 5, 3\)"):
        Evidence(CASE, {"code": GOLDEN["code"][1:]})
    with pytest.raises(RangeError, match="found float64"):
        Evidence(CASE, {"code": GOLDEN["code"] * 1.0})
    with pytest.raises(RangeError, match="no stage 'logits'"):
        Evidence(CASE, {"logits": GOLDEN["code"]})


def test_logits_are_the_last_layer():
    case = cases_of(small(), 2)[-1][0]
    logits = recompute(machine_of(case), ["accumulator"])["accumulator"]
    assert Evidence(case, {"logits": logits.astype(np.int32)}).stages == ("accumulator",)


def test_evidence_counts_the_wrong_values_of_each_stage():
    got = GOLDEN["code"].copy()
    got[3, 1, 2, :] ^= 1
    evidence = Evidence(CASE, {"code": got, "accumulator": GOLDEN["accumulator"]})
    assert (evidence.stages, evidence.differing) == (("accumulator", "code"), ("code",))
    assert (evidence.total, evidence.size) == (3, 2 * got.size)
    same = {stage: np.ones(got.shape, bool) for stage in evidence.stages}
    assert evidence.match("x", same).exact
    same["accumulator"][0, 0, 0, 0] = False
    assert (evidence.match("x", same).spoiled, evidence.match("x", same).exact) == (1, False)


def test_a_sample_has_wrong_and_right_values():
    got = GOLDEN["code"].copy()
    got[2:, 0] += 1
    evidence = Evidence(CASE, {"code": got})
    sample = sample_of(evidence, 10)
    wrong = sample.got["code"] != sample.golden["code"]
    assert (np.count_nonzero(wrong), np.count_nonzero(~wrong)) == (10, 10)
    assert sample.machine.case.skipped == 1, "the first image agrees; so does the second, which may have left something"
    np.testing.assert_array_equal(sample.values(sample.machine)["code"], sample.golden["code"])
    assert len(sample.few(5).where) <= 7


def test_the_planted_fault_scores_best():
    """The fault that was planted reproduces all of its sample, and is nearer than the contract."""
    got = recompute(faulty(CASE, "bias_missing"), ["code"])["code"]
    sample = sample_of(Evidence(CASE, {"code": got}), 50)
    scores = {score.match.name: score for score in screened(sample, [*HYPOTHESES.values()])}
    assert scores["bias_missing"].perfect
    assert scores["bias_missing"].closer == scores["bias_missing"].match.total
    assert not scores["bias_doubled"].perfect
    assert "bias_missing" not in {
        score.match.name for score in screened(sample, [HYPOTHESES["bias_missing"]], ["bias_missing"])
    }


def test_everything_is_computed_in_blocks():
    """Whatever the number of images at a time."""
    case = conv_case(1, count=3, size=(40, 40), outputs=16)
    whole = recompute(faulty(case, "padding_edge"), ["code"])["code"]
    np.testing.assert_array_equal(everything(case, ["padding_edge"], ["code"], ["code"])["code"], whole)
    with pytest.raises(RangeError, match="cannot happen"):
        everything(case, ["padding_wins"], ["code"], ["code"])
    assert with_faults(machine_of(case), ["padding_wins", "bias_missing"]) is None
