"""A case is a layer with its operands; a machine is what a fault changes."""

import numpy as np
import pytest
from golden_cases import cases_of, conv_case
from networks import seeded, small

from refengine.errors import RangeError
from refengine.golden.diagnose.machine import Case, machine_of, stages_of_case, taps
from refengine.golden.diagnose.recompute import recompute
from refengine.numbers.rounding import STOCHASTIC


def test_images_of_a_case_are_the_images_of_the_whole():
    """Also where a draw depends on the image's number."""
    for case, _ in cases_of(seeded(3, ["conv", "add", "requantize"], (STOCHASTIC,)), 4, first_image=7):
        stages = stages_of_case(case)
        part, whole = recompute(machine_of(case.images(1, 3)), stages), recompute(machine_of(case), stages)
        for stage in stages:
            np.testing.assert_array_equal(part[stage], whole[stage][1:3])
        assert (case.images(1, 3).first_image, case.images(1, 3).images(1, 2).skipped) == (8, 2)


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
