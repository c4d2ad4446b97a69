"""refengine bench: options reach the comparison, and nothing is measured where something is wrong."""

import json

import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.bench import bench, peers
from refengine.cli import bench as verb
from refengine.network import geometry as geometries
from refengine.quantization.quantize import quantize

TINY = geometries.Geometry(8, 5, (16, 32), (1, 1), large_stem=False)
CALL = ("bench", "--geometry", "tiny", "--rounds", "2")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A tiny geometry, no pauses, short bursts, no model of an earlier run, and a peer that needs no package."""
    monkeypatch.setattr(bench, "quantized", quantize)
    monkeypatch.setattr(geometries, "GEOMETRIES", {"tiny": TINY})
    for name, value in {"PAUSE": 0, "ENOUGH": 0, "PEAK_STEPS": 1, "PEAK_WARM_UP": 0}.items():
        monkeypatch.setattr(bench, name, value)
    for name in peers.PEERS:
        monkeypatch.setitem(peers.PEERS, name, fake(name))


def fake(name):
    def make(network, calibration, batch, threads):
        return peers.Peer(name, f"{batch}.{threads}", lambda x: x, lambda x: x)

    return make


def names(outcome):
    return [engine["name"] for engine in outcome.json["engines"]]


def test_the_table_has_a_row_for_each_engine(monkeypatch):
    outcome = refengine(*CALL, "--against", "openvino,torch", "--weights", "ternary,int8", "--threads", "2")
    assert (outcome.code, outcome.err) == (0, "")
    assert "tiny: images 8x8x3, 0.001 GMAC an image" in outcome.out
    assert "batch 1, 2 threads, 2 rounds" in outcome.out
    assert "openvino 1.2, torch 1.2" in outcome.out
    rows = [line.split("  ")[0] for line in outcome.out.splitlines()]
    engines = ["refengine ternary", "refengine int8", "openvino", "torch", "refengine ternary, capacity"]
    assert [row for row in rows if row in engines] == engines
    assert "peak of dense" in outcome.out


def test_the_json_has_the_times_of_every_round(tmp_path):
    path = tmp_path / "figures.json"
    assert refengine(*CALL, "--against", "none", "--json", path).code == 0
    figures = json.loads(path.read_text())
    assert (figures["report"], figures["network"], figures["rounds"]) == ("bench", "tiny", 2)
    (engine,) = figures["engines"]
    assert len(engine["seconds_per_image"]["rounds"]) == 2


def test_without_against_every_engine_that_is_installed(monkeypatch):
    monkeypatch.setattr(verb, "installed", lambda name: name == "torch")
    outcome = refengine(*CALL, "--json", "-")
    assert names(outcome) == ["refengine ternary", "torch"]
    assert outcome.err == (
        'refengine: not installed, so not measured: openvino, onnxruntime; needed: pip install "refengine[bench]"\n'
    )


def test_clusters_of_several_sizes_in_one_table():
    call = (*CALL, "--against", "none", "--cluster", "4,16", "--weights", "ternary,int8", "--json", "-")
    assert names(refengine(*call)) == ["refengine ternary N=4", "refengine ternary N=16", "refengine int8"]


def test_a_network_from_a_file_with_its_images(files):
    outcome = refengine(
        "bench", "net.h5", "--images", "unlabelled.h5", "--against", "none", "--rounds", "1", "--json", "-"
    )
    assert outcome.json["input_shape"] == [7, 6, 3]
    assert outcome.json["network"] == "every_op"


def test_batches_larger_than_the_calibration(files):
    call = ("bench", "net.h5", "--against", "torch", "--rounds", "1", "--batch", "6", "--json", "-")
    assert refengine(*call).json["engines"][1]["version"] == "6.1"


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (("bench", "--geometry", "vgg"), "geometry 'vgg' is unknown; available: tiny"),
        (("bench", "missing.h5"), "missing.h5"),
        ((*CALL, "--against", "tvm"), "engine 'tvm' is unknown; available: openvino, onnxruntime, torch"),
        ((*CALL, "--against", "none", "--weights", "int5"), "weights is 'int5'"),
        ((*CALL, "--against", "none", "--weights", ","), "found 0 weight formats"),
    ],
)
def test_bad_input_is_one_line(arguments, needle):
    assert needle in refusal(*arguments)


def test_outputs_do_not_overwrite_inputs(files):
    assert "is also read from" in refusal("bench", "net.h5", "--json", "net.h5")


@pytest.mark.parametrize(
    "arguments",
    [["bench"], ["bench", "net.h5", "--geometry", "tiny"], [*CALL, "--rounds", "0"], [*CALL, "--cluster", "0"]],
)
def test_wrong_use_is_2(arguments):
    outcome = refengine(*arguments)
    assert outcome.code == 2
    assert "Error: " in outcome.err


@pytest.mark.parametrize("name", ["net.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    call = ("bench", "net.h5", "--images", "images.h5", "--against", "none", "--rounds", "1", "--json", "figures.json")
    assert_damage_is_refused(files / name, *call)
