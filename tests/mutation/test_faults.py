"""The faults: every one can happen somewhere and does what it says, and causes that it names exist."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from golden_cases import conv_case
from networks import STEPS, random_images, seeded, small, with_layer

import mutation.datapath
import mutation.fault
import mutation.faults
import mutation.reported
import mutation.trials
from mutation.fault_table import golden_run
from mutation.faults import _FAULTS, FAULTS
from mutation.reported import REPORTED
from mutation.trials import TRIALS
from refengine.golden.diagnose.hypotheses import FAMILIES, HYPOTHESES
from refengine.golden.diagnose.structure import STRUCTURES


@pytest.fixture(scope="module")
def runs():
    """Networks with every operator and several roundings."""
    made = []
    for seed, rounding in ((340, "half_up"), (3, "half_even"), (9, "half_up"), (17, "floor")):
        network = seeded(seed, [*STEPS, *STEPS], (rounding,))
        made.append(golden_run(network, random_images(network, 3, seed)))
    pools = seeded(5, ["conv", "maxpool", "avgpool", "add", "maxpool", "concat"], ("half_up",))
    made.append(golden_run(pools, random_images(pools, 3, 5)))
    wide = conv_case(3, 1, size=(12, 12), inputs=16, outputs=16, cluster=4, residual=True).network
    made.append(golden_run(wide, random_images(wide, 3, 1)))
    bias = {**small().layers[1].constants, "bias": np.array([70000, -70001], np.int32)}
    wide = with_layer(small(), "001_conv", constants=bias)
    made.append(golden_run(wide, random_images(wide, 3)))
    return made


def effects(runs, name):
    """Stages of every layer to which the fault happens and which it changes."""
    for run in runs:
        for layer, case in run.cases.items():
            stages = FAULTS[name].stages(case)
            if stages is not None:
                golden = run.stages[layer]
                assert {*stages} == {*golden}
                for stage in golden:
                    assert (stages[stage].shape, stages[stage].dtype) == (golden[stage].shape, golden[stage].dtype)
                if any(not np.array_equal(stages[stage], golden[stage]) for stage in golden):
                    yield layer, golden, stages


def test_there_are_at_least_150_kinds_and_50_of_them_are_public_reports():
    assert len(FAULTS) >= 150
    assert len(FAULTS) == len(_FAULTS) + len(REPORTED) + len(TRIALS)
    assert len({*FAULTS}) == len({fault.sentence for fault in FAULTS.values()})
    assert len({fault.report for fault in REPORTED} - {""}) >= 50
    assert all(re.fullmatch(r"|[\w.-]+/[\w.-]+#[1-9]\d*", fault.report) for fault in REPORTED)
    assert sum(not fault.names for fault in FAULTS.values()) >= 5


def test_a_fault_does_something_somewhere(runs):
    assert [name for name in FAULTS if next(effects(runs, name), None) is None] == []


def test_the_names_of_causes_exist():
    assert {name for fault in FAULTS.values() for name in fault.names} <= {*HYPOTHESES, *FAMILIES, *STRUCTURES}


@pytest.mark.parametrize("name", ["bias_missing", "weights_negated", "acc_16_wrap", "pad_128", "scale_missing"])
def test_faults_of_sums_show_in_the_accumulator(runs, name):
    for _, golden, stages in effects(runs, name):
        assert "accumulator" in golden
        assert not np.array_equal(golden["accumulator"], stages["accumulator"])


@pytest.mark.parametrize("name", ["round_ceil", "shift_more", "wrap", "relu_missing", "clip_top_low", "residual_late"])
def test_faults_of_codes_leave_the_sums_alone(runs, name):
    for _, golden, stages in effects(runs, name):
        np.testing.assert_array_equal(golden["accumulator"], stages["accumulator"])
        assert not np.array_equal(golden["code"], stages["code"])


def test_no_line_is_shared_with_what_diagnoses():
    """Datapath and faults import nothing that computes a layer or a hypothesis of one."""
    for module in (mutation.datapath, mutation.fault, mutation.faults, mutation.reported, mutation.trials):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        imports = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        own = {name for name in imports if name.split(".")[0] in ("refengine", "mutation")}
        allowed = {"errors", "numbers.rounding", "golden.dumps.difference", "golden.diagnose.machine"}
        assert own <= {
            "mutation.datapath",
            "mutation.fault",
            "mutation.reported",
            "mutation.trials",
            *(f"refengine.{name}" for name in allowed),
        }
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert not names & {"round_shift", "recompute", "machine_of", "HYPOTHESES"}
