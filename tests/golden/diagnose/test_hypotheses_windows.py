"""Faults of windows and pools, each stated a second time as an index or a number in plain Python integers."""

import numpy as np
import oracle
import pytest
from golden_cases import assert_as_planted, cases_of, conv_case
from networks import seeded
from plain_convolution import (
    assert_fault_is,
    low,
    of,
    outside,
    sets,
    values,
)

from refengine.golden.diagnose.hypotheses import HYPOTHESES
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute

FAULTS = {
    "padding_127": outside(127),
    "padding_128": outside(128),
    "padding_minus_128": outside(-128),
    "padding_255": outside(255),
    "padding_edge": sets(
        outside=lambda p: lambda y, z, c, n: p.x[n][min(max(y, 0), p.H - 1)][min(max(z, 0), p.W - 1)][c]
    ),
    "padding_lowest": sets(outside=lambda p: lambda y, z, c, n: -128 if p.signed else 0),
    "pads_exchanged": sets(pads=lambda p: (p.pads[2], p.pads[3], p.pads[0], p.pads[1])),
    "pads_after": sets(pads=lambda p: (0, 0)),
    "pads_before": sets(pads=lambda p: (p.pads[0] + p.pads[2], p.pads[1] + p.pads[3])),
    "pads_turned": sets(pads=lambda p: (p.pads[1], p.pads[0])),
    "windows_down": sets(start=lambda p: (1, 0)),
    "windows_up": sets(start=lambda p: (-1, 0)),
    "windows_right": sets(start=lambda p: (0, 1)),
    "windows_left": sets(start=lambda p: (0, -1)),
    "stride_phase": sets(start=lambda p: tuple(1 if stride > 1 else 0 for stride in p.strides)),
    "strides_turned": sets(strides=lambda p: (p.strides[1], p.strides[0])),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_windows_is_what_it_says(name):
    assert_fault_is(name, FAULTS[name])


def windows_of(case):
    """{(n, y, x, c): [code or None where the window leaves the image]}."""
    (x,), a = case.operands, case.layer.attributes
    found = {}
    for n, y, z, c in np.ndindex(len(x), *case.shape):
        rows = [y * a["strides"][0] - a["pads"][0] + k for k in range(a["kernel_shape"][0])]
        columns = [z * a["strides"][1] - a["pads"][1] + k for k in range(a["kernel_shape"][1])]
        found[n, y, z, c] = [
            int(x[n, r, q, c]) if 0 <= r < x.shape[1] and 0 <= q < x.shape[2] else None for r in rows for q in columns
        ]
    return found


POOL_FAULTS = {
    "padding_wins": lambda window, signed: max(0 if code is None else code for code in window),
    "minimum": lambda window, signed: min(code for code in window if code is not None),
    "first_of_window": lambda window, signed: next(code for code in window if code is not None),
    "maximum_other_sign": lambda window, signed: max(
        (code for code in window if code is not None), key=lambda code: low(code, 8, not signed)
    ),
}


@pytest.mark.parametrize("name", POOL_FAULTS)
def test_faults_of_maximum_pools_are_what_they_say(name):
    for seed in range(1, 9):
        case = of("maxpool", seed)
        signed = case.operands[0].dtype == np.int8
        found = values(case, name, "code")
        for place, window in windows_of(case).items():
            assert found[place] == POOL_FAULTS[name](window, signed)


def test_faults_of_average_pools_are_what_they_say():
    full = cut = 0
    for seed in range(1, 15):
        case = of("avgpool", seed)
        machine = machine_of(case)
        golden = recompute(machine, ["accumulator"])["accumulator"]
        for place, window in windows_of(case).items():
            codes = [code for code in window if code is not None]
            if not sum(codes):
                continue
            common = int(golden[place]) * len(codes) // sum(codes)
            assert values(case, "average_cut")[place] == sum(codes) // len(codes) * common
            cut += 1
            if HYPOTHESES["average_of_full_window"](machine) is not None:
                assert values(case, "average_of_full_window")[place] * len(window) == sum(codes) * common
                full += 1
            break
    assert full
    assert cut


def test_padding_with_what_black_becomes():
    """The first convolution pads the raw image; the code of pixel 0 is that of the oracle."""
    applied = 0
    for case, _ in cases_of(seeded(11, ["conv"], ("half_up",)), 2):
        machine = HYPOTHESES["padding_black"](machine_of(case))
        if machine is None:
            continue
        step, bias = case.network.layers[0].requantize, case.network.layers[0].constants["bias"]
        for c, fill in enumerate(np.broadcast_to(machine.fill, len(bias))):
            multiplier, shift = (int(values[c % len(values)]) for values in (step.multiplier, step.shift))
            assert fill == oracle.requantize(int(bias[c]), multiplier, shift, "half_up", step.lo, step.hi)
            applied += 1
    assert applied


@pytest.mark.parametrize(("fault", "name"), [("pool_maximum", "maximum_for_average"),
                                             ("pool_short", "average_without_last")])  # fmt: skip
def test_averages_as_they_were_planted(fault, name):
    network = conv_case(3, size=(6, 5), outputs=8).network
    case = next(case for case, _ in cases_of(network, 2) if case.layer.op == "global_avgpool")
    assert_as_planted(case, fault, name)
