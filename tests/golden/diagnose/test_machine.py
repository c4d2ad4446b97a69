"""A machine without a fault is the layer, everywhere and at single elements; with one, both ways agree."""

import numpy as np
import pytest
from golden_cases import cases_of, conv_case
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import every_op, int_networks, seeded, small

from refengine.errors import RangeError
from refengine.golden.diagnose.hypotheses import HYPOTHESES
from refengine.golden.diagnose.machine import STAGES, Case, machine_of, recompute, requantized, stages_of_case, taps
from refengine.numbers.requantize import total
from refengine.numbers.rounding import STOCHASTIC
from refengine.runs.digest import stages_of


def assert_is_the_layer(case, result):
    stages = stages_of_case(case)
    found = recompute(machine_of(case), stages)
    for stage, values in stages_of(case.layer, result):
        np.testing.assert_array_equal(found[stage], values)
    if "total" in stages:
        np.testing.assert_array_equal(found["total"], total(result.accumulator, case.layer.requantize, case.residual))


@settings(max_examples=40, deadline=None)
@given(int_networks(), st.integers(0, 5))
def test_without_a_fault_it_is_the_layer(network, first_image):
    for case, result in cases_of(network, 2, first_image):
        assert_is_the_layer(case, result)


@pytest.mark.parametrize("seed", [1, 4])
def test_the_machine_recomputes_every_operator(seed):
    network = every_op(seed=seed)
    for case, result in cases_of(network):
        assert_is_the_layer(case, result)


@pytest.mark.parametrize("seed", [0, 1, 2])
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


def test_images_of_a_case_are_the_images_of_the_whole():
    """Also where a draw depends on the image's number."""
    for case, _ in cases_of(seeded(3, ["conv", "add", "requantize"], (STOCHASTIC,)), 4, first_image=7):
        stages = stages_of_case(case)
        part, whole = recompute(machine_of(case.images(1, 3)), stages), recompute(machine_of(case), stages)
        for stage in stages:
            np.testing.assert_array_equal(part[stage], whole[stage][1:3])
        assert (case.images(1, 3).first_image, case.images(1, 3).images(1, 2).skipped) == (8, 2)


def test_what_is_written_wrongly_touches_only_the_stages_written():
    case = conv_case()
    machine = HYPOTHESES["channels_reversed"](machine_of(case))
    found, golden = recompute(machine, STAGES, None, ["code"]), recompute(machine_of(case), STAGES)
    np.testing.assert_array_equal(found["accumulator"], golden["accumulator"])
    np.testing.assert_array_equal(found["code"], golden["code"][..., ::-1])


def test_weights_beyond_16_bits_are_computed_too():
    """The kernel holds 16 bits; a fault may need more."""
    case = conv_case()
    machine = machine_of(case)
    found = recompute(machine.constant(scale=machine.constants["scale"] * 300), ["accumulator"])["accumulator"]
    bias = case.layer.constants["bias"]
    np.testing.assert_array_equal(found - bias, 300 * (recompute(machine, ["accumulator"])["accumulator"] - bias))


def test_codes_of_other_accumulators():
    case = conv_case(residual=True)
    machine = machine_of(case)
    stages = recompute(machine, STAGES)
    np.testing.assert_array_equal(requantized(machine, stages["accumulator"]), stages["code"])
    assert (requantized(machine, stages["accumulator"] + 10**6) != stages["code"]).any()
    with pytest.raises(RangeError, match="requantizes nothing"):
        requantized(machine_of(cases_of(small(), 1)[-1][0]), np.zeros((1, 2), np.int64))


def test_taps_are_those_of_a_window():
    assert taps(machine_of(conv_case())) == 4 * 9
    assert {case.layer.op: taps(machine_of(case)) for case, _ in cases_of(small(), 1)} == {
        "input": 1,
        "conv": 4,
        "fc": 2,
    }


def test_what_is_no_case_is_refused():
    case = conv_case(residual=True)
    with pytest.raises(RangeError, match="its residual"):
        Case(case.network, case.layer, case.operands)
    with pytest.raises(RangeError, match="found operands"):
        Case(case.network, case.layer, (case.operands[0][:, 1:],), case.residual)


def test_a_requantization_whose_numbers_cannot_be_is_none():
    machine = machine_of(conv_case())
    assert machine.stepping(shift=machine.step.shift * 0 - 1) is None
    assert machine.stepping(shift=machine.step.shift + 1) is not None
