"""refengine convert of networks: what is written, what is said, and how bad input is refused."""

import re

import pytest
from onnx_models import as_bytes, classifier
from verbs import refengine, refusal

from refengine import optional
from refengine.interop.onnx.convert import convert_file
from refengine.network.float_file import read_float_network

if not optional.installed("onnx"):
    pytest.skip("onnx is missing", allow_module_level=True)

NETWORK = ("convert", "net.onnx", "made.h5")
OPTIONS = ("--mean", "123.5,116,103", "--std", "58", "--channels", "BGR", "--name", "mine", "--licence", "MIT")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(as_bytes(classifier()))
    return tmp_path


def test_the_file_holds_the_network(folder):
    outcome = refengine(*NETWORK, *OPTIONS)
    assert (outcome.code, outcome.err) == (0, "")
    made = read_float_network("made.h5")
    assert (made.name, made.licence, made.channels, made.mean, made.std) == (
        "mine", "MIT", "BGR", (123.5, 116, 103), (58, 58, 58),
    )  # fmt: skip
    assert [layer.name for layer in made.layers] == [layer.name for layer in convert_file("net.onnx").network.layers]
    assert outcome.out.splitlines() == [
        "made.h5: 7 layers, images 6x5x3, 5 classes",
        "input BGR: (pixel - (123.5, 116, 103)) / (58, 58, 58)",
        "the Softmax at its end is left out: the last layer gives logits",
    ]


@pytest.mark.skipif(not optional.installed("onnxruntime"), reason="onnxruntime is missing")
def test_check_says_the_difference(folder):
    line = refengine(*NETWORK, "--check").out.splitlines()[-1]
    number = r"\d\.\d\de[-+]\d\d"
    said = rf"largest difference to ONNX Runtime on 8 random images: {number}, allowed {number}, largest logit [\d.e+]+"
    assert re.fullmatch(said, line)
    figures = refengine(*NETWORK, *OPTIONS, "--check", "--json", "-").json
    assert (figures["report"], figures["layers"], figures["dropped"]) == ("convert", 7, "Softmax")
    assert figures["check"]["images"] == 8
    assert 0 <= figures["check"]["difference"] < figures["check"]["allowed"] < figures["check"]["largest"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"),
         "--mean 123.675,116.28,103.53 --std 58.395,57.12,57.375"),
        (("--mean", "0.5"), "--mean 127.5 --std 255"),
        (("--mean", "-0.5,0,0", "--std", "1"), "--mean -127.5,0,0 --std 255"),
        (("--std", "0.25"), "--mean 0 --std 63.75"),
        (("--mean", "0", "--std", "1"), None),
        (("--mean", "0.5", "--std", "255"), None),
        (("--mean", "127.5", "--std", "0.5"), None),
    ],
)  # fmt: skip
def test_units_of_0_to_1_get_a_hint(folder, options, hint):
    outcome = refengine(*NETWORK, *options)
    begin = "refengine: mean and std look like those of pixels in 0..1, pixels are 0..255 here: "
    assert (outcome.code, outcome.err) == (0, "" if hint is None else f"{begin}{hint}\n")


def test_pixels_that_the_first_layer_was_not_made_for_get_a_hint(folder):
    outcome = refengine(*NETWORK)
    assert outcome.code == 0
    assert re.match("refengine: the batch norm behind the first layer expects images with a std", outcome.err)
    assert refengine(*NETWORK, "--mean", "0").err == ""


def test_the_ending_in_capitals(folder):
    (folder / "net.onnx").rename(folder / "NET.ONNX")
    assert refengine("convert", "NET.ONNX", "made.h5").code == 0


def test_a_network_of_another_name_is_refused_with_the_ending_that_is_needed(folder):
    (folder / "net.onnx").rename(folder / "net.model")
    assert "net.model: unrecognised dataset; supported" in refusal("convert", "net.model", "made.h5")
    assert "or a network called .onnx" in refusal("convert", "net.model", "made.h5")


@pytest.mark.parametrize(
    ("name", "needle"),
    [("net.pt", "torch.onnx.export makes"), ("NET.KERAS", "tf2onnx makes"), ("net.tflite", "quantized already")],
)
def test_networks_of_other_programs_are_told_their_way(folder, name, needle):
    (folder / name).write_bytes(b"PK")
    line = refusal("convert", name, "made.h5")
    assert line.startswith(f"refengine: error: {name}: is ")
    assert needle in line


def test_the_network_can_be_used(folder):
    assert refengine(*NETWORK).code == 0
    assert "5 classes" in refengine("inspect", "made.h5").out


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (("convert", "none.onnx", "made.h5"), "No such file"),
        (("convert", ".", "made.h5", "--mean", "1"), "--mean does not apply"),
        ((*NETWORK, "--input-shape", "7,5,3"), "net.onnx: input_shape is (7, 5, 3)"),
        ((*NETWORK, "--mean", "1,2"), "net.onnx: mean is"),
        ((*NETWORK, "--split", "test"), "--split does not apply: net.onnx is a network"),
        (("convert", "net.onnx", "net.onnx"), "is also read from"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(folder, arguments, needle):
    assert needle in refusal(*arguments)
    assert {path.name for path in folder.iterdir()} == {"net.onnx"}


def test_numbers_are_numbers(folder):
    outcome = refengine(*NETWORK, "--mean", "1,two,3")
    assert outcome.code == 2
    assert "'1,two,3' is not numbers between commas" in outcome.err


@pytest.mark.parametrize("content", [b"", b"text" * 50, "half", "zeros"])
def test_damaged_input_is_refused_in_one_line(folder, content):
    path = folder / "net.onnx"
    good = path.read_bytes()
    spoiled = {"half": good[: len(good) // 2], "zeros": good[:200] + bytes(len(good) - 200)}
    path.write_bytes(spoiled[content] if isinstance(content, str) else content)
    assert "net.onnx" in refusal(*NETWORK)
    assert {path.name for path in folder.iterdir()} == {"net.onnx"}
