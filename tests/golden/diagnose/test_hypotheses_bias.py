"""Biases that are missing, late, or cut: the numbers that were planted are found."""

import pytest
from golden_cases import assert_as_planted, conv_case
from mutation.faults import FAULTS

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.machine import STAGES, machine_of
from refengine.golden.diagnose.recompute import recompute

LARGE = conv_case(5, count=2, size=(8, 8), inputs=8, outputs=6, cluster=4, residual=True, shift=14)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("bias_unscaled", "bias_after_multiplier=0,1"),
        ("bias_behind_7", "bias_after_multiplier=7,1"),
        ("bias_behind", "bias_after_multiplier=0,0"),
        ("bias_two", "bias_missing_in=1,4"),
    ],
)
def test_biases_that_are_found(fault, name):
    assert_as_planted(LARGE, fault, name)
    found = diagnose(LARGE, None, FAULTS[fault].stages(LARGE))
    assert name in {match.name for match in found.ranked if match.exact}
    assert found.certain


def test_a_missing_bias_is_named_from_sums_alone_and_not_certain_from_codes_alone():
    dump = FAULTS["bias_two"].stages(LARGE)
    found = diagnose(LARGE, "accumulator", dump["accumulator"])
    assert (found.cause, found.certain) == ("bias_missing_in=1,4", True)
    assert found.sentence.startswith("the bias of channels 1, 4 is missing: ")
    found = diagnose(LARGE, "code", dump["code"])
    assert "bias_missing_in=1,4" in {match.name for match in found.ranked if match.exact}
    assert not found.certain
    other = recompute(machine_of(LARGE), STAGES)["accumulator"]
    other[..., 2] += 1
    assert diagnose(LARGE, "accumulator", other).cause == "channel_offsets"
