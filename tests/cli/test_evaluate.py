"""refengine evaluate: the counts of the public function, and an exit code for scripts."""

import json

import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.accuracy.evaluate import evaluate
from refengine.accuracy.paired import Paired
from refengine.network.float_file import read_float_network
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network

CALL = ("evaluate", "model.h5", "images.h5")


def evaluated(**keywords):
    with open_images("images.h5") as images:
        return evaluate(read_int_network("model.h5"), images, **keywords)


def without_time(figures):
    return {name: value for name, value in figures.items() if name != "seconds"}


def test_figures_are_the_public_function_s(files):
    wanted = evaluated(float_network=read_float_network("net.h5"))
    figures = refengine(*CALL, "--float", "net.h5", "--json", "-").json
    assert without_time(figures).items() >= without_time(json.loads(json.dumps(wanted.as_json()))).items()
    assert (figures["report"], figures["threshold"]) == ("evaluate", None)


@pytest.mark.parametrize(
    "options",
    [["--batch", "5"], ["--threads", "2"], ["--backend", "reference"], ["--backend", "kernels"], ["--backend", "fast"]],
)
def test_options_change_no_figure(files, options):
    figures, plain = (refengine(*CALL, *extra, "--json", "-").json for extra in (options, []))
    ignored = {"seconds", "backend"}
    assert {k: v for k, v in figures.items() if k not in ignored} == {
        k: v for k, v in plain.items() if k not in ignored
    }


def test_events_are_counted_by_the_fast_plan(files):
    figures = refengine(*CALL, "--json", "-").json
    assert figures["backend"] == "fast"
    assert figures["saturated"] is not None
    assert all(events["values"] > 0 for events in figures["layers"].values())
    values = sum(events["values"] for events in figures["layers"].values())
    assert f"of {values} values {figures['saturated']} were clipped to their format" in refengine(*CALL).out


def test_dynamic_exponents_are_counted_by_the_kernels_which_is_said(files):
    made = refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "dynamic.h5", "--exponents", "dynamic")
    assert made.code == 0, made
    outcome = refengine("evaluate", "dynamic.h5", "images.h5", "--json", "-")
    assert outcome.json["backend"] == "kernels"
    assert outcome.err == "refengine: dynamic exponents: the backend is kernels, fast knows static ones alone\n"
    asked = refengine("evaluate", "dynamic.h5", "images.h5", "--json", "-", "--backend", "reference")
    assert (asked.json["backend"], asked.err) == ("reference", "")
    names = ("backend", "seconds")
    assert {k: v for k, v in asked.json.items() if k not in names} == {
        k: v for k, v in outcome.json.items() if k not in names
    }
    assert refengine("trace", "dynamic.h5", "images.h5", "-o", "dynamic-trace.h5", "--count", "3").code == 0
    shown = refengine("inspect", "dynamic-trace.h5", "--json", "-").json
    assert shown["backend"] == "kernels"
    table = {layer["name"]: layer for layer in refengine("inspect", "dynamic.h5", "--json", "-").json["layers"]}
    dynamic = [layer for layer in shown["layers"] if "exponent" in layer["stages"]]
    assert dynamic
    for layer in dynamic:
        lowest, own = table[layer["name"]]["exponent"], table[layer["name"]]["dynamic"]
        assert lowest <= layer["exponents"][0] <= layer["exponents"][1] <= lowest + own
    assert refengine("run", "dynamic.h5", "images.h5").err == outcome.err


def test_the_table_counts(files):
    outcome = refengine(*CALL, "--limit", "7", "--float", "net.h5")
    wanted = evaluated(limit=7, float_network=read_float_network("net.h5"))
    rows = {line[:14].strip(): line[14:].split()[:2] for line in outcome.out.splitlines()}
    assert rows["integers top-1"] == [str(wanted.correct), "7"]
    assert rows["float top-1"] == [str(wanted.float_correct), "7"]
    assert f"same class as the float network: {wanted.agreeing} of 7; " in outcome.out
    assert f"divergence from its probabilities (kl): {wanted.kl:.4f}\n" in outcome.out
    both = Paired(7, wanted.only_integers, wanted.only_float)
    difference, low = 100 * both.difference, 100 * both.interval[0]
    assert f"image by image: {difference:+.2f} points, 95 % from {low:+.2f}" in outcome.out
    assert f"{both.first_only} right by integers alone, {both.second_only} by floats alone" in outcome.out
    assert read_int_network("model.h5").hash in outcome.out


def test_the_json_has_the_difference_of_the_table(files):
    figures = refengine(*CALL, "--limit", "7", "--float", "net.h5", "--json", "-").json
    both = Paired(7, figures["only_integers"], figures["only_float"])
    assert figures["difference"] == both.difference == (figures["correct"] - figures["float_correct"]) / 7
    assert figures["difference_interval95"] == [*both.interval]
    alone = refengine(*CALL, "--json", "-").json
    assert alone["difference"] is alone["difference_interval95"] is None


def test_below_the_threshold_the_exit_code_is_1(files):
    share = 100 * evaluated().top1
    assert refengine(*CALL, "--threshold", "0").code == 0
    assert refengine(*CALL, "--threshold", str(share)).code == 0
    below = refengine(*CALL, "--threshold", str(min(100, share + 1)))
    assert below.code == 1
    assert below.err.startswith("refengine: top-1 is ")
    assert "integers top-1" in below.out


def test_figures_are_written_below_the_threshold_too(files):
    assert refengine(*CALL, "--threshold", "100", "--json", "figures.json").code == 1
    assert json.loads((files / "figures.json").read_text())["threshold"] == 100


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (("evaluate", "model.h5", "unlabelled.h5"), "labels"),
        (("evaluate", "net.h5", "images.h5"), "needed 'refengine-int'"),
        ((*CALL, "--float", "model.h5"), "needed 'refengine-float'"),
        ((*CALL, "--json", "images.h5"), "is also read from"),
        ((*CALL, "--float", "net.h5", "--json", "net.h5"), "is also read from"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, arguments, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*arguments)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_a_threshold_is_a_percentage(files):
    assert refengine(*CALL, "--threshold", "101").code == 2


@pytest.mark.parametrize("name", ["model.h5", "images.h5", "net.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL, "--float", "net.h5", "--json", "figures.json")
