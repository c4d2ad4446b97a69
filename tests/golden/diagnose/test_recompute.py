"""What a machine writes: without a fault the layer, everywhere and at single elements; with one, both ways agree."""

import numpy as np
import pytest
from everyday import everyday
from golden_cases import cases_of, conv_case
from hypothesis import given
from hypothesis import strategies as st
from networks import every_op, int_networks, small

from refengine.errors import RangeError
from refengine.golden.diagnose.hypotheses import HYPOTHESES
from refengine.golden.diagnose.machine import STAGES, machine_of, stages_of_case
from refengine.golden.diagnose.recompute import Known, recompute, requantized
from refengine.numbers.requantize import total
from refengine.runs.digest import stages_of


def assert_is_the_layer(case, result):
    stages = stages_of_case(case)
    found = recompute(machine_of(case), stages)
    for stage, values in stages_of(case.layer, result):
        np.testing.assert_array_equal(found[stage], values)
    if "total" in stages:
        np.testing.assert_array_equal(found["total"], total(result.accumulator, case.layer.requantize, case.residual))


@given(int_networks(), st.integers(0, 5))
def test_without_a_fault_it_is_the_layer(network, first_image):
    for case, result in cases_of(network, 2, first_image):
        assert_is_the_layer(case, result)


@pytest.mark.parametrize("seed", [1, 4])
def test_the_machine_recomputes_every_operator(seed):
    network = every_op(seed=seed)
    for case, result in cases_of(network):
        assert_is_the_layer(case, result)


@pytest.mark.parametrize("seed", everyday([0, 1, 2], 3))
def test_single_elements_are_those_of_the_whole(seed):
    """For every hypothesis and operator: what screening looks at is what the whole recomputation gives."""
    rng = np.random.default_rng(seed)
    for case, _ in cases_of(every_op(seed=seed), 2):
        stages, size = stages_of_case(case), 2 * int(np.prod(case.shape))
        where = rng.integers(0, size, 20)
        for hypothesis in HYPOTHESES.values():
            machine = hypothesis(machine_of(case))
            if machine is None:
                continue
            whole = recompute(machine, stages, None, stages)
            single = recompute(machine, stages, where, stages)
            for stage in stages:
                assert whole[stage].shape == (2, *case.shape), hypothesis.name
                np.testing.assert_array_equal(whole[stage].reshape(-1)[where], single[stage], hypothesis.name)


def test_what_is_written_wrongly_touches_only_the_stages_written():
    case = conv_case()
    machine = HYPOTHESES["channels_reversed"](machine_of(case))
    found, golden = recompute(machine, STAGES, None, ["code"]), recompute(machine_of(case), STAGES)
    np.testing.assert_array_equal(found["accumulator"], golden["accumulator"])
    np.testing.assert_array_equal(found["code"], golden["code"][..., ::-1])


def test_codes_of_other_accumulators():
    case = conv_case(residual=True)
    machine = machine_of(case)
    stages = recompute(machine, STAGES)
    np.testing.assert_array_equal(requantized(machine, stages["accumulator"]), stages["code"])
    assert (requantized(machine, stages["accumulator"] + 10**6) != stages["code"]).any()
    with pytest.raises(RangeError, match="requantizes nothing"):
        requantized(machine_of(cases_of(small(), 1)[-1][0]), np.zeros((1, 2), np.int64))


def test_what_is_known_of_the_layer_changes_no_value():
    """For every hypothesis and operator: what is taken over is what it would compute."""
    rng = np.random.default_rng(3)
    for case, _ in cases_of(every_op(seed=2), 2):
        stages, size = stages_of_case(case), 2 * int(np.prod(case.shape))
        known = Known(machine_of(case), rng.integers(0, size, 9))
        for hypothesis in HYPOTHESES.values():
            machine = hypothesis(known.machine)
            if machine is not None:
                found = recompute(machine, stages, known.where, stages, known)
                alone = recompute(machine, stages, known.where, stages)
                for stage in stages:
                    np.testing.assert_array_equal(found[stage], alone[stage], hypothesis.name)
