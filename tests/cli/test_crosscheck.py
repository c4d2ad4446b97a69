"""refengine crosscheck: equal is 0, different is 1 with the layer and the cause, everything else is one line and 2."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from tosa_tools import needs_tosa
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.golden import crosscheck
from refengine.interop.onnx.engines import ENGINES
from refengine.network.int_file import read_int_network
from refengine.optional import installed, package

CALL = ("crosscheck", "model.h5", "images.h5", "--backend", "reference")

pytestmark = pytest.mark.skipif(
    not (installed("onnx") and installed("onnxruntime")), reason="onnx or onnxruntime is missing"
)


def test_equal(files):
    outcome = refengine(*CALL, "--count", "3")
    network = read_int_network("model.h5")
    assert (outcome.code, outcome.err) == (0, "")
    head, _, *rows = outcome.out.splitlines()
    assert head == f"model {network.hash}, contract {network.contract}"
    assert [re.split(r" {2,}", row)[0] for row in rows] == [*ENGINES]
    assert all(re.search(rf" 3 +{len(network.layers)} +[\d,]+ +0$", row) for row in rows)


def test_a_count_beyond_the_end_is_as_many_as_there_are(files):
    """As in the other verbs; the table and the figures say how many."""
    figures = refengine(*CALL, "--count", "99", "--first", "10", "--with", "onnxruntime", "--json", "-").json
    assert (figures["count"], figures["engines"][0]["images"]) == (2, 2)
    help = refengine("crosscheck", "--help").out
    assert "How many images, or as many as there are." in " ".join(help.split())


def test_json_has_counts_for_each_engine(files):
    figures = refengine(*CALL, "--count", "2", "--first", "5", "--batch", "1", "--json", "-").json
    assert (figures["report"], figures["first"], figures["count"], figures["equal"]) == ("crosscheck", 5, 2, True)
    assert figures["model_hash"] == read_int_network("model.h5").hash
    one, other = figures["engines"]
    assert one["version"] == package("onnxruntime").__version__
    assert (one["values_compared"], one["values_different"], one["comparison"]) == (other["values_compared"], 0, None)


@pytest.fixture
def planted(monkeypatch):
    """An export in which the biases of one convolution are forgotten."""
    export = crosscheck.to_onnx

    def spoiled(network, layers):
        model, arrays = export(network, layers), package("onnx.numpy_helper")
        (bias,) = [constant for constant in model.graph.initializer if constant.name == "001_conv/bias"]
        bias.CopyFrom(arrays.from_array(np.zeros_like(arrays.to_array(bias)), bias.name))
        return model

    monkeypatch.setattr(crosscheck, "to_onnx", spoiled)


def test_a_difference_is_named(files, planted):
    outcome = refengine(*CALL, "--with", "onnxruntime", "--first", "3")
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert "onnxruntime:" in lines
    assert any(re.search(r"^ *001_conv .* faulty$", line) for line in lines)
    assert "first difference: layer 001_conv, stage accumulator" in lines
    assert "of image 3: golden " in outcome.out
    assert lines[-1].startswith("cause: 001_conv: ")
    assert "bias" in lines[-1]


def test_a_difference_in_json(files, planted):
    outcome = refengine(*CALL, "--with", "onnxruntime", "--json", "-")
    (one,) = outcome.json["engines"]
    assert (outcome.code, outcome.json["equal"], one["equal"]) == (1, False, False)
    assert one["comparison"]["faulty_layers"] == ["001_conv"]
    assert one["comparison"]["first"]["stage"] == "accumulator"
    assert one["values_different"] > 0


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (
            ["--with", "abacus"],
            "engine 'abacus' is unknown; available: onnxruntime, onnx-reference, tosa, tosa-network",
        ),
        (["--with", "tosa", "--tosa-python", "no/python"], "'no/python' is in no environment with tosa-tools"),
        (["--with", "onnxruntime,"], "engine '' is unknown"),
        (["--first", "99"], "has images 0..11, asked for 99"),
        (["--json", "model.h5"], "is also read from"),
    ],
)
def test_bad_input_is_one_line(files, options, needle):
    assert needle in refusal(*CALL, *options)


def test_the_commands_of_the_page_run(files):
    """docs/interop.md, but for what the reader's own program does."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "interop.md").read_text(encoding="utf-8")
    section = re.search(r"^## To ONNX and the crosscheck\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)[1]
    commands = re.findall(r"^\$ refengine (.*)$", section, re.MULTILINE)
    codes = {command: refengine(*shlex.split(command)).code for command in commands if "dump" not in command}
    assert len(codes) > 2
    assert {*codes.values()} == {0}


@needs_tosa
def test_tosa_says_what_it_compared(files):
    outcome = refengine(*CALL, "--with", "tosa", "--count", "2")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(
        r"^tosa: (\d+) of \1 accumulators and codes of layers compared, each layer alone$", outcome.out, re.M
    )
    assert "  codes by INT64 operators, not RESCALE: " in outcome.out


@needs_tosa
def test_tosa_runs_the_whole_network_at_once(files):
    outcome = refengine(*CALL, "--with", "tosa-network", "--count", "2")
    assert (outcome.code, outcome.err) == (0, "")
    assert "tosa-network" in outcome.out


@needs_tosa
def test_what_tosa_cannot_express_is_named(files):
    """Draws: a stage of every layer that rounds."""
    assert (
        refengine("quantize", "net.h5", "--calibration", "images.h5", "--rounding", "stochastic", "-o", "s.h5").code
        == 0
    )
    call = ("crosscheck", "s.h5", "images.h5", "--backend", "reference", "--with", "tosa", "--count", "1")
    outcome = refengine(*call)
    assert outcome.code == 0
    assert re.search(
        r"^  not compared: \d+, stochastic rounding, whose draws no operator makes: 000_", outcome.out, re.M
    )
    (one,) = refengine(*call, "--json", "-").json["engines"]
    rounds = [layer.name for layer in read_int_network("s.h5").layers if layer.requantize is not None]
    assert [*one["stages_left_out"]] == [f"{name}.code" for name in rounds]
    assert (one["codes_by_int64"], one["values_different"]) == ({}, 0)


@pytest.mark.parametrize("name", ["model.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL)
