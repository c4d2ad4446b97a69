"""What a convolution leaves out is what it says in plain Python, and is found."""

import numpy as np
import pytest
from golden_cases import assert_as_planted, conv_case
from mutation.datapath import Datapath
from plain_convolution import assert_fault_is, recoded, sets

from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.hypotheses import named
from refengine.golden.diagnose.machine import STAGES, machine_of
from refengine.golden.diagnose.recompute import recompute

CASE = conv_case(6, count=2, size=(9, 8), inputs=8, outputs=8, cluster=2, residual=True, shift=14)
FAULTS = {
    "cluster_missing=0": sets(scale=lambda p: lambda o, i: p.s[o][i // p.cluster] if i >= p.cluster else 0),
    "input_channel_missing=1": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][kx] if i != 1 else 0),
    "kernel_line_dropped=1,0": recoded(lambda p, o, i, ky, kx: p.w[o][i][ky][kx] if kx else 0),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_what_is_left_out_is_what_it_says(name):
    assert_fault_is(name, FAULTS[name])


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


@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
def test_tiles_of_both_axes_are_found(strides):
    case = conv_case(6, count=2, size=(19, 18), inputs=4, outputs=4, cluster=2, strides=strides, shift=14)
    assert_as_planted(case, "tiles_4_by_3", "tiles_without_halo=4,3,2")
    square = named("tiles_without_halo=5,5,0")(machine_of(case))
    found = diagnose(case, None, recompute(square, STAGES))
    assert (found.cause, found.certain) == ("tiles_without_halo=5,5,0", True)
    assert found.sentence.startswith("tiles of 5 x 5 pixels do not see the pixels before them: ")
