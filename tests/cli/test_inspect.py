"""refengine inspect: every kind of file, and files that are none."""

import json

import h5py
import networks
import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.network.int_file import read_int_network, write_int_network
from refengine.runs.trace import write_trace


def test_a_network_of_integers(files):
    network = read_int_network("model.h5")
    outcome = refengine("inspect", "model.h5")
    assert outcome.code == 0
    assert outcome.out.startswith("model.h5: network of integers 'every_op', images 7x6x3 BGR, 5 classes\n")
    assert network.hash in outcome.out
    assert "contract 1, rounding half_up" in outcome.out
    for layer in network.layers:
        assert layer.name in outcome.out


def test_json_describes_every_layer_of_an_integer_network(files):
    network = read_int_network("model.h5")
    figures = refengine("inspect", "model.h5", "--json", "-").json
    assert (figures["report"], figures["format"], figures["contract"]) == ("inspect", "refengine-int", 1)
    assert figures["model_hash"] == network.hash
    assert [layer["name"] for layer in figures["layers"]] == [layer.name for layer in network.layers]


def test_a_float_network_is_described(files):
    outcome = refengine("inspect", "net.h5")
    assert outcome.out.startswith("net.h5: float network 'every_op', images 7x6x3 BGR, 5 classes\n")
    assert "strides=1,1" in outcome.out
    figures = refengine("inspect", "net.h5", "--json", "-").json
    assert figures["layers"][1]["constants"] == {"weight": [4, 3, 3, 3], "bias": [4]}
    assert figures["parameters"] == sum(layer["parameters"] for layer in figures["layers"])


def test_labelled_images_are_counted_by_class(files):
    assert refengine("inspect", "images.h5").out.startswith("images.h5: 12 labelled images, 7x6x3\n")
    figures = refengine("inspect", "images.h5", "--json", "-").json
    assert sum(row["images"] for row in figures["classes"]) == figures["count"] == 12
    assert figures["class_names"] == ["zero", "one", "two", "three", "four"]


def test_images_without_labels_are_called_so(files):
    assert refengine("inspect", "unlabelled.h5").out == "unlabelled.h5: 12 images without labels, 7x6x3\n"


def test_a_trace_is_described_with_its_network(files):
    outcome = refengine("inspect", "trace.h5")
    assert outcome.out.startswith("trace.h5: trace of images 0..1 through 'every_op'\n")
    assert read_int_network("model.h5").hash in outcome.out
    figures = refengine("inspect", "trace.h5", "--json", "-").json
    assert figures["count"] == 2
    assert set(figures["layers"][0]["stages"]) == {"accumulator", "total", "code"}


def test_a_vector_pack_is_described_with_its_formats(files):
    arguments = ("--count", "2", "--first", "3", "--word-bits", "*/weight=16", "--order", "ohwi", "--format", "npy,coe")
    assert refengine("vectors", "model.h5", "images.h5", "-o", "pack", *arguments).code == 0
    outcome = refengine("inspect", "pack")
    network = read_int_network("model.h5")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("pack: vector pack of images 3..4 through 'every_op', as npy, coe, ")
    assert network.hash in outcome.out
    assert "contract 1, rounding half_up" in outcome.out
    assert all(layer.name in outcome.out for layer in network.layers)
    assert "weight 2 in 16 ohwi" in outcome.out
    assert "images 8" in outcome.out
    figures = refengine("inspect", "pack", "--json", "-").json
    assert (figures["format"], figures["count"], figures["formats"]) == ("refengine-vectors", 2, ["npy", "coe"])
    assert figures["bytes"] == sum(
        path.stat().st_size for path in (files / "pack").rglob("*") if path.is_file() and path.name != "manifest.json"
    )
    weight = next(one for one in figures["tensors"] if one["name"] == "001_conv/weight")
    assert (weight["word_bits"], weight["elements_per_word"], weight["order"]) == (16, 2, "ohwi")


def test_a_pack_is_held_against_its_hashes(files):
    """Also the files that compare would not read, because there is a .npy."""
    assert refengine("vectors", "model.h5", "images.h5", "-o", "pack", "--layer", "001_conv").code == 0
    assert "sizes and SHA-256 are the manifest's" in refengine("inspect", "pack").out
    for name in ("images.memh", "001_conv/code.memh", "001_conv/weight.npy", "model.h5"):
        good = (files / "pack" / name).read_bytes()
        (files / "pack" / name).write_bytes(good[:-2] + bytes([good[-2] ^ 1]) + good[-1:])
        assert f"pack/{name}: was changed after it was written" in refusal("inspect", "pack")
        (files / "pack" / name).write_bytes(good)
    assert refengine("inspect", "pack").code == 0


@pytest.mark.parametrize("op", ["avgpool", "global_avgpool"])
def test_logits_of_an_average_are_worth_a_share_of_a_power_of_two(files, op):
    network = networks.averaging(op)
    write_int_network(network, "average.h5")
    write_trace(network, networks.random_images(network, 1), "average-trace.h5")
    layer = refengine("inspect", "average.h5", "--json", "-").json["layers"][-1]
    assert (layer["exponent"], layer["divisor"]) == (0, 9)
    row = refengine("inspect", "average.h5").out.splitlines()[-1]
    assert " 0 / 9 " in row
    layers = refengine("inspect", "average-trace.h5", "--json", "-").json["layers"]
    assert [layer["exponents"] for layer in layers] == [[0, 0], None]
    assert refengine("inspect", "average-trace.h5").out.splitlines()[-1].split()[2:4] == ["int32", "accumulator"]


def test_a_folder_that_is_no_pack(files):
    (files / "empty").mkdir()
    assert "empty: is a folder without manifest.json, an HDF5 file or a vector pack was needed" in refusal(
        "inspect", "empty"
    )
    (files / "empty" / "manifest.json").write_text("[]")
    assert "empty/manifest.json: is [], needed an object" in refusal("inspect", "empty")


def test_json_in_a_file_goes_with_the_table(files):
    outcome = refengine("inspect", "images.h5", "--json", "figures.json")
    assert outcome.out == refengine("inspect", "images.h5").out
    assert json.loads((files / "figures.json").read_text())["count"] == 12


@pytest.mark.parametrize("name", ["model.h5", "net.h5", "images.h5", "trace.h5"])
def test_damaged_files_are_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, "inspect", name)


def test_an_hdf5_file_of_another_kind(files):
    with h5py.File("other.h5", "w") as file:
        file.attrs["format"] = "keras"
    line = refusal("inspect", "other.h5")
    assert "'keras'" in line
    assert all(name in line for name in ("refengine-float", "refengine-int", "refengine-images", "refengine-trace"))


def test_a_changed_integer_is_noticed(files):
    """The hash in the file is that of its integers."""
    with h5py.File("model.h5", "r+") as file:
        layer = next(group for group in file["layers"].values() if "bias" in group)
        layer["bias"][0] += 1
    assert "hash" in refusal("inspect", "model.h5")


def test_names_cannot_steer_the_terminal(files):
    """What looks like markup or an escape sequence is printed as it stands, or refused."""
    with h5py.File("net.h5", "r+") as file:
        file.attrs["name"] = "[bold red]x[/] \x1b[31m"
    outcome = refengine("inspect", "net.h5")
    assert outcome.code in (0, 2)
    assert "\x1b" not in outcome.out + outcome.err


def test_json_does_not_overwrite_the_file(files):
    before = (files / "model.h5").read_bytes()
    assert "is also read from" in refusal("inspect", "model.h5", "--json", "model.h5")
    assert (files / "model.h5").read_bytes() == before
