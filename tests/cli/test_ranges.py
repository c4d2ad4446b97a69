"""refengine ranges: the figures are those of analysis/ranges.py, and worst-case stimuli can be simulated."""

import json

import numpy as np
import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.analysis.ranges import accumulator_ranges, figures
from refengine.analysis.terms import accumulates
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network
from refengine.ops import OPS

CALL = ("ranges", "model.h5", "images.h5")


def test_the_figures_are_those_of_the_function(files):
    network = read_int_network("model.h5")
    with open_images("images.h5") as images:
        entries = accumulator_ranges(network, images.read(2, 7), backend="reference", first_image=2)
    report = refengine(*CALL, "--first", "2", "--count", "5", "--json", "-", "--threads", "2").json
    assert (report["report"], report["model_hash"], report["first"], report["count"]) == ("ranges", network.hash, 2, 5)
    assert report["layers"] == json.loads(json.dumps([figures(entry) for entry in entries]))
    assert report["worst_case"] is None


def test_the_table_has_every_accumulating_layer(files):
    network = read_int_network("model.h5")
    outcome = refengine(*CALL)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == f"model {network.hash}, contract 1, images 0..11"
    names = [layer.name for layer in network.layers if accumulates(layer)]
    assert [line.split()[0] for line in lines[2:-2]] == names


def test_every_column_and_those_that_matter(files):
    """A line a layer, as wide as it needs; a terminal of 100 columns has room for the usual ones."""
    some, every = (refengine(*CALL, *more).out.splitlines() for more in ([], ["--all"]))
    assert len(some) == len(every)
    assert all(a.startswith(b.rstrip()) for a, b in zip(every[2:-2], some[2:-2], strict=True))
    assert max(map(len, some[1:-2])) <= 110
    network = read_int_network("model.h5")
    for layer, line in zip(filter(accumulates, network.layers), every[2:-2], strict=True):
        lo, hi = network.bounds[layer.name]
        assert line.split()[-1] == f"{int(lo.min())}..{int(hi.max())}"
    assert some[-1].endswith("--all prints more columns")


def test_stimuli_are_files_that_can_be_simulated(files):
    network = read_int_network("model.h5")
    outcome = refengine(*CALL, "--worst-case", "worst", "--json", "figures.json")
    assert outcome.code == 0
    report = json.loads((files / "figures.json").read_text())
    layers = [layer for layer in network.layers if accumulates(layer)]
    assert sorted(path.name for path in (files / "worst").iterdir()) == [f"{layer.name}.npz" for layer in layers]
    for layer, figure in zip(layers, report["layers"], strict=True):
        arrays = dict(np.load(files / "worst" / f"{layer.name}.npz"))
        operands = [arrays[name] for name in sorted(arrays) if name.startswith("input_")]
        sums = OPS[layer.op].reference(*operands, **layer.arguments)
        lo, hi = network.bounds[layer.name]
        for number, (one, bound) in enumerate(zip(figure["stimuli"], (lo.min(), hi.max()), strict=True)):
            assert int(sums[(number, *one["place"])]) == one["sum"]
            assert one["attains"]
            assert one["reached"] == one["bound"] == int(bound)
    assert outcome.out.count(" attained\n") == 2 * len(layers)
    assert outcome.out.splitlines()[-1] == f"worst: {len(layers)} files"
    first = {path.name: path.read_bytes() for path in (files / "worst").iterdir()}
    assert refengine(*CALL, "--worst-case", "worst").code == 0
    assert {path.name: path.read_bytes() for path in (files / "worst").iterdir()} == first


def test_stimuli_as_a_simulator_reads_them(files):
    network = read_int_network("model.h5")
    call = (*CALL, "--count", "1", "--layer", "001_conv", "--worst-case", "worst", "--format", "readmemh,npy")
    assert refengine(*call).out.splitlines()[-1].startswith("worst: ")
    with np.load(files / "worst" / "001_conv.npz") as archive:
        arrays = dict(archive)
    assert str(arrays["model_hash"]) == network.hash
    lines = (files / "worst" / "001_conv" / "input_0.memh").read_text().split()
    assert [int(line, 16) for line in lines] == [int(code) % 256 for code in arrays["input_0"].ravel()]
    assert np.array_equal(np.load(files / "worst" / "001_conv" / "code.npy"), arrays["code"])
    assert refengine(*call).code == 0


def test_stimuli_do_not_land_among_those_of_another_model(files):
    assert refengine(*CALL, "--count", "1", "--worst-case", "worst").code == 0
    before = {path.name: path.read_bytes() for path in (files / "worst").iterdir()}
    refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "other.h5", "--rounding", "floor")
    line = refusal("ranges", "other.h5", "images.h5", "--worst-case", "worst")
    assert "is a stimulus of another model; kept" in line
    assert {path.name: path.read_bytes() for path in (files / "worst").iterdir()} == before


def test_a_format_needs_stimuli(files):
    outcome = refengine(*CALL, "--format", "readmemh")
    assert (outcome.code, outcome.out) == (2, "")
    assert "needs --worst-case DIR" in outcome.err
    assert "'vhdl' is none of npy, readmemh" in refengine(*CALL, "--worst-case", "worst", "--format", "vhdl").err


def test_the_former_names_still_work(files):
    """``ledger --witness`` is ``ranges --worst-case``; no help names it."""
    now = refengine(*CALL, "--count", "1", "--worst-case", "worst")
    former = refengine("ledger", *CALL[1:], "--count", "1", "--witness", "worst")
    assert (former.code, former.out) == (0, now.out)
    assert "ledger" not in refengine("--help").out
    assert "witness" not in refengine("ranges", "--help").out


def test_only_chosen_layers_are_reported(files):
    report = refengine(*CALL, "--layer", "*_conv", "--layer", "fc", "--count", "1", "--json", "-").json
    assert {layer["op"] for layer in report["layers"]} == {"conv", "fc"}


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--layer", "nosuch"], "'nosuch'"),
        (["--layer", "*_flatten"], "no chosen layer accumulates"),
        (["--first", "99"], "has images 0..11, asked for 99"),
        (["--json", "model.h5"], "is also read from"),
        (["--worst-case", "model.h5"], "is a file, a folder was needed"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, options, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*CALL, *options)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize("name", ["model.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL)
