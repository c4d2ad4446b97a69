"""Orders, tiles and blocked layouts: each is what it says in plain Python, and is found."""

import numpy as np
import pytest
from golden_cases import assert_as_planted, conv_case
from mutation.datapath import Datapath

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import named
from refengine.golden.diagnose.hypotheses_orders import ORDERS, PATTERNS, patterns
from refengine.golden.diagnose.machine import STAGES, machine_of, recompute

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


@pytest.mark.parametrize("name", ORDERS)
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


@pytest.mark.parametrize(("axis", "size", "side"), [(0, 3, 2), (0, 4, 0), (1, 3, 1)])
def test_tiles_see_nothing_around_them(axis, size, side):
    """Each tile computed from its own lines alone, by the datapath that shares nothing with the machine."""
    datapath = Datapath(CASE)

    def tap(codes, place, rows, columns):
        lines = (rows, columns)[axis]
        tile = np.arange(len(lines)) // size
        gone = (lines < tile * size) & (side != 1) | (lines >= (tile + 1) * size) & (side != 0)
        return np.where(gone.reshape((-1, 1, 1) if axis == 0 else (-1, 1)), 0, codes)

    datapath.tap = tap
    dump = datapath.stages()
    written = recompute(named(f"tile_without_halo={axis},{size},{side}")(machine_of(CASE)), STAGES)
    for stage in STAGES:
        np.testing.assert_array_equal(written[stage], dump[stage])
    found = diagnose(CASE, None, dump)
    assert (found.cause, found.certain) == (f"tile_without_halo={axis},{size},{side}", True)


def test_blocked_layouts_are_told_apart():
    for size in (2, 4):
        dump = {"code": GOLDEN["code"].reshape(2, 9, 8, 8 // size, size).transpose(0, 3, 1, 2, 4).reshape(2, 9, 8, 8)}
        assert diagnose(CASE, None, dump).cause == f"written_blocked={size},0"


@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_tiles_of_both_axes_are_found(strides):
    case = conv_case(6, count=2, size=(19, 18), inputs=4, outputs=4, cluster=2, strides=strides, shift=14)
    assert_as_planted(case, "tiles_4_by_3", "tiles_without_halo=4,3,2")
    square = named("tiles_without_halo=5,5,0")(machine_of(case))
    found = diagnose(case, None, recompute(square, STAGES))
    assert (found.cause, found.certain) == ("tiles_without_halo=5,5,0", True)
    assert found.sentence.startswith("tiles of 5 x 5 pixels do not see the pixels before them: ")
