"""Accumulators and partial sums in few bits: groupings in plain integers, planted widths found."""

from dataclasses import replace

import numpy as np
import pytest
from golden_cases import conv_case
from mutation.datapath import Datapath, held

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import kind, named
from refengine.golden.diagnose.hypotheses_accumulator import GROUPINGS
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute

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


def test_an_accumulator_is_never_certain_between_the_end_and_each_addition():
    """One cluster and a bias of 0: saturating after the one addition is saturating at the end."""
    case = conv_case(5, count=2, size=(8, 8), inputs=4, outputs=6, cluster=4, shift=14)
    bits = wide(recompute(machine_of(case), ["accumulator"])["accumulator"]) - 1
    found = diagnose(case, None, planted(case, hold=lambda d: lambda acc: held(acc, bits, True)))
    exact = {match.name.split("=")[0] for match in found.ranked if match.exact}
    assert not found.certain
    assert {"accumulator_saturates", "accumulator_saturates_stepwise"} <= exact or "each addition" in found.sentence


def test_a_bias_that_is_loaded_with_all_its_bits():
    """Clipped after each cluster, in plain integers; the bias is wider than the accumulator."""
    constants = {**LARGE.layer.constants, "bias": np.array([70000, -70000, 9, -5, 33000, 100], np.int32)}
    case = replace(LARGE, layer=replace(LARGE.layer, constants=constants))
    datapath = Datapath(case)
    datapath.add_cluster = lambda acc, sums, by: held(acc + sums * by, 17, True)
    found = diagnose(case, None, datapath.stages())
    assert "accumulator_saturates_stepwise=8,2,17" in {match.name for match in found.ranked if match.exact}
    assert kind(found.cause) == "accumulator_saturates_stepwise"
