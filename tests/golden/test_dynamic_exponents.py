"""What the workflow says of networks whose images choose their exponents: the truth, or one line that refuses."""

import h5py
import networks
import pytest
from mutation.fault_table import fault_table

from refengine.analysis.divergence import divergence
from refengine.analysis.lint import lint
from refengine.analysis.ranges import accumulator_ranges, total_bound
from refengine.analysis.worst_case import stimulus
from refengine.errors import NetworkError
from refengine.golden.compare.compare import compare
from refengine.golden.diagnose.cause import diagnose
from refengine.golden.dumps.open_dump import open_dump
from refengine.runs.trace import open_trace, write_trace
from refengine.vectors.writer import write_vectors

NETWORK = networks.dynamic()
IMAGES = networks.random_images(NETWORK, 4)
FIRST = next(layer for layer in NETWORK.layers if NETWORK.dynamic[layer.name])

DOORS = {
    "lint": lambda path: lint(NETWORK),
    "arith": lambda path: divergence(NETWORK, IMAGES),
    "faults": lambda path: fault_table(NETWORK, IMAGES, diagnose),
    "a worst-case stimulus": lambda path: stimulus(NETWORK, FIRST, "low"),
    "a vector pack": lambda path: write_vectors(NETWORK, IMAGES, path / "pack"),
}


@pytest.mark.parametrize("who", DOORS)
def test_who_does_not_know_them_names_the_layer(who, tmp_path):
    with pytest.raises(NetworkError) as caught:
        DOORS[who](tmp_path)
    assert str(caught.value) == (
        f"layer {FIRST.name!r} ({FIRST.op}) has a dynamic exponent, chosen for each image; "
        f"{who} needs a network of static exponents"
    )
    assert not [*tmp_path.iterdir()]


def test_the_bounds_of_accumulator_ranges_hold():
    """Sums and totals of wider integers stay within bounds that know of them (contract D4, A2)."""
    entries = accumulator_ranges(NETWORK, IMAGES)
    assert len(entries) == len(NETWORK.bounds)
    for entry in entries:
        assert entry.bound.lo <= entry.sums.lo <= entry.sums.hi <= entry.bound.hi
        if entry.total is not None:
            bound = total_bound(NETWORK, NETWORK.layer(entry.layer))
            assert bound.lo <= entry.total.lo <= entry.total.hi <= bound.hi
    for backend in ("reference", "kernels"):
        assert accumulator_ranges(NETWORK, IMAGES, backend=backend) == entries


def test_compare_shows_the_first_exponent_that_differs(tmp_path):
    """A stage of its own, between what is rounded and the codes; with the network, nothing is recomputed or blamed."""
    write_trace(NETWORK, IMAGES, tmp_path / "golden.h5")
    write_trace(NETWORK, IMAGES, tmp_path / "dut.h5", backend="reference")
    with open_dump(tmp_path / "golden.h5") as golden, open_dump(tmp_path / "dut.h5") as dut:
        assert compare(golden, dut).equal
        known = compare(golden, dut, network=NETWORK, diagnose=diagnose)
    assert known.equal
    assert [note for note in known.notes if "exponents are dynamic" in note]
    spoil(tmp_path / "dut.h5")
    with open_dump(tmp_path / "golden.h5") as golden, open_dump(tmp_path / "dut.h5") as dut:
        found = compare(golden, dut, network=NETWORK, diagnose=diagnose)
    layer, stage = found.first
    assert (layer.layer, layer.verdict, layer.cause, stage.stage) == (FIRST.name, "different", None, "exponent")
    assert stage.entire.first.index == (2, 0)
    assert stage.entire.first.got == stage.entire.first.wanted + 1


def spoil(path):
    """One exponent of one image is too large by one."""
    with h5py.File(path, "r+") as file:
        file[f"layers/{FIRST.name}/exponent"][2, 0] += 1
    with open_trace(path) as trace:
        assert "exponent" in trace.layer(FIRST.name).stages
