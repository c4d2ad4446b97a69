"""The command of the mutation tests: the table's figures, and its exit code."""

import numpy as np
import pytest
from verbs import outcome_of, refusal_of

from mutation.__main__ import command
from refengine.golden.diagnose import cause
from refengine.golden.diagnose.cause import Diagnosis
from refengine.network.images import write_images

CALL = (command, "model.h5", "images.h5")
FEW = ("--fault", "bias_twice", "--fault", "kernel_turned", "--fault", "write_bit")


def test_faults_are_found_and_named(files):
    outcome = outcome_of(*CALL, *FEW, "--layers", "1", "--count", "6")
    assert outcome.code == 0, outcome.out
    assert "3 kinds of faults, 3 trials" in outcome.out
    assert "first element exact: 3 of 3, 100.0%" in outcome.out
    assert "a wrong cause called certain: 0" in outcome.out


def test_one_is_not_many(files):
    assert "1 kind of faults, 1 trial\n" in outcome_of(*CALL, *FEW[:2], "--layers", "1").out


def test_images_of_another_size(files):
    write_images(files / "large.h5", np.zeros((1, 9, 9, 3), np.uint8), None)
    line = refusal_of(command, "model.h5", "large.h5")
    assert "images are uint8 of shape (9, 9, 3), the network reads uint8 of shape" in line


def test_json_has_every_trial(files):
    figures = outcome_of(*CALL, *FEW, "--layers", "2", "--count", "3", "--first", "1", "--json", "-").json
    assert (figures["report"], figures["first"], figures["count"], figures["kinds"]) == ("faults", 1, 3, 3)
    assert figures["trials"] == sum(len(fault["trials"]) for fault in figures["faults"])
    assert figures["detected"] == figures["layer_right"] == figures["element_right"] == figures["trials"]
    assert [fault["name"] for fault in figures["faults"]] == ["bias_twice", "kernel_turned", "write_bit"]
    assert figures["faults"][2]["names"] == []


def test_a_wrong_cause_called_certain_is_a_failure(files, monkeypatch):
    monkeypatch.setattr(cause, "diagnose", lambda *_: Diagnosis("rounds_ceil", True, "it rounds"))
    outcome = outcome_of(*CALL, *FEW, "--layers", "1")
    assert outcome.code == 1
    assert "a wrong cause called certain: 3" in outcome.out


def test_faults_that_cannot_happen_are_named(files):
    outcome = outcome_of(*CALL, "--fault", "round_half_up", "--fault", "round_floor")
    assert "not tried: round_half_up" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--fault", "nosuch"], "fault 'nosuch' is unknown; available: round_floor"),
        (["--layer", "nosuch"], "'nosuch'"),
        (["--fault", "round_half_up"], "round_half_up: no layer chosen and no image shows any of these faults"),
        (["--first", "99"], "has images 0..11"),
        (["--json", "model.h5"], "is also read from"),
    ],
)
def test_bad_input_is_one_line(files, arguments, needle):
    assert needle in refusal_of(*CALL, *arguments)
