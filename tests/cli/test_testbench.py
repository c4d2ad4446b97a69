"""refengine testbench: the folder that it writes, what it prints, and that bad input is one line."""

import json
import os

import pytest
from verbs import refengine, refusal

LAYER = "001_conv"
CALL = ("testbench", "pack", "--layer", LAYER, "-o", "bench", "--simulator")


@pytest.fixture
def pack(files):
    assert refengine("vectors", "model.h5", "images.h5", "--count", "1", "-o", "pack", "--layer", LAYER).code == 0


@pytest.mark.parametrize("simulator", ["icarus", "verilator", "ghdl", "cocotb"])
def test_it_prints_the_files_that_it_writes(pack, simulator):
    outcome = refengine(*CALL, simulator)
    assert (outcome.code, outcome.err) == (0, "")
    named = outcome.out.removeprefix("bench: ").split("; next: make -C bench")[0].split(", ")
    assert sorted(named) == sorted(os.listdir("bench"))
    assert "Makefile" in named


def test_json(pack):
    assert refengine(*CALL, "icarus", "--json", "out.json").code == 0
    with open("out.json", encoding="utf-8") as file:
        figures = json.load(file)
    assert (figures["report"], figures["simulator"], figures["reference"]) == ("testbench", "icarus", False)
    assert sorted(figures["files"]) == sorted(os.listdir("bench"))


def test_what_cannot_be_written_is_refused(pack):
    os.mkdir("bench")
    with open("bench/mine.sv", "w", encoding="utf-8") as file:
        file.write("module mine; endmodule\n")
    refusal(*CALL, "icarus")
    assert os.listdir("bench") == ["mine.sv"]


def test_a_layer_and_a_pack_that_are_not_there(pack):
    assert "001_conw" in refusal("testbench", "pack", "--layer", "001_conw", "-o", "b", "--simulator", "icarus")
    assert "model.h5" in refusal("testbench", "model.h5", "--layer", LAYER, "-o", "b", "--simulator", "icarus")
    assert not os.path.exists("b")


def test_a_simulator_that_is_unknown(pack):
    outcome = refengine(*CALL, "vivado")
    assert outcome.code == 2
    assert "'vivado' is not one of" in outcome.err
