"""Files that are not what a verb needs: the line says what to do, and recognises arguments that were exchanged."""

import numpy as np
import pytest
from verbs import refengine, refusal


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["evaluate", "net.h5", "images.h5"], "a float network, quantize it first (refengine quantize)"),
        (["run", "net.h5", "images.h5"], "a float network, quantize it first"),
        (["quantize", "model.h5", "--calibration", "images.h5", "-o", "new.h5"], "is quantized already"),
        (["evaluate", "images.h5", "model.h5"], "are a network and images exchanged?"),
        (["quantize", "images.h5", "--calibration", "net.h5", "-o", "new.h5"], "are a network and images exchanged?"),
        (["evaluate", "model.h5", "net.h5"], "are a network and images exchanged?"),
        (["explain", "model.h5", "images.h5", "--layer", "nosuch", "--at", "0"], "nosuch"),
    ],
)
def test_the_remedy_is_said(files, arguments, needle):
    assert needle in refusal(*arguments)


def test_onnx_is_to_be_converted_first(files):
    (files / "net.onnx").write_bytes(b"\x08\x07\x12\x07pytorch")
    line = refusal("quantize", "net.onnx", "--calibration", "images.h5", "-o", "new.h5")
    assert "an ONNX network, convert it first (refengine convert net.onnx NET.h5)" in line
    assert "an ONNX network, convert it first" in refusal("evaluate", "net.onnx", "images.h5")


def test_a_folder_of_images_is_to_be_converted_first(files):
    (files / "photos").mkdir()
    line = refusal("quantize", "net.h5", "--calibration", "photos", "-o", "new.h5")
    assert "images in a folder are converted first (refengine convert photos IMAGES.h5)" in line


def test_a_golden_that_only_a_dut_writes(files):
    assert refengine("vectors", "model.h5", "images.h5", "-o", "pack").code == 0
    (files / "code.txt").write_text("1\n2\n")
    (files / "run.vcd").write_text("$enddefinitions $end\n")
    (files / "simulation").mkdir()
    (files / "simulation" / "001_conv.code.memh").write_text("00\n")
    for golden in ("code.txt", "run.vcd", "simulation"):
        assert "compare GOLDEN DUT: are the two exchanged?" in refusal("compare", golden, "pack")
    np.save(files / "simulation" / "001_conv.code.npy", np.zeros((1, 2), np.int8))
    assert "exchanged" not in refengine("compare", "simulation", "pack").err


def test_waves_without_names_of_signals(files):
    assert refengine("vectors", "model.h5", "images.h5", "-o", "pack").code == 0
    (files / "run.vcd").write_text("$enddefinitions $end\n")
    assert "--clock, --valid and --data SIGNAL say what is sampled" in refusal("compare", "pack", "run.vcd")
    assert "--clock and --data are needed" in refusal("compare", "pack", "run.vcd", "--clock", "c")
