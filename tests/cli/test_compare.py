"""refengine compare: exit codes, what is printed, the reports, and that bad input is one line."""

import json
import re
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


def test_a_difference_is_shown_with_layer_stage_and_bits(dut):
    spoil(dut)
    outcome = refengine(*CALL, "--model", "model.h5")
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    first = lines.index(f"first difference: layer {dut}, stage code")
    assert "xor 0x01 = 0000_0001" in lines[first + 1]
    assert lines[first - 2].startswith(f"faulty layer: {dut} goes wrong by itself")
    counts = r"DIFFERENT: \d+ of [\d,]+ values differ, in 1 of \d+ layers; 2 images from 0$"
    assert re.match(counts, lines[first - 3])
    cause = next(line for line in lines[first + 2 :] if not line.startswith("  where: "))
    assert cause.startswith(f"cause: {dut}: ")
    assert lines[0].split() == ["layer", "stages", "values", "entire", "by", "single", "verdict"]
    without = refengine(*CALL)
    assert without.code == 1
    assert "goes wrong by itself" not in without.out
    assert without.out.splitlines()[-1] == "cause: not looked for, --model MODEL.h5 recomputes each layer"


def test_json_says_what_the_tables_say(dut):
    spoil(dut)
    outcome = refengine(*CALL, "--model", "model.h5", "--json", "-")
    figures = outcome.json
    assert outcome.code == 1
    assert (figures["report"], figures["equal"], figures["faulty_layers"]) == ("compare", False, [dut])
    assert (figures["first"]["layer"], figures["first"]["stage"]) == (dut, "code")
    assert figures["model_hash"] == read_int_network("model.h5").hash
    refengine(*CALL, "--model", "model.h5", "--json", "out.json")
    with open("out.json", encoding="utf-8") as file:
        assert json.load(file) == figures


def test_the_junit_report_fails_for_the_wrong_layer_alone(dut):
    spoil(dut)
    assert refengine(*CALL, "--junit", "out.xml").code == 1
    cases = ElementTree.parse("out.xml").getroot().iter("testcase")
    assert [case.get("name") for case in cases if case.find("failure") is not None] == [dut]


def test_an_excluded_layer_is_named_and_not_judged(dut):
    spoil(dut)
    outcome = refengine(*CALL, "--exclude", dut)
    assert outcome.code == 0
    assert f"layer {dut}: excluded by name" in outcome.out


def test_only_chosen_stages_are_judged(dut):
    spoil(dut, "total")
    assert refengine(*CALL).code == 1
    assert refengine(*CALL, "--stage", "code, accumulator").code == 0
    assert refengine(*CALL, "--stage", "result").code == 0


def test_a_folder_and_names_of_its_own(dut):
    stages, images = integers_of("trace.h5")
    as_folder(Path("folder"), {f"u_{name}": held for name, held in stages.items()}, images)
    names = [part for name in stages for part in ("--map", f"{name}=u_{name}")]
    unknown = refengine("compare", "trace.h5", "folder")
    assert unknown.code == 1
    assert f"--map {dut}=u_{dut} compares it with the layer of that name" in unknown.out
    assert refengine("compare", "trace.h5", "folder", *names, "--model", "model.h5").code == 0


def test_a_pack_brings_its_network_and_addresses(dut):
    outcome = refengine("vectors", "model.h5", "images.h5", "-o", "pack", "--count", "2")
    assert outcome.code == 0, outcome
    spoil(dut)
    outcome = refengine("compare", "pack", "dut.h5")
    assert outcome.code == 1
    assert f"{dut} goes wrong by itself" in outcome.out
    assert "  golden: pack/" in outcome.out
    assert ", word " in outcome.out


def results(stages):
    """What each layer ends in."""
    return {name: held.get("code", held.get("accumulator")) for name, held in stages.items()}


def folder_of(name, arrays):
    Path(name).mkdir()
    for layer, array in arrays.items():
        np.save(Path(name) / f"{layer}.npy", array)


def test_codes_alone_in_every_form_and_without_numbers(dut):
    codes = results(integers_of("trace.h5")[0])
    folder_of("codes", codes)
    bare = [name.split("_", 1)[1] for name in codes]
    names = {name: name.split("_", 1)[1] if bare.count(name.split("_", 1)[1]) == 1 else name for name in codes}
    folder_of("names", {names[name]: array for name, array in codes.items()})
    assert {*names} != {*names.values()}
    np.savez("codes.npz", **codes)
    with h5py.File("codes.h5", "w") as file:
        for name, array in codes.items():
            file[name] = array
    for form in ("codes", "names", "codes.npz", "codes.h5"):
        outcome = refengine("compare", "trace.h5", form, "--model", "model.h5")
        assert outcome.code == 0, outcome
        *lines, exercised = outcome.out.splitlines()
        assert exercised.startswith("exercised: ")
        assert lines == [
            "stages accumulator, total: not in the dump, not judged (--stage accumulator,total,code demands them)",
            f"EQUAL: {len(codes)} layers, {sum(array.size for array in codes.values()):,} values, "
            f"{len(codes[dut])} images from 0",
        ]
    assert refengine("compare", "trace.h5", "codes", "--stage", "accumulator,code").code == 1


def test_a_damaged_file_is_a_row(dut):
    codes = results(integers_of("trace.h5")[0])
    others = [name for name in codes if name != dut]
    codes[others[1]] = codes[others[1]].astype(np.float32)
    folder_of("codes", codes)
    Path(f"codes/{dut}.npy").write_bytes(Path(f"codes/{dut}.npy").read_bytes()[:-3])
    outcome = refengine("compare", "trace.h5", "codes")
    assert outcome.code == 1
    assert f"{dut} code: codes/{dut}.npy: is truncated" in outcome.out
    assert f"codes/{others[1]}.npy: holds float32, needed integers" in outcome.out
    assert f"in 0 of {len(codes) - 2} layers; 2 layers not or not wholly compared" in outcome.out
    verdicts = {layer["name"]: layer["verdict"] for layer in refengine(*CALL, "--json", "-").json["layers"]}
    assert {*verdicts.values()} == {"equal"}


def test_other_axes_are_recognised_and_read_with_order(dut):
    codes = results(integers_of("trace.h5")[0])
    folder_of("nchw", {name: a.transpose(0, 3, 1, 2) if a.ndim == 4 else a for name, a in codes.items()})
    for name, array in codes.items():
        np.save(f"nchw/{name}.npy", np.load(f"nchw/{name}.npy").copy() if array.ndim == 4 else array)
    outcome = refengine("compare", "trace.h5", "nchw")
    assert outcome.code == 1
    assert "these are the axes N C H W, --order NCHW reads them" in outcome.out
    assert "best explanation: the integers lie in the order N C H W" in outcome.out.splitlines()[-1]
    assert refengine("compare", "trace.h5", "nchw", "--order", "nchw", "--model", "model.h5").code == 0


def test_one_image_without_its_axis(dut):
    assert refengine("trace", "model.h5", "images.h5", "--count", "1", "-o", "one.h5").code == 0
    codes = results(integers_of("one.h5")[0])
    folder_of("image", {name: array[0] for name, array in codes.items()})
    outcome = refengine("compare", "one.h5", "image", "--model", "model.h5")
    assert outcome.code == 0, outcome
    assert "no axis of images" in outcome.out
    outcome = refengine("compare", "trace.h5", "image")
    assert outcome.code == 1
    assert "no axis of images, the golden " in outcome.out


def test_a_contradiction_names_the_input(dut):
    spoil(dut)
    network = read_int_network("model.h5")
    reader = next(layer.name for layer in network.layers if dut in layer.inputs)
    outcome = refengine(*CALL, "--model", "model.h5", "--json", "-").json
    blamed = {layer["name"]: layer["blamed"] for layer in outcome["layers"] if layer["verdict"] == "contradiction"}
    assert blamed.get(reader, [dut]) == [dut]
    assert all(names == [dut] for names in blamed.values())


def test_a_partial_pack_judges_what_it_holds(dut):
    assert refengine("vectors", "model.h5", "images.h5", "-o", "part", "--layer", dut).code == 0
    assert refengine("trace", "model.h5", "images.h5", "--count", "1", "-o", "one.h5").code == 0
    outcome = refengine("compare", "part", "one.h5", "--self-test")
    assert outcome.code == 1, outcome
    assert ": not in the golden (--ignore PATTERN" in outcome.out
    others = [layer.name for layer in read_int_network("model.h5").layers if layer.name not in ("000_input", dut)]
    ignored = [f"--ignore={name}" for name in (*others, "000_input.[at]*")]
    assert refengine("compare", "part", "one.h5", *ignored).code == 0
    assert "not applicable, needs 2 images: images_swapped in " in outcome.out
    assert "self-test: every fault that this dump can have is caught" in outcome.out


def test_wider_types_are_equal_with_any_integer_type_alone(dut):
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
    network = read_int_network("other.h5")
    outcome = refengine(*CALL, "--model", "other.h5")
    assert outcome.code == 1
    assert f"problem: the model given is another network, {network.hash}: the golden trace.h5 is of" in outcome.out
    assert "in neither dump" not in outcome.out
    assert "--model MODEL.h5" not in outcome.out


def test_the_self_test_catches_every_seed(dut):
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
    assert "self-test: some faults go unnoticed" in excluded.out


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--model", "nosuch.h5"], "nosuch.h5"),
        (["--model", "images.h5"], "refengine-images"),
        (["--exclude", "nosuch"], "means no layer"),
        (["--stage", "nosuch"], "--stage 'nosuch' is no stage"),
        (["--stage", ""], "--stage '' is no stage"),
        (["--order", "nosuch"], "--order is 'nosuch'"),
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
def test_damaged_input_is_refused_in_one_line(dut, files, name):
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
