"""refengine arith: what it prints and writes is what the public function counts."""

import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.analysis.divergence import COMMON, divergence
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network
from refengine.numbers.arith import ARITHMETICS

CALL = ("arith", "model.h5", "images.h5")


def counted(first=0, stop=12, names=COMMON, **keywords):
    with open_images("images.h5") as images:
        pixels, labels = images.read(first, stop), images.labels[first:stop]
    return divergence(read_int_network("model.h5"), pixels, names, labels=labels, first_image=first, **keywords)


def test_figures_are_those_of_the_function(files):
    outcome = refengine(*CALL, "--json", "-")
    assert (outcome.code, outcome.err) == (0, "")
    figures = outcome.json
    assert (figures["report"], figures["model_hash"]) == ("arith", read_int_network("model.h5").hash)
    assert {name: figures[name] for name in ("rules", "count", "single", "entire")} == counted().as_json()


def test_chosen_images_layers_and_arithmetics(files):
    choice = ("--first", "3", "--count", "4", "--layer", "*_conv", "--against", "nvdla, ap-fixed-rnd-sat-sym")
    figures = refengine(*CALL, *choice, "--json", "-").json
    wanted = counted(3, 7, ["nvdla", "ap-fixed-rnd-sat-sym"], layers=["*_conv"]).as_json()
    assert figures["first"] == 3
    assert {name: figures[name] for name in wanted} == wanted
    assert refengine(*CALL, *choice, "--batch", "1", "--json", "-").json == figures


def test_the_tables_show_the_counts(files):
    outcome = refengine(*CALL, "--against", "dory,tflite")
    found = counted(names=["dory", "tflite"])
    lines = [line.split() for line in outcome.out.splitlines()]
    assert ["A", "half_up,", "saturate", "own"] in lines
    assert ["C", "two_steps,", "saturate", "tflite"] in lines
    for name, pairs in found.single.items():
        assert [name, *map(str, (found.outputs[name], *pairs[0, 1:]))] in lines
    for pairs in (found.single_total, found.logits, found.classes):
        assert ["A", ".", *map(str, pairs[0, 1:])] in lines
        assert ["C", *map(str, pairs[2, :2]), "."] in lines
    assert list(map(str, found.correct)) in lines


def test_without_labels_nothing_is_right(files):
    figures = refengine("arith", "model.h5", "unlabelled.h5", "--json", "-").json
    assert figures["entire"]["correct"] is None
    assert "right of" not in refengine("arith", "model.h5", "unlabelled.h5").out


def test_the_presets_are_listed(files):
    """Without files; every one, with its rule and its source."""
    outcome = refengine("arith", "--list")
    assert outcome.code == 0
    for name, arithmetic in ARITHMETICS.items():
        (line,) = [line for line in outcome.out.splitlines() if line.startswith(f"{name} ")]
        assert arithmetic.rule in line
        assert arithmetic.source in line


def test_more_rules_than_letters_have_names(files):
    """All presets at once: the table's columns still are as many as its rows."""
    names = ",".join(ARITHMETICS)
    rules = refengine(*CALL, "--count", "1", "--against", names, "--json", "-").json["rules"]
    assert len(rules) > 26
    assert "\nAA " in refengine(*CALL, "--count", "1", "--against", names).out
    assert sum(len(rule["names"]) for rule in rules) == len(ARITHMETICS) + 1


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--against", "tpu"], "arithmetic 'tpu' is unknown; available: tosa, "),
        (["--against", ""], "--against names no arithmetic; --list has them all"),
        (["--against", " ,"], "--against names no arithmetic"),
        (["--layer", "*_flatten"], "no chosen layer rounds"),
        (["--layer", "nosuch"], "'nosuch'"),
        (["--first", "99"], "has images 0..11, asked for 99"),
        (["--json", "model.h5"], "is also read from"),
        (["--json", "nowhere/out.json"], "there is no folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, options, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*CALL, *options)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize("name", ["model.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL)
