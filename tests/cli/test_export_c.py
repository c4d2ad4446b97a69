"""refengine export to C: a model and its header, with --dpi the way to it from SystemVerilog, whole or not at all."""

import subprocess

import pytest
from c_models import WARNINGS, missing
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.interop.c.model import to_c
from refengine.network.int_file import read_int_network

CALL = ("export", "model.h5", "my-model.c")


def test_the_files_are_the_model_and_its_header(files):
    outcome = refengine(*CALL)
    network = read_int_network("model.h5")
    made = to_c(network, "my_model", stem="my-model")
    assert (outcome.code, outcome.err) == (0, "")
    assert (files / "my-model.c").read_text() == made.source
    assert (files / "my-model.h").read_text() == made.header
    head, line = outcome.out.splitlines()
    assert head == f"model {network.hash}, contract {network.contract}"
    assert line == (
        f"my-model.h, my-model.c: my_model_run, arena {made.memory.bytes:,} bytes, tables {made.table_bytes:,} bytes"
    )


@pytest.mark.skipif(bool(missing("gcc")), reason=missing("gcc"))
@pytest.mark.parametrize("weights", ["packed", "bytes"])
def test_the_files_compile_without_a_warning(files, weights):
    figures = refengine(*CALL, "--name", "net", "--weights", weights, "--dpi", "--json", "-").json
    for name in ("my-model.c", "my-model_dpi.c"):
        done = subprocess.run(["gcc", *WARNINGS, "-c", name], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert (figures["report"], figures["name"], figures["output"]) == ("export", "net", "my-model.c")
    assert all((files / name).exists() for name in figures["files"])
    assert figures["table_bytes"] > 0
    assert figures["arena_bytes"] > 0


def test_packed_weights_take_less_than_bytes(files):
    sizes = [refengine(*CALL, "--weights", form, "--json", "-").json["table_bytes"] for form in ("packed", "bytes")]
    assert sizes[0] < sizes[1]


def test_files_lie_in_the_folder_of_the_model(files):
    (files / "out").mkdir()
    refengine("export", "model.h5", "out/net.c", "--dpi")
    names = {path.name for path in (files / "out").iterdir()}
    assert {"net.c", "net.h", "net_dpi.c", "net_pkg.sv", "net_check.sv"} <= names
    assert '#include "net.h"' in (files / "out" / "net.c").read_text()


def test_dynamic_exponents_and_draws_are_no_obstacle(files):
    options = ("--rounding", "stochastic", "--exponents", "dynamic")
    refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "model.h5", *options)
    assert refengine(*CALL).code == 0


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["net.h5", "net.c"], "net.h5 holds a network of floats: C needs an integer network"),
        (["images.h5", "net.c"], "images.h5"),
        (["model.h5", "nowhere/net.c"], "there is no folder"),
        (["model.h5", "net.c", "--json", "net.h"], "would be written twice"),
        (["model.h5", "net.c", "--layers"], "--layers is for ONNX"),
        (["model.h5", "net.c", "--name", "8bit"], "name '8bit' is no C identifier"),
        (["model.h5", "näh.c"], "cannot be included in C"),
        (["model.h5", "net.c", "--layer", "conv"], "--layer needs --dpi"),
        (["model.h5", "net.c", "--dpi", "--layer", "000_input"], "the example testbench cannot drive it"),
        (["model.h5", "net.c", "--dpi", "--layer", "nosuch"], "0 layers are called 'nosuch'"),
        (["model.h5", "net.onnx", "--dpi"], "the file must end in .c"),
        (["model.h5", "net.onnx", "--weights", "bytes"], "the file must end in .c"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, arguments, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal("export", *arguments)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_a_model_is_not_written_over(files):
    (files / "model.c").write_bytes((files / "model.h5").read_bytes())
    assert "is also read from" in refusal("export", "model.c", "model.c")


def test_damaged_input_is_refused_in_one_line(files):
    assert_damage_is_refused(files / "model.h5", *CALL)
