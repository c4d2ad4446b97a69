"""refengine trace: the file and the digests are those of the engine."""

import numpy as np
import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.engine.run import run
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network
from refengine.runs.digest import digests
from refengine.runs.predict import BACKENDS
from refengine.runs.trace import open_trace

CALL = ("trace", "model.h5", "images.h5")


def pixels(first, count):
    with open_images("images.h5") as images:
        return images.read(first, first + count)


def test_a_trace_holds_the_run(files):
    outcome = refengine(*CALL, "-o", "out.h5", "--first", "2", "--count", "3")
    network = read_int_network("model.h5")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == f"out.h5: trace of {len(network.layers)} layers, images 2..4"
    with open_trace("out.h5") as trace:
        assert (trace.model_hash, trace.count) == (network.hash, 3)
        assert trace.layers == tuple(layer.name for layer in network.layers)
        np.testing.assert_array_equal(trace.images.whole(), pixels(2, 3))
        np.testing.assert_array_equal(trace.logits.whole(), run(network, pixels(2, 3), "reference"))


def test_only_chosen_layers_are_traced(files):
    assert refengine(*CALL, "-o", "out.h5", "--layer", "*_conv", "--layer", "fc").code == 0
    with open_trace("out.h5") as trace:
        assert [name.partition("_")[2] for name in trace.layers] == ["conv", "conv", "conv", "fc"]


def test_partial_sums_are_traced_of_a_layer_that_was_not_chosen(files):
    assert refengine(*CALL, "-o", "out.h5", "--layer", "fc", "--partial-sums-of", "001_conv").code == 0
    with open_trace("out.h5") as trace:
        assert "partial_sums" in trace.layer("001_conv").stages


def test_digests_are_those_of_the_function(files):
    network = read_int_network("model.h5")
    wanted = digests(network, pixels(0, 5), "reference")
    outcome = refengine(*CALL, "--digests", "--count", "5")
    assert outcome.out.splitlines()[1:] == [f"{digest}  {name}" for name, digest in wanted.items()]
    figures = refengine(*CALL, "--digests", "--count", "5", "--threads", "2", "--json", "-").json
    assert (figures["report"], figures["digests"], figures["count"]) == ("trace", wanted, 5)
    chosen = refengine(*CALL, "--digests", "--count", "5", "--layer", "fc", "--json", "-").json["digests"]
    assert list(chosen.items()) == [item for item in wanted.items() if item[0].endswith("_fc")]


def test_backends_agree(files):
    by_backend = {name: refengine(*CALL, "--digests", "--backend", name).out for name in BACKENDS}
    assert {*by_backend.values()} == {refengine(*CALL, "--digests").out}


@pytest.mark.parametrize(("backend", "threads"), [*zip(BACKENDS, "121", strict=True)])
def test_backends_write_the_same_trace(files, backend, threads):
    """All but the backend's name."""
    arguments = ("--count", "4", "--partial-sums-of", "001_conv")
    assert refengine(*CALL, "-o", "out.h5", "--backend", backend, "--threads", threads, *arguments).code == 0
    assert refengine(*CALL, "-o", "plain.h5", *arguments).code == 0
    with open_trace("out.h5") as trace, open_trace("plain.h5") as plain:
        assert (trace.backend, plain.backend) == (backend, "fast")
        for name in plain.layers:
            for stage in plain.layer(name).stages:
                np.testing.assert_array_equal(trace.stage(name, stage).whole(), plain.stage(name, stage).whole())


def test_stochastic_rounding_knows_an_image_by_its_number(files):
    """Image 7 has the same integers whether the run starts with it or before it."""
    refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "model.h5", "--rounding", "stochastic")
    logits = run(read_int_network("model.h5"), pixels(0, 12))
    assert refengine(*CALL, "-o", "out.h5", "--first", "7", "--count", "2").code == 0
    with open_trace("out.h5") as trace:
        np.testing.assert_array_equal(trace.logits.whole(), logits[7:9])
        assert trace.first_image == 7
    wanted = digests(read_int_network("model.h5"), pixels(7, 2), first_image=7)
    assert refengine(*CALL, "--digests", "--first", "7", "--count", "2", "--json", "-").json["digests"] == wanted


def test_nothing_to_do(files):
    outcome = refengine(*CALL)
    assert outcome.code == 2
    assert "-o TRACE.h5 writes a trace, --digests prints digests" in outcome.err


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["-o", "model.h5"], "is also read from"),
        (["-o", "images.h5"], "is also read from"),
        (["-o", "out.h5", "--layer", "nosuch"], "'nosuch'"),
        (["-o", "out.h5", "--partial-sums-of", "nosuch"], "'nosuch'"),
        (["-o", "out.h5", "--partial-sums-of", "000_input"], "has no clusters"),
        (["-o", "out.h5", "--digests", "--partial-sums-of", "000_input"], "has no clusters"),
        (["-o", "out.h5", "--first", "99"], "has images 0..11, asked for 99"),
        (["-o", "nowhere/out.h5"], "there is no folder"),
        (["-o", "out.h5", "--json", "out.h5"], "would be written twice"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, options, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*CALL, *options)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize("name", ["model.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL, "-o", "out.h5")
