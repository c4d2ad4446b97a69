"""Orders and blocked layouts: each is what it says in plain Python, and is found."""

import numpy as np
import pytest
from everyday import everyday
from golden_cases import conv_case
from plain_convolution import assert_fault_is, recoded, scaled, sets

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import named
from refengine.golden.diagnose.hypotheses_orders import ORDERS, PATTERNS, patterns
from refengine.golden.diagnose.machine import STAGES, machine_of
from refengine.golden.diagnose.recompute import recompute

CASE = conv_case(6, count=2, size=(9, 8), inputs=8, outputs=8, cluster=2, residual=True, shift=14)
GOLDEN = recompute(machine_of(CASE), STAGES)


@pytest.mark.parametrize("count", [2, 7, 12, 16])
def test_patterns_differ_and_read_from_places_that_exist(count):
    sources = [source for _, _, source in patterns(count)]
    assert all(((source >= 0) & (source < count)).all() and len(source) == count for source in sources)
    assert len({source.tobytes() for source in sources}) == len(sources)
    assert all((source != np.arange(count)).any() for source in sources)


@pytest.mark.parametrize(
    ("pattern", "k", "source"),
    [
        (0, 1, [1, 0, 3, 2, 5, 4]), (1, 2, [2, 3, 4, 5, 0, 1]), (2, -1, [0, 0, 1, 2, 3, 4]), (4, 3, [2, 1, 0, 5, 4, 3]),
        (5, 1, [5, 4, 3, 2, 1, 0]), (6, 2, [0, 0, 1, 1, 2, 2]), (7, 2, [0, 0, 2, 2, 4, 4]), (8, 3, [0, 1, 2, 0, 1, 2]),
        (9, 2, [0, 3, 1, 4, 2, 5]), (11, 4, [0, 1, 2, 3, 3, 4]),
        (12, 4, [0, 1, 2, 3, 5, 5]), (13, 0, [0, 1, 2, 3, 4, 0]),
    ],
)  # fmt: skip
def test_patterns_are_what_they_say(pattern, k, source):
    assert PATTERNS[pattern][2](6, k).tolist() == source


@pytest.mark.parametrize("name", everyday(ORDERS, 3))
def test_an_order_of_every_table_is_found(name):
    """A pattern that no other hypothesis is: blocks of four in reverse order."""
    machine = named(f"{name}=4,4")(machine_of(CASE))
    dump = recompute(machine, STAGES, None, STAGES)
    if name in ("scale_clusters_order", "weight_taps_order"):
        assert machine is not None
    found = diagnose(CASE, None, dump)
    if any(not np.array_equal(dump[stage], GOLDEN[stage]) for stage in STAGES):
        same = "words_of_4_reversed"  # what the order of the output's channels comes to
        assert any(match.name.startswith((name, same)) for match in found.ranked if match.exact), found.sentence
        assert not found.certain or found.cause.startswith((name, same))


def test_blocked_layouts_are_told_apart():
    for size in (2, 4):
        dump = {"code": GOLDEN["code"].reshape(2, 9, 8, 8 // size, size).transpose(0, 3, 1, 2, 4).reshape(2, 9, 8, 8)}
        assert diagnose(CASE, None, dump).cause == f"written_blocked={size},0"


FAULTS = {
    "scale_outputs_order=0,1": scaled(lambda p, o, g: p.s[o ^ 1 if o ^ 1 < p.O else o][g]),
    "weight_inputs_order=5,1": recoded(lambda p, o, i, ky, kx: p.w[o][p.I - 1 - i][ky][kx]),
    "bias_order=2,1": sets(bias=lambda p: lambda o: p.b[min(o + 1, p.O - 1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_orders_is_what_it_says(name):
    assert_fault_is(name, FAULTS[name])
