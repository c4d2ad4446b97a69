"""A wrong design is never called EQUAL: one digit or byte of a file, files that nothing reads, forms that disagree."""

import json
import os
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from changed_files import DIFFERENT, EQUAL, REFUSED, SAME, changed, dumps_of_one_run, outcomes, values, verdict
from dumps import as_archive, as_folder, in_every_form, integers_of, network_and_images
from everyday import everyday
from verbs import refengine, refusal

from refengine.golden.dumps.open_dump import open_dump
from refengine.optional import installed
from refengine.vectors.writer import write_vectors

FORMS = (
    *("trace", "npy", "npz", "npz, packed", "HDF5", "HDF5, packed"),
    *("pack, npy", "pack, readmemh", "pack, readmemb", "pack, hex", "pack, dat", "pack, bin"),
    *("pack, coe", "pack, mif", "pack, c", "pack, sv", "pack, all"),
    *("$writememh", "$writememh, addresses", "$writememb", "numbers", "hexadecimal text", "table"),
    *("raw, low first", "raw, high first", "COE", "MIF", "one .npy", "waves"),
)


def without_waves(form):
    """A form, skipped if it is that of waves and their reader is not installed."""
    missing = form == "waves" and not installed("vcd")
    return pytest.param(form, marks=pytest.mark.skipif(missing, reason="not installed: refengine[waves]"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return dumps_of_one_run(tmp_path_factory.mktemp("run"))


def test_every_form_is_tried(run):
    assert tuple(run[1]) == FORMS


@pytest.mark.parametrize("form", [*map(without_waves, FORMS)])
def test_what_was_not_changed_is_equal(run, form):
    golden, forms = run
    assert verdict(golden, forms[form]) == EQUAL


@pytest.mark.parametrize("form", [*map(without_waves, FORMS)])
@pytest.mark.parametrize("count", everyday([4, 8], 2))
def test_one_changed_digit_or_byte_is_never_equal(run, form, count):
    """``python tests/changed_files.py 20000`` does so at scale."""
    golden, forms = run
    found = [found for *_, found in outcomes(golden, forms[form], count, np.random.default_rng(FORMS.index(form)))]
    assert {*found} <= {DIFFERENT, REFUSED, SAME}
    assert DIFFERENT in found


def test_the_page_has_a_row_of_every_form():
    """With what came of 20,000 changed files: none equal, no traceback."""
    page = (Path(__file__).parents[2] / "docs" / "golden.md").read_text(encoding="utf-8")
    lines = [
        re.split(r" {2,}", line.strip()) for line in page.partition("\nformat ")[2].partition("```")[0].splitlines()
    ]
    rows = {form: [int(number.replace(",", "")) for number in numbers] for form, *numbers in lines[1:]}
    assert (*rows,) == (*FORMS, "together")
    for changes, different, refused, equal, traceback, _ in rows.values():
        assert changes == different + refused > 0
        assert (equal, traceback) == (0, 0)
    assert rows["together"] == [sum(column) for column in zip(*(rows[form] for form in FORMS), strict=True)]
    assert rows["together"][0] >= 20_000


def test_one_byte_is_changed_and_its_reader_sees_it(tmp_path):
    """The generator's own parts: what is changed differs in one byte, and what the readers say does too."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        made = changed(b"00ff\n0a0b\n", rng)
        assert sum(one != other for one, other in zip(made, b"00ff\n0a0b\n", strict=True)) == 1
    file = tmp_path / "code.memh"
    for text, numbers in ((b"0A\n_b // 7\n", [10, 11]), (b"0a /* 9 */ 0c", [10, 12]), (b"0g", None)):
        file.write_bytes(text)
        assert values(file) == numbers


# ----------------------------------------------------------------------------- from the command line, as it is met


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    network, images = network_and_images()
    folder = tmp_path_factory.mktemp("forms")
    in_every_form(folder, network, images)
    return folder, next(layer.name for layer in network.layers if layer.op == "conv"), network


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A folder with pack (.npy and .memh), text (.memh), dots (.npy), dump.npz and trace.h5; and a layer's name."""
    shutil.copytree(made[0], tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    shutil.copytree("pack", "dut")
    return made[1]


def wrong_words(path):
    """Replace the first word of a file by another one."""
    text = Path(path).read_text()
    first = text.split("\n", 1)[0]
    other = f"{int(first, 16) ^ 1:0{len(first)}x}"
    Path(path).write_text(text.replace(first, other, 1))


def test_a_simulator_that_wrote_into_a_copy_of_the_pack(place):
    wrong_words(f"dut/{place}/code.memh")
    outcome = refengine("compare", "pack", "dut")
    assert outcome.code == 1, outcome
    assert f"note: dut: {place}/code.memh: changed since it was written, judged as it is" in outcome.out
    assert f"faulty layer: {place} goes wrong by itself" in outcome.out
    assert f"first difference: layer {place}, stage code" in outcome.out
    assert "is another form of what was judged, and holds other integers" in outcome.out


def test_a_simulator_that_wrote_the_right_words_in_its_own_way(place):
    text = Path(f"text/{place}/code.memh").read_text()
    shutil.copytree("text", "sim")
    Path(f"sim/{place}/code.memh").write_text("// 0x00000000\n" + text.upper())
    outcome = refengine("compare", "text", "sim")
    assert outcome.code == 0, outcome
    assert f"{place}/code.memh: changed since it was written, judged as it is" in outcome.out
    assert "EQUAL: " in outcome.out


@pytest.mark.parametrize("form", ["npy", "memh"])
def test_a_golden_that_was_changed_is_refused(place, form):
    """Whichever of its forms it was."""
    path = f"dut/{place}/code.{form}"
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[:-2] + b"0\n" if content[-2:] != b"0\n" else content[:-2] + b"1\n")
    assert f"dut/{place}/code.{form}: was changed after it was written" in refusal("compare", "dut", "trace.h5")


def test_a_constant_of_a_pack_that_was_changed(place):
    wrong_words(f"dut/{place}/weight.memh")
    outcome = refengine("compare", "pack", "dut")
    assert outcome.code == 1, outcome
    assert f"not judged: {place}/weight.memh: changed since it was written, and nothing that a layer" in outcome.out
    assert refengine("compare", "pack", "dut", "--ignore", "weight.memh").code == 0


@pytest.mark.parametrize(
    "file", everyday(["{}/code.log", "dump.npz", "{}.code.exe", "out.vcd", "sub/deep/code.npy", "x.npy"], 3)
)
def test_a_file_that_nothing_reads_is_named(place, file):
    name = file.format(place)
    for dut in ("dut", "folders"):
        os.makedirs(os.path.dirname(f"{dut}/{name}"), exist_ok=True)
        shutil.copy(f"dots/{place}.code.npy", f"{dut}/{name}")
        outcome = refengine("compare", "pack", dut)
        assert outcome.code == 1, outcome
        assert "EQUAL" not in outcome.out
        assert name.removesuffix(".npy") in outcome.out
        outcome = refengine("compare", "pack", dut, "--ignore", name)
        assert outcome.code == 0, outcome
        assert f"{dut}: ignored: {name}" in outcome.out


def test_forms_that_lie_beside_each_other_in_a_folder(place):
    """The right .npy beside another form, right and wrong, and beside a file that is no array."""
    shutil.copy(f"text/{place}/code.memh", f"dots/{place}.code.memh")
    assert refengine("compare", "pack", "dots").code == 0
    shutil.copy("dump.npz", "dots/dump.npz")
    outcome = refengine("compare", "pack", "dots")
    assert outcome.code == 1
    assert "not judged: dump.npz: not read" in outcome.out
    assert refengine("compare", "pack", "dots", "--ignore", "dump.npz").code == 0
    wrong_words(f"dots/{place}.code.memh")
    outcome = refengine("compare", "pack", "dots", "--ignore", "dump.npz")
    assert outcome.code == 1
    assert "is another form of what was judged, and holds other integers" in outcome.out
    assert refengine("compare", "pack", "dots", "--ignore", "*.memh", "--ignore", "dump.npz").code == 0
    shutil.copy(f"dots/{place}.code.npy", f"dots/{place}.code.NPY")
    assert "is there twice, in upper and lower case" in refusal("compare", "pack", "dots")
    os.remove(f"dots/{place}.code.NPY")
    shutil.copy(f"dots/{place}.code.npy", f"dots/{place}.npy")
    assert "has two arrays for what layer" in refusal("compare", "pack", "dots")


def test_an_array_called_in_upper_case_is_read(place):
    array = np.load(f"dots/{place}.code.npy")
    os.remove(f"dots/{place}.code.npy")
    with open(f"dots/{place}.code.NPY", "wb") as file:
        np.save(file, array)
    assert refengine("compare", "pack", "dots").code == 0
    with open(f"dots/{place}.code.NPY", "wb") as file:
        np.save(file, array ^ 1)
    assert refengine("compare", "pack", "dots").code == 1


def test_layers_and_stages_that_the_golden_does_not_have(place):
    stages, images = integers_of("trace.h5")
    less = {name: dict(held) for name, held in stages.items()}
    del less[place]["total"]
    golden = as_archive("less.npz", less, images)
    outcome = refengine("compare", golden, "dots")
    assert outcome.code == 1, outcome
    more = {**stages, "099_more": {"code": stages[place]["code"]}}
    as_archive("more.npz", more, images)
    with h5py.File("more.h5", "w") as file:
        file["images"] = images
        for layer, held in more.items():
            for stage, array in held.items():
                file[f"{layer}/{stage}"] = array
    for dut in ("more.npz", "more.h5"):
        outcome = refengine("compare", "pack", dut)
        assert outcome.code == 1, outcome
        assert "099_more" in outcome.out
        assert refengine("compare", "pack", dut, "--ignore", "099_more").code == 0


def test_a_stage_that_a_trace_does_not_have_as_golden(place):
    shutil.copy("trace.h5", "less.h5")
    with h5py.File("less.h5", "r+") as file:
        del file[f"layers/{place}/total"]
    outcome = refengine("compare", "less.h5", "dots")
    assert outcome.code == 1, outcome
    assert f"not judged: {place}.total: not in the golden (--ignore PATTERN" in outcome.out
    assert refengine("compare", "less.h5", "dots", "--ignore", f"{place}.total").code == 0
    assert refengine("compare", "less.h5", "dots", "--stage", "accumulator,code").code == 0


def test_a_dataset_of_a_trace_that_no_trace_has(place):
    shutil.copy("trace.h5", "more.h5")
    with h5py.File("more.h5", "r+") as file:
        file["results"] = np.zeros((3, 2), np.int32)
    outcome = refengine("compare", "pack", "more.h5")
    assert outcome.code == 1
    assert "not judged: results: not read" in outcome.out


@pytest.mark.parametrize("name", ["images", "logits"])
def test_images_and_logits_are_judged(place, name):
    shutil.copy("trace.h5", "wrong.h5")
    with h5py.File("wrong.h5", "r+") as file:
        array = file[name][:]
        array[1] ^= 1
        file[name][:] = array
    for golden in ("pack", "text"):
        outcome = refengine("compare", golden, "wrong.h5")
        assert outcome.code == 1, outcome
        assert f"problem: the {name} of the DUT are not the golden's: image 1 differs" in outcome.out


def test_json_names_what_was_passed_over(place):
    shutil.copy("dump.npz", "dots/dump.npz")
    figures = refengine("compare", "pack", "dots", "--json", "-").json
    assert not figures["equal"]
    assert figures["passed_over"] == {"dump.npz": "not read: no array is called so"}
    with_layer = as_folder(Path("other"), integers_of("trace.h5")[0])
    assert refengine("compare", "pack", with_layer, "--json", "-").json["passed_over"] == {}


# --------------------------------------------------------------------------------------- what is missing, and one layer


def last_line(outcome):
    """The last line of the report but that of what was exercised."""
    return [line for line in outcome.out.splitlines() if not line.startswith("exercised: ")][-1]


def one_layer(folder, layer, change=0):
    """A dump of one layer's codes."""
    Path(folder).mkdir()
    np.save(f"{folder}/{layer}.code.npy", np.load(f"dots/{layer}.code.npy") ^ change)
    return folder


def layer_between(network):
    """A convolution that reads another layer's codes."""
    found = [layer.name for layer in network.layers if layer.op == "conv"]
    return found[-1]


def test_one_layer_of_a_whole_golden_is_incomplete(made, place):
    network, layer = made[2], layer_between(made[2])
    one_layer("one", layer)
    outcome = refengine("compare", "pack", "one")
    assert outcome.code == 1
    others = len(network.layers) - 1
    assert last_line(outcome).startswith("INCOMPLETE: 1 layer, ")
    assert f"; missing: 000_input, {place}, " in last_line(outcome)
    assert f"and {others - 4} more; 3 images from 0" in last_line(outcome)
    assert sum("not in the dump of the DUT" in line for line in outcome.out.splitlines()) == 1
    assert "verdict" not in outcome.out  # no table
    figures = refengine("compare", "pack", "one", "--json", "-").json
    assert (figures["verdict"], figures["equal"], len(figures["missing"])) == ("INCOMPLETE", False, others)


def test_one_layer_that_is_asked_for(made, place):
    """Its inputs are the golden's, so that a cause is found although the DUT dumped nothing else."""
    layer = layer_between(made[2])
    bare = layer.split("_", 1)[1]
    for pattern in (layer, bare, f"{layer[:4]}*"):
        if pattern == bare and sum(one.name.endswith(f"_{bare}") for one in made[2].layers) > 1:
            continue
        outcome = refengine("compare", "pack", one_layer(f"right{len(pattern)}", layer), "--layer", pattern)
        assert outcome.code == 0, outcome
        assert last_line(outcome).startswith("EQUAL: 1 layer, ")
    outcome = refengine("compare", "pack", one_layer("wrong", layer, 1), "--layer", layer, "--stage", "code")
    assert outcome.code == 1
    assert f"faulty layer: {layer} goes wrong by itself" in outcome.out
    outcome = refengine("compare", "pack", "wrong", "--layer", layer, "--stage", "total")
    assert outcome.code == 1
    assert f"INCOMPLETE: nothing compared; missing: {layer}.total" in outcome.out


def test_the_inputs_of_a_layer_that_is_asked_for_are_the_goldens(made, place):
    """And not recomputed from the images, as they are where the whole network is asked for."""
    layer = layer_between(made[2])
    figures = refengine("compare", "pack", one_layer("one", layer, 1), "--layer", layer, "--json", "-").json
    (judged,) = [one for one in figures["layers"] if one["stages"]]
    assert (judged["name"], judged["verdict"], judged["through"]) == (layer, "faulty", [])
    whole = refengine("compare", "pack", "one", "--json", "-").json
    assert next(one for one in whole["layers"] if one["name"] == layer)["through"]


def test_a_layer_that_is_asked_for_and_not_there(place):
    one_layer("one", "000_input")
    outcome = refengine("compare", "pack", "one", "--layer", "000_input", "--layer", place)
    assert outcome.code == 1
    assert f"; missing: {place}; 3 images" in last_line(outcome)
    outcome = refengine("compare", "pack", "one", "--layer", place)
    assert last_line(outcome).startswith(f"INCOMPLETE: nothing compared; missing: {place}")
    line = refusal("compare", "pack", "one", "--layer", place[:-1] + "x")
    assert "means no layer; the nearest is '" in line


def test_other_layers_that_are_wrong_do_not_matter_to_the_one_that_is_asked_for(made, place):
    layer = layer_between(made[2])
    one_layer("two", layer)
    np.save(f"two/{place}.code.npy", np.load(f"dots/{place}.code.npy") ^ 1)
    assert refengine("compare", "pack", "two", "--layer", place).code == 1
    if place not in made[2].layer(layer).inputs:
        assert refengine("compare", "pack", "two", "--layer", layer).code == 0


def test_a_pack_of_one_layer_asks_for_that_layer_alone(made, place):
    network, images = network_and_images()
    layer = layer_between(network)
    write_vectors(network, images, Path("part"), layers=[layer], formats=("readmemh",))
    with open_dump("part") as dump:
        assert dump.inputs == {*dump.layers} - {layer} != set()
    with open_dump("pack") as dump:
        assert not dump.inputs
    outcome = refengine("compare", "part", one_layer("right", layer))
    assert outcome.code == 0, outcome
    assert last_line(outcome).startswith("EQUAL: 1 layer, ")
    outcome = refengine("compare", "part", one_layer("wrong", layer, 1))
    assert outcome.code == 1
    assert f"faulty layer: {layer} goes wrong by itself" in outcome.out
    assert last_line(refengine("compare", "part", one_layer("other", place))).startswith("INCOMPLETE: ")
    outcome = refengine("compare", "part", "dots", "--ignore", "*.accumulator.npy", "--ignore", "*.total.npy")
    assert outcome.code == 1  # layers that the pack does not hold
    assert "INCOMPLETE: " in outcome.out
    assert refengine("compare", "part", "dots", "--layer", layer).code == 0


def test_the_verdict_of_what_is_neither(place):
    """A wrong value is DIFFERENT, whatever is missing beside it; and so is an array that cannot be compared."""
    one_layer("one", place, 1)
    assert "DIFFERENT: " in refengine("compare", "pack", "one").out
    one_layer("two", place)
    np.save(f"two/{place}.code.npy", np.load(f"dots/{place}.code.npy").astype(np.int64))
    outcome = refengine("compare", "pack", "two")
    assert "DIFFERENT: nothing compared" in outcome.out
    assert refengine("compare", "pack", "two", "--json", "-").json["verdict"] == "DIFFERENT"


@pytest.mark.parametrize(("key", "value"), [("op", "nosuch"), ("op", []), ("inputs", None), ("inputs", "000_input")])
def test_a_manifest_whose_layers_make_no_sense_is_refused(place, key, value):
    record = json.loads(Path("dut/manifest.json").read_text())
    record["layers"][1][key] = value
    Path("dut/manifest.json").write_text(json.dumps(record))
    assert "needed 'op' and 'inputs' of a known operator" in refusal("compare", "pack", "dut")
