"""refengine compare: exit codes, what is printed, the reports, and that bad input is one line."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
from dumps import as_archive, as_folder, integers_of
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.network.int_file import read_int_network

CALL = ("compare", "trace.h5", "dut.h5")


@pytest.fixture
def dut(files):
    """A trace that is a copy of the golden, and the name of a convolution in it."""
    shutil.copy("trace.h5", "dut.h5")
    return next(layer.name for layer in read_int_network("model.h5").layers if layer.op == "conv")


def spoil(layer, stage="code", change=1, path="dut.h5"):
    with h5py.File(path, "r+") as file:
        dataset = file[f"layers/{layer}/{stage}"]
        values = dataset[:]
        values[-1, ..., -1] ^= change
        dataset[:] = values


def test_equal(dut):
    network = read_int_network("model.h5")
    outcome = refengine(*CALL, "--model", "model.h5")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"EQUAL: {len(network.layers)} layers, " in outcome.out
    assert "byte for byte the same file" in outcome.out


def test_different(dut):
    spoil(dut)
    outcome = refengine(*CALL, "--model", "model.h5")
    assert outcome.code == 1
    assert f"first difference: layer {dut}, stage code" in outcome.out
    assert f"{dut} goes wrong by itself" in outcome.out
    assert "DIFFERENT: " in outcome.out.splitlines()[-1]
    assert "xor 0x01 = 0000_0001" in outcome.out
    assert "culprit" in outcome.out
    without = refengine(*CALL)
    assert without.code == 1
    assert "goes wrong by itself" not in without.out


def test_json_says_what_the_tables_say(dut):
    spoil(dut)
    outcome = refengine(*CALL, "--model", "model.h5", "--json", "-")
    figures = outcome.json
    assert outcome.code == 1
    assert (figures["report"], figures["equal"], figures["culprits"]) == ("compare", False, [dut])
    assert (figures["first"]["layer"], figures["first"]["stage"]) == (dut, "code")
    assert figures["model_hash"] == read_int_network("model.h5").hash
    refengine(*CALL, "--model", "model.h5", "--json", "out.json")
    with open("out.json", encoding="utf-8") as file:
        assert json.load(file) == figures


def test_junit(dut):
    spoil(dut)
    assert refengine(*CALL, "--junit", "out.xml").code == 1
    cases = ElementTree.parse("out.xml").getroot().iter("testcase")
    assert [case.get("name") for case in cases if case.find("failure") is not None] == [dut]


def test_exclude(dut):
    spoil(dut)
    outcome = refengine(*CALL, "--exclude", dut)
    assert outcome.code == 0
    assert f"not compared: {dut}" in outcome.out


def test_stages(dut):
    spoil(dut, "total")
    assert refengine(*CALL).code == 1
    assert refengine(*CALL, "--stage", "code, accumulator").code == 0
    assert refengine(*CALL, "--stage", "result").code == 0


def test_a_folder_and_names_of_its_own(dut):
    stages, images = integers_of("trace.h5")
    as_folder(Path("folder"), {f"u_{name}": held for name, held in stages.items()}, images)
    names = [part for name in stages for part in ("--map", f"{name}=u_{name}")]
    assert refengine("compare", "trace.h5", "folder").code == 1
    assert refengine("compare", "trace.h5", "folder", *names, "--model", "model.h5").code == 0


def test_a_pack_brings_its_network_and_addresses(dut):
    outcome = refengine("vectors", "model.h5", "images.h5", "-o", "pack", "--count", "2")
    assert outcome.code == 0, outcome
    spoil(dut)
    outcome = refengine("compare", "pack", "dut.h5")
    assert outcome.code == 1
    assert f"{dut} goes wrong by itself" in outcome.out
    assert "golden: " in outcome.out
    assert ", word " in outcome.out


def test_any_integer_type(dut):
    stages, images = integers_of("trace.h5")
    wide = {name: {stage: array.astype(np.int64) for stage, array in held.items()} for name, held in stages.items()}
    as_archive("wide.npz", wide, images)
    outcome = refengine("compare", "trace.h5", "wide.npz")
    assert outcome.code == 1
    assert "holds int64, the golden uint8 (--any-integer-type compares the values)" in outcome.out
    assert refengine("compare", "trace.h5", "wide.npz", "--any-integer-type", "--model", "model.h5").code == 0


def test_the_golden_itself_is_a_failure(files):
    outcome = refengine("compare", "trace.h5", "trace.h5")
    assert outcome.code == 1
    assert "problem: trace.h5 is the golden itself: nothing was tested" in outcome.out


def test_nothing_compared_is_a_failure(dut):
    outcome = refengine(*CALL, "--exclude", "*")
    assert outcome.code == 1
    assert "0 layers compared" in outcome.out


def test_another_model_is_a_failure(dut):
    assert (
        refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "other.h5", "--rounding", "floor").code == 0
    )
    outcome = refengine(*CALL, "--model", "other.h5")
    assert outcome.code == 1
    assert f"the model of model {read_int_network('other.h5').hash}" in outcome.out


def test_self_test(dut):
    outcome = refengine(*CALL, "--self-test")
    assert "one bit of one value is inverted" in outcome.out
    assert "cannot tell: a DUT that hands in a copy" in outcome.out
    figures = refengine(*CALL, "--self-test", "--json", "-").json["self_test"]
    assert all(seed["caught"] for seed in figures["seeds"])
    assert outcome.code == (0 if figures["passed"] else 1)
    excluded = refengine(*CALL, "--self-test", "--exclude", dut)
    assert excluded.code == 1
    assert "EQUAL: " in excluded.out
    assert f"in {dut} accumulator, {dut} total, {dut} code" in excluded.out
    assert "self-test: some seeded faults go unnoticed" in excluded.out


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--model", "nosuch.h5"], "nosuch.h5"),
        (["--model", "images.h5"], "refengine-images"),
        (["--exclude", "nosuch"], "means no layer"),
        (["--stage", "nosuch"], "stage 'nosuch' is unknown"),
        (["--stage", ""], "stage '' is unknown"),
        (["--map", "nosuch"], "needed GOLDEN=DUT"),
        (["--map", "=a"], "needed GOLDEN=DUT"),
        (["--map", "nosuch=000_input"], "'nosuch'"),
        (["--json", "dut.h5"], "is also read from"),
        (["--junit", "trace.h5"], "is also read from"),
        (["--junit", "out.xml", "--json", "out.xml"], "would be written twice"),
    ],
)
def test_bad_input_is_one_line(dut, arguments, needle):
    assert needle in refusal(*CALL, *arguments)


@pytest.mark.parametrize("name", ["trace.h5", "model.h5"])
def test_damaged_input(dut, files, name):
    if name == "model.h5":
        assert_damage_is_refused(files / name, *CALL, "--model", "model.h5")
        return
    path = files / name
    good = path.read_bytes()
    for content in (b"", b"no HDF5\n" * 99, good[: len(good) // 2], good[:2048] + bytes(len(good) - 2048)):
        path.write_bytes(content)
        assert "trace.h5" in refusal(*CALL)
        assert "trace.h5" in refusal("compare", "dut.h5", "trace.h5")


def test_help_does_not_load_the_compiler():
    outcome = refengine("compare", "--help")
    assert outcome.code == 0
    assert "GOLDEN DUT" in outcome.out
