"""The verb testbench: it writes the folder and says what is next, or refuses in one line and writes nothing."""

import pytest
from golden_cases import conv_case
from networks import random_images
from verbs import refengine, refusal

from refengine.cli.testbench import _SIMULATORS
from refengine.interop.hdl.testbench import SIMULATORS
from refengine.vectors.writer import write_vectors


@pytest.fixture
def pack(tmp_path):
    network = conv_case(7, inputs=8, outputs=6, cluster=4).network
    write_vectors(network, random_images(network, 1), tmp_path / "pack", layers=["003_conv"])
    return tmp_path / "pack"


def test_the_simulators_are_those_that_there_are():
    assert (*SIMULATORS,) == _SIMULATORS


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_it_says_what_it_wrote_and_what_is_next(pack, simulator, tmp_path):
    outcome = refengine("testbench", pack, "--layer", "conv", "--simulator", simulator, "-o", tmp_path / "tb")
    assert outcome.code == 0, outcome
    assert outcome.out == f"{tmp_path / 'tb'}: {', '.join(SIMULATORS[simulator])}; next: make -C {tmp_path / 'tb'}\n"


def test_json(pack, tmp_path):
    arguments = ("--layer", "003", "--simulator", "ghdl", "--reference", "--json", "-", "-o", tmp_path / "tb")
    found = refengine("testbench", pack, *arguments).json
    assert (found["report"], found["simulator"], found["reference"]) == ("testbench", "ghdl", True)
    assert found["files"] == [*SIMULATORS["ghdl"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "none"), "0 layers are called 'none'"),
        (("--layer", "003_conv", "--lanes", "4"), "4 results a beat do not divide the 6 channels"),
        (("--layer", "001_read", "--reference"), "has not all of layer '001_read'"),
    ],
)
def test_refusals(pack, arguments, message, tmp_path):
    assert message in refusal("testbench", pack, "--simulator", "icarus", "-o", tmp_path / "tb", *arguments)
    assert not (tmp_path / "tb").exists()


def test_what_is_no_pack_is_refused(tmp_path):
    line = refusal("testbench", tmp_path, "--layer", "a", "--simulator", "icarus", "-o", tmp_path / "tb")
    assert "is not a vector pack" in line
