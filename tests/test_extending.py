"""docs/extending.md, followed to the letter: its blocks are put into a copy of the package, and every consumer of an
integer network works with the new operator and the new rounding mode, or refuses in one line that names it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import every_op, random_images

from refengine.analysis.intervals import SUMS as INTERVALS
from refengine.analysis.intervals import reach
from refengine.analysis.terms import TERMS, terms
from refengine.engine.fast.plan import Plan
from refengine.engine.fast.steps import COMPILERS
from refengine.engine.run import run
from refengine.errors import NetworkError
from refengine.interop.onnx import export_float as onnx_float
from refengine.interop.onnx import export_int as onnx
from refengine.interop.torch import export_float as torch_float
from refengine.interop.torch import export_int as torch
from refengine.interop.tosa import export_layer as tosa
from refengine.interop.tosa.moves import PASS as TOSA_PASS
from refengine.interop.tosa.sums import SUMS as TOSA_SUMS
from refengine.network import float_layer, float_network, forward
from refengine.network.activations import ACTIVATIONS
from refengine.ops import OPS
from refengine.quantization.quantize import STEPS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "extending.md"
BLOCK = re.compile(r"^```text\n# (refengine/\S+\.py)(?:, (in|at) ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMPORTS = "the end of the imports"
REFUSALS = {"mutation": "half_odd", "torch": "half_odd"}  # what the one line names; every other consumer works


def follow(page, package):
    """Put every block of the page where its first line says; how many there were."""
    blocks = BLOCK.findall(page)
    for path, how, where, code in blocks:
        file = package / path
        if not how:
            assert not file.exists()
            file.write_text(code, encoding="utf-8")
            continue
        text = file.read_text(encoding="utf-8")
        if how == "at":
            assert where == IMPORTS
            place = [
                found.end()
                for found in re.finditer(r"^(from .*? import (\(.*?\)|.*?)|import .*?)\n", text, re.M | re.S)
            ]
            end = place[-1]
        else:
            begin = re.search(rf"^{where}\b.*= {{$", text, re.MULTILINE).end()
            end = text.index("\n}", begin) + 1
        file.write_text(text[:end] + code + text[end:], encoding="utf-8")
    return len(blocks)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Consumer -> what it did, from one process that imports the extended copy."""
    copy, work = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("work")
    shutil.copytree(ROOT / "refengine", copy / "refengine", ignore=shutil.ignore_patterns("__pycache__"))
    assert follow(PAGE.read_text(encoding="utf-8"), copy) == 4
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "extended_package.py", work],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(copy), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("imported from") == str(copy / "refengine")
    return found


@pytest.mark.slow
def test_every_consumer_works_or_refuses_in_a_line_that_names_what_it_does_not_know(outcomes):
    outcomes = {name: outcome for name, outcome in outcomes.items() if "cannot be imported" not in outcome}
    works = {name for name, outcome in outcomes.items() if outcome == "works"}
    refused = {name: outcome for name, outcome in outcomes.items() if outcome != "works"}
    assert works == {*outcomes} - {*REFUSALS}, refused
    for name, named in REFUSALS.items():
        assert named in outcomes[name]
        assert "\n" not in outcomes[name]


@pytest.mark.slow
def test_the_page_says_what_its_table_derives(outcomes):
    """The row of every room that the table lists names a file that is there."""
    files = re.findall(r"\(`((?:analysis|engine|interop|golden)/[\w/.]+)`\)", PAGE.read_text(encoding="utf-8"))
    assert len(files) == 7
    assert all((ROOT / "refengine" / file).exists() for file in files)


# ------------------------------------------------------------------------------------------- the tables, held together

MOVING = {name for name, operator in OPS.items() if operator.MOVES}
PASSING = {name for name, operator in OPS.items() if not operator.ACCUMULATES}
SUMMING = {*OPS} - PASSING


@pytest.mark.parametrize(
    ("table", "derived", "needed"),
    [
        (COMPILERS, MOVING, {*OPS}),
        (TERMS, MOVING, {*OPS}),
        (INTERVALS, PASSING, {*OPS}),
        (onnx.SUMS, set(), SUMMING),
        (onnx.PASS, MOVING, PASSING),
        (TOSA_SUMS, set(), SUMMING),
        (TOSA_PASS, MOVING, PASSING),
        ({*torch.SUM, *torch.WEIGHTED}, set(), SUMMING),
        (torch.PASS, MOVING, PASSING),
    ],
    ids=[
        "fast",
        "terms",
        "intervals",
        "onnx sums",
        "onnx codes",
        "tosa sums",
        "tosa codes",
        "torch sums",
        "torch codes",
    ],
)
def test_every_table_covers_every_operator_and_knows_no_other(table, derived, needed):
    assert {*table} | derived == needed
    assert {*table} <= needed


@pytest.mark.parametrize(
    ("table", "op", "consumer"),
    [
        (TERMS, "conv", lambda network: terms(network, network.layer("001_conv"), (0, 0, 0))),
        (onnx.SUMS, "conv", onnx.to_onnx),
        (onnx.PASS, "maxpool", onnx.check_exportable),
        (TOSA_SUMS, "conv", lambda network: tosa.layer_graph(network, network.layer("001_conv"), 1)),
        (torch.SUM, "input", torch.IntForward),
    ],
    ids=["terms", "ONNX", "ONNX codes", "TOSA", "PyTorch"],
)
def test_an_operator_without_a_line_is_refused_by_its_name(monkeypatch, table, op, consumer):
    monkeypatch.delitem(table, op)
    with pytest.raises(NetworkError, match=rf"layer '\d+_{op}' \({op}\): .* known|it has: ") as error:
        consumer(every_op())
    assert f"({op})" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("op", sorted(SUMMING))
def test_an_accumulating_operator_without_a_line_has_wider_intervals_and_runs_by_itself(monkeypatch, op):
    """Its ``bound`` contains what its own line says; the plan gives the same logits."""
    network = every_op()
    images = random_images(network, 2)
    tight, logits = reach(network), run(network, images, "reference")
    monkeypatch.delitem(INTERVALS, op)
    monkeypatch.delitem(COMPILERS, op)
    wide = reach(network)
    for layer in network.layers:
        assert (wide[layer.name].result.lo <= tight[layer.name].result.lo).all()
        assert (wide[layer.name].result.hi >= tight[layer.name].result.hi).all()
    assert np.array_equal(Plan(network, 2).run(images), logits)


@pytest.mark.parametrize(
    "table",
    [float_network._SHAPES, forward.OPERATORS, STEPS, onnx_float._NODES, {"input", *torch_float._STEPS}],
    ids=["shapes", "forward", "quantize", "ONNX", "PyTorch"],
)
def test_every_table_of_float_layers_covers_every_float_operator(table):
    assert {*float_layer.LAYER_OPS} <= {*table}
    assert {*table} <= {*float_layer.LAYER_OPS} | {*OPS}


def test_float_operators_are_those_of_the_integers_and_relu():
    """A requantize layer is what a relu by itself becomes, a lookup what any other activation does."""
    assert {*float_layer.LAYER_OPS} - {"relu", *ACTIVATIONS} == {*OPS} - {"requantize", "lookup"}
    assert {*ACTIVATIONS} <= {*float_layer.LAYER_OPS}
