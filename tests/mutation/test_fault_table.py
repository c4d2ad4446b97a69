"""The table of faults: what it counts is true, and it sees a comparison or a diagnosis that is wrong."""

import numpy as np
import pytest
from networks import every_op, random_images

from mutation import fault_table as module
from mutation.fault_table import fault_table, golden_run, with_fault
from mutation.faults import FAULTS
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.golden.compare.compare import compare
from refengine.golden.diagnose.cause import Diagnosis, diagnose

CHOSEN = [FAULTS[name] for name in ("bias_twice", "round_floor", "kernel_turned", "write_bit", "multiplier_next")]


@pytest.fixture(scope="module")
def network():
    return every_op()


@pytest.fixture(scope="module")
def images(network):
    return random_images(network, 6, 2)


def test_faults_are_found_where_they_are(network, images):
    table = fault_table(network, images, diagnose, faults=CHOSEN, layers_a_fault=1)
    assert len(table.trials) == len(CHOSEN)
    for trial in table.trials:
        assert trial.detected
        assert trial.layer_right
        assert trial.element_right
        assert trial.alone
        assert not trial.certain_but_wrong
    assert [trial.fault for trial in table.nameable] == [fault.name for fault in CHOSEN if fault.names]


def test_a_faulty_layer_runs_on_through_the_network(network, images):
    golden = golden_run(network, images)
    layer = network.layers[1].name
    stages = FAULTS["bias_twice"].stages(golden.cases[layer])
    made = with_fault(golden, layer, stages)
    np.testing.assert_array_equal(made[layer]["code"], stages["code"])
    np.testing.assert_array_equal(made["000_input"]["code"], golden.stages["000_input"]["code"])
    logits = network.layers[-1].name
    np.testing.assert_array_equal(golden.stages[logits]["accumulator"], run(network, images, "reference"))
    assert not np.array_equal(made[logits]["accumulator"], golden.stages[logits]["accumulator"])


def test_a_diagnosis_that_lies_is_counted(network, images):
    def liar(case, stage, got):
        return Diagnosis("kernel_flipped", True, "it is the kernel")

    table = fault_table(network, images, liar, faults=CHOSEN[:3], layers_a_fault=1)
    assert [trial.named for trial in table.trials] == ["wrong", "wrong", "right"]
    assert [trial.certain_but_wrong for trial in table.trials] == [True, True, False]


def test_a_comparison_that_sees_nothing_is_counted(network, images, monkeypatch):
    def blind(golden, dut, **named):
        return compare(golden, golden, **named)

    monkeypatch.setattr(module, "compare", blind)
    trial = fault_table(network, images, diagnose, faults=CHOSEN[:1], layers_a_fault=1).trials[0]
    assert (trial.detected, trial.layer_right, trial.element_right, trial.alone) == (False,) * 4


def test_what_changes_nothing_is_no_trial(network, images):
    table = fault_table(network, images, diagnose, faults=[FAULTS["round_half_up"]])
    assert (table.trials, table.unseen) == ((), ("round_half_up",))


def test_only_chosen_layers_are_tried(network, images):
    layers = [layer.name for layer in network.layers if layer.op == "conv"]
    table = fault_table(network, images, diagnose, faults=CHOSEN[:1], layers=layers, layers_a_fault=9)
    assert {trial.layer for trial in table.trials} <= {*layers}


def test_a_run_of_no_images_is_refused(network):
    with pytest.raises(RangeError, match="0 images"):
        golden_run(network, random_images(network, 0))
