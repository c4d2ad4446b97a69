"""refengine explain: text, JSON and page say what the engine computed."""

import json

import networks
import numpy as np
import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.analysis.explain import explain, figures
from refengine.cli import explain as module
from refengine.engine.run import run
from refengine.network.images import open_images, write_images
from refengine.network.int_file import read_int_network, write_int_network

CALL = ("explain", "model.h5", "images.h5")


def pixels(number):
    with open_images("images.h5") as images:
        return images.read(number, number + 1)


def at(network, layer):
    return ",".join(str(size // 2) for size in network.shapes[layer])


def test_a_dynamic_exponent_is_explained(files):
    """How the image came to it, in a line of the text and of the page, and what the code is worth by it."""
    refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "dynamic.h5", "--exponents", "dynamic")
    network = read_int_network("dynamic.h5")
    layer = next(layer for layer in network.layers if layer.requantize is not None and layer.requantize.dynamic)
    call = ("explain", "dynamic.h5", "images.h5", "--layer", layer.name, "--at", at(network, layer.name))
    found = explain(network, pixels(0)[0], layer.name, tuple(map(int, call[-1].split(","))))
    choice = found.requantization.choice
    line = f"the largest total of the image, {choice.widest} at "
    text = refengine(*call, "--html", "page.html").out
    assert line in text
    assert f"within 0..{layer.requantize.dynamic}" in text
    assert f"* 2^{layer.exponent + choice.coarser}" in text
    assert line in (files / "page.html").read_text()
    assert refengine(*call, "--json", "-").json["requantization"]["choice"]["coarser"] == choice.coarser


def test_every_layer_can_be_explained(files):
    network, results = read_int_network("model.h5"), {}
    run(network, pixels(3), "reference", lambda layer, _, result: results.update({layer.name: result.result}))
    for layer in network.layers:
        place = at(network, layer.name)
        outcome = refengine(
            *CALL, "--layer", layer.name, "--at", place, "--image", "3", "--all", "--backend", "reference"
        )
        wanted = int(results[layer.name][(0, *map(int, place.split(",")))])
        assert (outcome.code, outcome.err) == (0, "")
        lines = outcome.out.splitlines()
        assert lines[0].startswith(f"{layer.name} ({layer.op}), place {place} of ")
        assert lines[1] == f"model {network.hash}"
        what = "logit" if layer is network.layers[-1] else "code"
        assert lines[-1].startswith(f"{what} {wanted}, worth ")


def test_the_stages_of_a_convolution(files):
    network = read_int_network("model.h5")
    found = explain(network, pixels(0)[0], "001_conv", (2, 2, 1), backend="reference")
    lines = refengine(*CALL, "--layer", "001_conv", "--at", "2,2,1").out.splitlines()
    stages = dict(
        line.split()[:2] for line in lines if line.startswith(("accum", "product ", "total", "addend", "clip"))
    )
    rounding = found.requantization.rounding
    assert stages == {
        "accumulator": str(found.accumulation.accumulator),
        "product": str(found.requantization.product),
        "total": str(rounding.total),
        "addend": str(rounding.addend),
        "clip": str(found.result),
    }
    assert any(f"binary {rounding.kept_bits} | {rounding.discarded_bits} " in line for line in lines)
    bias = next(line.split() for line in lines if line.split()[:1] == ["bias"])
    assert bias[1:] == [str(found.accumulation.bias)] * 2
    assert any(line.split()[-1:] == [str(found.accumulation.sum)] for line in lines)


def test_padding_is_marked(files):
    outcome = refengine(*CALL, "--layer", "001_conv", "--at", "0,0,0").out
    assert " pad " in outcome
    assert "15 of padding" in outcome
    assert "no padding" in refengine(*CALL, "--layer", "001_conv", "--at", "2,2,0").out


@pytest.mark.parametrize("op", ["avgpool", "global_avgpool"])
def test_logits_of_an_average_are_worth_a_share_of_the_sum(files, op):
    """Text, page and JSON agree with the real average of the pixels."""
    write_int_network(networks.averaging(op), "average.h5")
    write_images("nine.h5", np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1) * 5, None)
    call = ("explain", "average.h5", "nine.h5", "--layer", op, "--at", "0,0,0")
    text = refengine(*call, "--html", "page.html").out
    assert "worth 20 (2^0 / 9 a step)" in text
    assert "logit 180, worth 20 = 180 * 2^0 / 9\n" in text
    assert "<strong>180</strong>, worth 20 (180 &middot; 2<sup>0</sup> / 9)" in (files / "page.html").read_text()
    report = refengine(*call, "--json", "-").json
    assert report["result"] * 2.0 ** report["exponent"] / report["divisor"] == 20


def columns_of(layer, files):
    """Heads of the table of the window, and the line that says what is summed."""
    network = read_int_network("model.h5")
    lines = refengine(*CALL, "--layer", layer.name, "--at", at(network, layer.name)).out.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("window: ")), None)
    return None if start is None else lines[start + 1].split(), [line for line in lines if line.startswith("sum: ")]


def test_what_has_no_weight_has_no_product_and_a_maximum_no_sum(files):
    seen = set()
    for layer in read_int_network("model.h5").layers:
        heads, sums = columns_of(layer, files)
        seen.add(layer.op)
        if layer.op == "maxpool":
            assert heads[-1] == "largest"
        if layer.op in ("input", "requantize", "add"):
            assert "product" not in heads
            assert "weight" not in sums[0]
        if layer.op in ("conv", "fc"):
            assert heads[-1] in ("sum", "product")
            assert "the sum of code * weight over a cluster, product = P * scale" in sums[0]
    assert {"maxpool", "input", "requantize", "conv", "fc"} <= seen


def test_the_largest_code_of_a_row_is_that_of_the_maximum(files):
    network = read_int_network("model.h5")
    layer = next(layer for layer in network.layers if layer.op == "maxpool")
    call = (*CALL, "--layer", layer.name, "--at", at(network, layer.name))
    lines = refengine(*call).out.splitlines()
    row = next(n for n, line in enumerate(lines) if line.endswith("largest")) + 1
    assert int(lines[row].split()[-1]) == refengine(*call, "--json", "-").json["result"]


def test_json_is_the_explanation(files):
    network = read_int_network("model.h5")
    report = refengine(*CALL, "--layer", "fc", "--at", "2", "--image", "1", "--json", "-").json
    found = figures(explain(network, pixels(1)[0], "fc", (2,), 1, "reference"))
    assert report == {
        **json.loads(json.dumps(found)),
        "report": "explain",
        "refengine": report["refengine"],
        "contract": 1,
    }


def test_html_and_json_go_with_the_text(files):
    text = refengine(*CALL, "--layer", "001_conv", "--at", "1,1,1")
    both = refengine(*CALL, "--layer", "001_conv", "--at", "1,1,1", "--html", "page.html", "--json", "figures.json")
    assert both.out == text.out + "page.html: the same, drawn\n"
    assert (files / "page.html").read_text().startswith("<!DOCTYPE html>")
    assert json.loads((files / "figures.json").read_text())["layer"] == "001_conv"


def test_what_is_large_is_cut_to_what_weighs_most(files, monkeypatch):
    """The largest products, and what the others come to; --all has every one and the running sum."""
    monkeypatch.setattr(module, "SHOWN", 3)
    monkeypatch.setattr(module, "_FEW", 5)
    network = read_int_network("model.h5")
    found = explain(network, pixels(0)[0], "fc", (0,), backend="reference")
    call = (*CALL, "--layer", "fc", "--at", "0")
    cut, whole = refengine(*call).out, refengine(*call, "--all").out
    taps = [tap for part in found.accumulation.parts for tap in part.taps]
    assert f"the 3 that weigh most of {len(taps)}; --all prints them all" in cut
    assert len(whole.splitlines()) - len(cut.splitlines()) >= len(taps) - 4
    assert "that weigh most" not in whole
    largest = sorted((abs(tap.product) for tap in taps), reverse=True)[:3]
    start = next(n for n, line in enumerate(cut.splitlines()) if line.startswith("cluster  place"))
    rows = cut.splitlines()[start + 1 : start + 4]
    assert [abs(int(row.split()[-1])) for row in rows] == largest


def test_a_stochastic_image_is_known_by_its_number(files):
    refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "model.h5", "--rounding", "stochastic")
    network = read_int_network("model.h5")
    with open_images("images.h5") as images:
        results = {}
        whole = images.read(0, images.count)
    run(network, whole, "reference", lambda layer, _, result: results.update({layer.name: result.result}))
    report = refengine(*CALL, "--layer", "001_conv", "--at", "3,2,1", "--image", "7", "--json", "-").json
    assert report["result"] == int(results["001_conv"][7, 3, 2, 1])
    assert np.array_equal(whole[7], pixels(7)[0])


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--layer", "nosuch", "--at", "0,0,0"], "'nosuch'"),
        (["--layer", "001_conv", "--at", "0,0,99"], "has no place 0,0,99, needed y,x,c in 0,0,0..6,5,3"),
        (["--layer", "fc", "--at", "0,0,0"], "needed k in 0..4"),
        (["--layer", "fc", "--at", "0", "--image", "99"], "has images 0..11, asked for 99"),
        (["--layer", "fc", "--at", "0", "--html", "model.h5"], "is also read from"),
        (["--layer", "fc", "--at", "0", "--html", "a", "--json", "a"], "would be written twice"),
        (["--layer", "fc", "--at", "0", "--html", "nowhere/a"], "there is no folder"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, options, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*CALL, *options)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize("place", ["1,x,2", "", "1;2;3"])
def test_a_malformed_place_is_refused(files, place):
    outcome = refengine(*CALL, "--layer", "fc", "--at", place)
    assert outcome.code == 2
    assert "is no place, needed y,x,c or k" in outcome.err


@pytest.mark.parametrize("name", ["model.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL, "--layer", "fc", "--at", "0")
