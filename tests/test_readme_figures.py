"""The figures of the README: each is computed here, or is the one of a table in docs/ that says how it was measured.

What takes a minute (the demo, the model of 1,000 calibration images, its accuracy) is computed by the slow tests.
"""

import json
import os
import re
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest

from refengine.accuracy.cost import cost_of
from refengine.accuracy.evaluate import wilson
from refengine.accuracy.workload import in_clusters, workloads
from refengine.cli import demo
from refengine.network.float_file import read_float_network
from refengine.network.float_network import shapes
from refengine.network.images import open_images
from refengine.ops import OPS
from refengine.quantization.fuse import fuse

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO, OWN = re.findall(r"^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", README, flags=re.DOTALL)
NETWORK = read_float_network(ROOT / "weights" / demo.NETWORK)
TEST_IMAGES = 10_000
TRACE = "0.9 MB"  # of an image; a slow test measures it


def percent(share):
    return f"{100 * share:.2f} %"


def table(page, row):
    """The cells of the row of a table of docs/ that begins so."""
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def measured():
    """Images of 10,000 that the shipped network gets right: integers in clusters of 4, and floats."""
    page = (ROOT / "docs" / "finetune.md").read_text(encoding="utf-8")
    real = re.search(r"of 10,000 test images \(float: ([\d,]+);", page)[1]
    return [int(number.replace(",", "")) for number in (table("finetune.md", "4")[-1], real)]


def replaced():
    return cost_of(in_clusters(workloads(NETWORK), 4)).multiplications_replaced


def right_of_1017(model, column):
    """How many images a row of docs/accuracy.md has right."""
    return int(table("accuracy.md", model)[column].split()[0])


def test_every_figure_in_the_prose_is_derived():
    """A figure that is written into the README without a source is red here, as is one that its source has left."""
    integers, floats = (percent(right / TEST_IMAGES) for right in measured())
    parameters = {parameter.name: parameter for parameter in demo.command.params}
    real, _, ternary, _, int4 = (right_of_1017("ResNet-8 (MLPerf Tiny)", n) if n != 1 else None for n in range(5))
    about = re.search(r"to about (\d+) %", PROSE)[1]
    assert abs(int(about) - 100 * ternary / 1017) < 1
    with open_images(ROOT / "weights" / demo.TEST) as images:
        assert images.count == TEST_IMAGES
    assert re.findall(r"\d[\d.,]* (?:%|MB)|\d{1,3},\d{3}|\d{3,}", PROSE) == [
        integers,
        f"{TEST_IMAGES:,}",
        floats,
        percent(replaced()),
        f"{parameters['count'].default:,}",
        f"{100 * real / 1017:.0f} %",
        f"{about} %",
        f"{100 * int4 / 1017:.0f} %",
        TRACE,
    ]


def test_the_shares_and_intervals_of_the_demo_follow_from_its_counts():
    rows = re.findall(r"^(?:integers|float) top-1 +(\d+) +(\d+) +(.*? %) +(.*? %) to (.*? %)$", DEMO, re.MULTILINE)
    assert len(rows) == 2
    for right, count, share, low, high in rows:
        ends = wilson(int(right), int(count))
        assert (share, low, high) == (percent(int(right) / int(count)), percent(ends[0]), percent(ends[1]))
    same, count = re.search(r"same class as the float network: (\d+) of (\d+)", DEMO).groups()
    assert int(same) <= int(count)
    assert DEMO.endswith(f"multiplications replaced by additions: {percent(replaced())}\n")


def test_the_figures_of_the_structure_are_those_of_the_shipped_network():
    """Layers, images, classes, mean and std of ``convert``; layers and integers of ``crosscheck``."""
    size, groups = "x".join(map(str, NETWORK.input_shape)), fuse(NETWORK)
    assert f"net.h5: {len(NETWORK.layers)} layers, images {size}, {NETWORK.classes} classes" in OWN
    (mean,), (std,) = NETWORK.mean, NETWORK.std
    assert f"input gray: (pixel - ({mean:g})) / ({std:g})" in OWN
    assert f"--mean {mean:g} --std {std:g} " in README
    ternary = sum(group.weighted for group in groups) - 2
    assert f"model.h5: {len(groups)} layers, {ternary} ternary, 2 int8, " in OWN
    images, layers, compared = re.search(r"^onnxruntime +\S+ +(\d+) +(\d+) +([\d,]+) +0$", OWN, re.MULTILINE).groups()
    assert int(layers) == len(groups)
    assert int(compared.replace(",", "")) == int(images) * integers_of(groups)


def integers_of(groups):
    """Accumulators and codes of one image, of an accumulating layer both; logits count twice, as both."""
    sizes = [prod(shapes(NETWORK)[group.output]) for group in groups]
    return sum(size * (2 if OPS[group.core.op].ACCUMULATES else 1) for group, size in zip(groups, sizes, strict=True))


def test_the_model_is_the_one_of_the_page_on_c():
    hashes = re.findall(r"^model ([0-9a-f]{64})", README, re.MULTILINE)
    assert hashes[1] == re.search(r"^model ([0-9a-f]{64})", (ROOT / "docs" / "c_model.md").read_text(), re.MULTILINE)[1]


def in_a_process(folder, *arguments):
    """What the command prints as users call it: it keeps libraries of linear algebra to one thread."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "refengine", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_demo_prints_what_the_page_shows(tmp_path):
    """Every line but '...', with all figures; without them where the processor's floats made another model."""
    printed = in_a_process(tmp_path, "demo")
    (model,) = re.findall(r"^model [0-9a-f]{64}", DEMO, re.MULTILINE)
    shown = words_of_lines if model in printed else lines_without_figures
    assert shown(DEMO) - shown(printed) <= {"...", ""}


def words_of_lines(text):
    return {" ".join(line.split()) for line in text.splitlines()}


def lines_without_figures(text):
    """Lines with a sign in place of each hash and number."""
    return {re.sub(r"\b[0-9a-f]{64}|[-0-9.,]*[0-9]", "#", line) for line in words_of_lines(text)}


@pytest.mark.slow
def test_the_model_of_1000_images_has_the_accuracy_of_the_first_screen(tmp_path):
    network, calibration, test = (ROOT / "weights" / name for name in (demo.NETWORK, demo.CALIBRATION, demo.TEST))
    in_a_process(tmp_path, "quantize", network, "--calibration", calibration, "-o", "model.h5")
    found = json.loads(in_a_process(tmp_path, "evaluate", "model.h5", test, "--float", network, "--json", "-"))
    assert [found["correct"], found["float_correct"]] == measured()
    in_a_process(tmp_path, "trace", "model.h5", test, "--count", "10", "-o", "trace.h5")
    assert f"{(tmp_path / 'trace.h5').stat().st_size / 10 / 1e6:.1f} MB" == TRACE
