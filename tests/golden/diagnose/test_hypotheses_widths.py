"""Widths: each fault is what it says in plain integers, and its width is found from the dump."""

from dataclasses import replace

import numpy as np
import pytest
from golden_cases import assert_as_planted, conv_case
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation.datapath import Datapath, held
from mutation.faults import FAULTS

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import FAMILIES, kind, named
from refengine.golden.diagnose.hypotheses_widths import GROUPINGS
from refengine.golden.diagnose.machine import STAGES, machine_of, recompute

CASE = conv_case(3, count=1, size=(4, 3), inputs=5, outputs=3, cluster=2, shift=14)
LARGE = conv_case(5, count=2, size=(8, 8), inputs=8, outputs=6, cluster=4, residual=True, shift=14)


def ordered(case, number):
    """The products' (tap, channel) in each group of a grouping, in plain Python."""
    weight = case.layer.constants["weight"]
    inputs, taps, cluster = weight.shape[1], weight.shape[2] * weight.shape[3], case.layer.attributes["cluster"]
    by_tap = [(t, i) for t in range(taps) for i in range(inputs)]
    by_channel = [(t, i) for i in range(inputs) for t in range(taps)]
    clusters = [range(first, min(first + cluster, inputs)) for first in range(0, inputs, cluster)]
    by_cluster = [(t, i) for members in clusters for t in range(taps) for i in members]

    def parts(places, size):
        return [places[first : first + size] for first in range(0, len(places), size)]

    return {
        0: parts(by_tap, 1), 1: parts(by_channel, 1), 2: parts(by_cluster, 1), 3: parts(by_tap, 2),
        4: parts(by_channel, 2), 5: parts(by_tap, 4), 6: parts(by_channel, 4), 7: parts(by_tap, inputs),
        8: [[(t, i) for t in range(taps) for i in members] for members in clusters],
        9: [[(t, i) for i in members] for t in range(taps) for members in clusters],
        10: [[(t, i) for i in members] for members in clusters for t in range(taps)],
        11: parts(by_channel, taps), 12: parts(by_tap, 8), 13: parts(by_tap, 16),
    }[number]  # fmt: skip


def clipped(value, bits):
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, value))


def plain(case, number, step=None, group=None, bias_last=False):
    """Accumulators in plain integers; ``step`` holds the sum after each addition, ``group`` each group's sum."""
    d = Datapath(case)
    taps, _ = d._taps(d.weight.shape[2:])
    made = np.zeros((case.count, *case.shape), object)
    for n, y, x, o in np.ndindex(made.shape):
        bias = int(d.bias[o])
        acc = 0 if bias_last else bias
        acc = step(acc) if step else acc
        for places in ordered(case, number):
            total = sum(
                int(taps[t, n, y, x, i]) * int(d.weight[o, i].reshape(-1)[t]) * int(d.scale[o, d.clusters[i]])
                for t, i in places
            )
            acc += group(total) if group else total
            acc = step(acc) if step else acc
        if bias_last:
            acc = step(acc + bias)
        made[n, y, x, o] = acc
    return made.astype(np.int64)


def computed(case, name):
    return recompute(named(name)(machine_of(case)), ["accumulator"])["accumulator"]


@pytest.mark.parametrize("number", range(len(GROUPINGS)))
def test_groupings_in_plain_integers(number):
    for bias_last in (0, 1):
        found = computed(CASE, f"accumulator_saturates_stepwise={number},{bias_last},14")
        wanted = plain(CASE, number, step=lambda acc: clipped(acc, 14), bias_last=bool(bias_last))
        np.testing.assert_array_equal(found, wanted)
    found = computed(CASE, f"partial_sums_saturate={number},1,13")
    np.testing.assert_array_equal(found, plain(CASE, number, group=lambda value: clipped(value, 13)))
    found = computed(CASE, f"partial_sums_wrap={number},1,13")
    wanted = plain(CASE, number, group=lambda value: (value + 2**12) % 2**13 - 2**12)
    np.testing.assert_array_equal(found, wanted)


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


def test_an_accumulator_is_never_certain_between_the_end_and_each_addition():
    """One cluster and a bias of 0: saturating after the one addition is saturating at the end."""
    case = conv_case(5, count=2, size=(8, 8), inputs=4, outputs=6, cluster=4, shift=14)
    bits = wide(recompute(machine_of(case), ["accumulator"])["accumulator"]) - 1
    found = diagnose(case, None, planted(case, hold=lambda d: lambda acc: held(acc, bits, True)))
    exact = {match.name.split("=")[0] for match in found.ranked if match.exact}
    assert not found.certain
    assert {"accumulator_saturates", "accumulator_saturates_stepwise"} <= exact or "each addition" in found.sentence


def test_members_that_change_nothing_are_no_members():
    assert named("total_wraps=40").sentence == "the sum before rounding wraps in 40 bits"
    assert named("partial_sums_wrap=3,0,9").sentence.endswith("wraps in 9 bits, before its scale")
    assert all(family.group for family in FAMILIES.values())


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("bias_unscaled", "bias_after_multiplier=0,1"),
        ("bias_behind_7", "bias_after_multiplier=7,1"),
        ("bias_behind", "bias_after_multiplier=0,0"),
        ("bias_two", "bias_missing_in=1,4"),
        ("multiplier_field", "multiplier_bits_lost=6"),
        ("shift_field", "shift_bits_lost=3"),
    ],
)
def test_biases_and_fields_that_are_found(fault, name):
    assert_as_planted(LARGE, fault, name)
    found = diagnose(LARGE, None, FAULTS[fault].stages(LARGE))
    assert name in {match.name for match in found.ranked if match.exact}
    assert found.certain or fault == "shift_field"


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


def test_a_bias_that_is_loaded_with_all_its_bits():
    """Clipped after each cluster, in plain integers; the bias is wider than the accumulator."""
    constants = {**LARGE.layer.constants, "bias": np.array([70000, -70000, 9, -5, 33000, 100], np.int32)}
    case = replace(LARGE, layer=replace(LARGE.layer, constants=constants))
    datapath = Datapath(case)
    datapath.add_cluster = lambda acc, sums, by: held(acc + sums * by, 17, True)
    found = diagnose(case, None, datapath.stages())
    assert "accumulator_saturates_stepwise=8,2,17" in {match.name for match in found.ranked if match.exact}
    assert kind(found.cause) == "accumulator_saturates_stepwise"
