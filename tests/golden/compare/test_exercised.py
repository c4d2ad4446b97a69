"""The line under an EQUAL is the coverage of the images behind it."""

import networks
import numpy as np
from verbs import refengine

from refengine.analysis.coverage import coverage, summary
from refengine.analysis.terms import accumulates
from refengine.golden.compare.exercised import IMAGES, exercised, exercised_sentence
from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.open_dump import open_dump
from refengine.runs.trace import write_trace

NETWORK = networks.every_op()
NAMES = [layer.name for layer in NETWORK.layers]


def traced(path, count, **options):
    pixels = networks.random_images(NETWORK, count)
    write_trace(NETWORK, pixels, path, **options)
    return pixels


def test_a_trace_exercises_what_its_images_do(tmp_path):
    pixels = traced(tmp_path / "golden.h5", 3)
    with open_dump(tmp_path / "golden.h5") as golden:
        found = exercised(NETWORK, golden, NAMES)
        assert found == coverage(NETWORK, pixels)
        assert exercised_sentence(found, golden) == summary(found)
        chosen = [layer.name for layer in NETWORK.layers if accumulates(layer)][1:3]
        assert [one.layer for one in exercised(NETWORK, golden, chosen)] == chosen


def test_long_dumps_are_judged_by_their_first_images(tmp_path):
    pixels = traced(tmp_path / "golden.h5", IMAGES + 2)
    with open_dump(tmp_path / "golden.h5") as golden:
        found = exercised(NETWORK, golden, NAMES)
        assert found == coverage(NETWORK, pixels[:IMAGES])
        assert exercised_sentence(found, golden).endswith(f"(the first {IMAGES} images)")


def test_layers_whose_inputs_are_not_known_are_left_out():
    name = next(layer.name for layer in NETWORK.layers if layer.op == "conv")
    golden = in_memory({name: {"code": np.zeros((1, *NETWORK.shapes[name]), np.uint8)}})
    assert exercised(NETWORK, golden, [name]) == ()
    assert exercised_sentence((), golden) is None


def test_compare_prints_it_under_equal_alone(files):
    refengine("trace", "model.h5", "images.h5", "--count", "2", "-o", "golden.h5")
    refengine("trace", "model.h5", "images.h5", "--count", "2", "-o", "dut.h5")
    outcome = refengine("compare", "golden.h5", "dut.h5", "--model", "model.h5")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1].startswith("exercised: ")
    assert "exercised" not in refengine("compare", "golden.h5", "dut.h5").out
