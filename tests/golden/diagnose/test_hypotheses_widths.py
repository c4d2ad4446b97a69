"""Widths: each fault is what it says in plain integers, and its width is found from the dump."""

import pytest
from golden_cases import assert_as_planted, conv_case
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation.datapath import Datapath, held
from mutation.faults import FAULTS

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import FAMILIES, named
from refengine.golden.diagnose.machine import STAGES, machine_of
from refengine.golden.diagnose.recompute import recompute

LARGE = conv_case(5, count=2, size=(8, 8), inputs=8, outputs=6, cluster=4, residual=True, shift=14)


def planted(case, **steps):
    datapath = Datapath(case)
    for name, change in steps.items():
        setattr(datapath, name, change(datapath))
    return datapath.stages()


def wide(values):
    return max(int(values.max()), ~int(values.min())).bit_length() + 1


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 4), st.booleans(), st.sampled_from(["hold", "combine"]))
def test_any_width_of_accumulator_and_total_is_found(short, saturate, place):
    golden = recompute(machine_of(LARGE), STAGES)
    bits = wide(golden["accumulator" if place == "hold" else "total"]) - short
    make = {
        "hold": lambda d: lambda acc: held(acc, bits, saturate),
        "combine": lambda d: lambda acc: held(d._combine(acc), bits, saturate),
    }[place]
    found = diagnose(LARGE, None, planted(LARGE, **{place: make}))
    kind = ("accumulator" if place == "hold" else "total") + ("_saturates" if saturate else "_wraps")
    assert f"{kind}={bits}" in {match.name for match in found.ranked if match.exact}


def test_members_that_change_nothing_are_no_members():
    assert named("total_wraps=40").sentence == "the sum before rounding wraps in 40 bits"
    assert named("partial_sums_wrap=3,0,9").sentence.endswith("wraps in 9 bits, before its scale")
    assert all(family.group for family in FAMILIES.values())


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("multiplier_field", "multiplier_bits_lost=6"),
        ("shift_field", "shift_bits_lost=3"),
    ],
)
def test_fields_that_are_found(fault, name):
    assert_as_planted(LARGE, fault, name)
    found = diagnose(LARGE, None, FAULTS[fault].stages(LARGE))
    assert name in {match.name for match in found.ranked if match.exact}
    assert found.certain or fault == "shift_field"
