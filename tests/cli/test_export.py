"""refengine export: the file is the export of the network, whole or not at all."""

import numpy as np
import pytest
from tosa_tools import needs_tosa
from verbs import assert_damage_is_refused, refengine, refusal

from refengine import optional
from refengine.network.float_file import read_float_network
from refengine.network.forward import forward
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network

CALL = ("export", "model.h5", "out.onnx")

pytestmark = pytest.mark.skipif(not optional.installed("onnx"), reason="onnx is missing")


def test_the_file_is_a_valid_model_of_the_network(files):
    outcome = refengine(*CALL)
    network, onnx = read_int_network("model.h5"), optional.package("onnx")
    assert (outcome.code, outcome.err) == (0, "")
    made = onnx.load("out.onnx")
    onnx.checker.check_model(made, full_check=True)
    assert {one.key: one.value for one in made.metadata_props}["model_hash"] == network.hash
    size = (files / "out.onnx").stat().st_size
    head, line = outcome.out.splitlines()
    assert head == f"model {network.hash}, contract {network.contract}"
    assert line == f"out.onnx: opset 21, {len(made.graph.node)} nodes, {size:,} bytes"


def test_layers_are_outputs(files):
    figures = refengine(*CALL, "--layers", "--json", "-").json
    outputs = [one.name for one in optional.package("onnx").load("out.onnx").graph.output]
    assert {"001_conv.accumulator", "001_conv.code", "logits"} < {*outputs}
    assert (figures["report"], figures["output"], figures["outputs"]) == ("export", "out.onnx", len(outputs))
    assert figures["bytes"] == (files / "out.onnx").stat().st_size


@pytest.mark.skipif(not optional.installed("onnxruntime"), reason="onnxruntime is missing")
def test_outputs_saved_under_their_names_are_a_dump(files):
    """What docs/interop.md tells who has a program of their own."""
    refengine(*CALL, "--layers")
    refengine("trace", "model.h5", "images.h5", "--count", "3", "-o", "golden.h5")
    session = optional.package("onnxruntime").InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    with open_images("images.h5") as images:
        results = session.run(None, {"image": images.read(0, 3)})
    (files / "dump").mkdir()
    for output, integers in zip(session.get_outputs(), results, strict=True):
        np.save(files / "dump" / f"{output.name}.npy", integers)
    (files / "dump" / "logits.npy").unlink()
    outcome = refengine("compare", "golden.h5", "dump", "--model", "model.h5", "--order", "NCHW")
    assert outcome.code == 0
    assert f"EQUAL: {len(read_int_network('model.h5').layers)} layers" in outcome.out


def test_the_same_model_gives_the_same_bytes(files):
    refengine(*CALL)
    refengine("export", "model.h5", "again.onnx")
    assert (files / "out.onnx").read_bytes() == (files / "again.onnx").read_bytes()


def test_what_onnx_has_no_operator_for_is_refused(files):
    refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "model.h5", "--rounding", "stochastic")
    assert "layer '000_input' (input) rounds stochastic, by draws that no ONNX operator makes" in refusal(*CALL)
    assert not (files / "out.onnx").exists()


def test_a_float_network_comes_back(files):
    refengine("export", "net.h5", "out.onnx")
    line = refengine("export", "net.h5", "again.onnx").out.splitlines()[0]
    options = line.partition("convert ")[2].split()
    assert refengine("convert", "out.onnx", "back.h5", *options).code == 0
    network, back = read_float_network("net.h5"), read_float_network("back.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (3, *network.input_shape)).astype(np.uint8)
    assert np.array_equal(forward(back, pixels), forward(network, pixels))
    (entry,) = optional.package("onnx").load("out.onnx").graph.input
    assert entry.type.tensor_type.shape.dim[0].dim_param == "N"


@needs_tosa
def test_a_network_is_a_file_of_tosa(files):
    outcome = refengine("export", "model.h5", "out.tosa", "--batch", "2")
    assert (outcome.code, outcome.err) == (0, "")
    content = (files / "out.tosa").read_bytes()
    assert content[4:8] == b"TOSA"
    assert outcome.out.splitlines()[1].startswith("out.tosa: batch 2, ")
    figures = refengine("export", "model.h5", "again.tosa", "--batch", "2", "--layers", "--json", "-").json
    assert (figures["report"], figures["batch"]) == ("export", 2)
    assert figures["outputs"] > len(read_int_network("model.h5").layers)


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["model.h5", "model.h5"], "is also read from"),
        (["model.h5", "nowhere/out.onnx"], "there is no folder"),
        (["model.h5", "out.onnx", "--json", "out.onnx"], "would be written twice"),
        (["images.h5", "out.onnx"], "images.h5"),
        (["net.h5", "out.onnx", "--layers"], "--layers needs an integer network"),
        (["model.h5", "out.onnx", "--batch", "2"], "--batch is for TOSA and QONNX, the file must end in"),
        (["model.h5", "out.tflite"], "out.tflite: its ending says the format, needed .onnx, .qonnx, .tosa or .c"),
        (["net.h5", "out"], "out: its ending says the format"),
        (["model.h5", "out.qonnx"], "the export to QONNX cannot say a residual"),
        (["net.h5", "out.qonnx"], "net.h5 holds a network of floats: QONNX needs an integer network"),
        (["model.h5", "out.qonnx", "--layers"], "QONNX has every layer's tensors by name"),
        (["net.h5", "out.tosa"], "net.h5 holds a network of floats: TOSA needs an integer network"),
        (["model.h5", "out.tosa", "--tosa-python", "no/python"], "'no/python' is in no environment with tosa-tools"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, arguments, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal("export", *arguments)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_damaged_input_is_refused_in_one_line(files):
    assert_damage_is_refused(files / "model.h5", *CALL)
