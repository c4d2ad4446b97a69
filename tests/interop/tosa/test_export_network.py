"""Whole networks as one TOSA graph, run by TOSA's own reference model at once, and read from the file by it."""

import json
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from networks import dynamic, every_op, int_networks, random_images, small
from tosa_tools import needs_tosa

from refengine.engine.run import run
from refengine.errors import NetworkError
from refengine.golden.crosscheck import crosscheck
from refengine.interop.tosa.building import signed
from refengine.interop.tosa.engine import reference_model
from refengine.interop.tosa.export_network import to_tosa
from refengine.numbers.rounding import DOUBLE_ROUND, MODES


def block(document):
    return document["regions"][0]["blocks"][0]


@needs_tosa
@pytest.mark.parametrize("rounding", [*MODES, DOUBLE_ROUND])
def test_one_run_gives_every_integer_of_every_operator(rounding):
    network = every_op(rounding)
    (found,) = crosscheck(network, random_images(network, 2), ["tosa-network"])
    assert (found.layers, found.different) == (len(network.layers), 0)


@needs_tosa
@settings(max_examples=4)
@given(int_networks(roundings=(*MODES, DOUBLE_ROUND)))
def test_random_networks_agree(network):
    (found,) = crosscheck(network, random_images(network, 1), ["tosa-network"])
    assert found.different == 0


@needs_tosa
def test_the_file_runs_without_the_schema(tmp_path):
    """Arm's model reads the flatbuffer itself and gives the logits."""
    network, model = every_op(), reference_model()
    images = random_images(network, 3)
    (tmp_path / "net.tosa").write_bytes(model.flatbuffer(to_tosa(network, 3)))
    np.save(tmp_path / "image.npy", signed(images))
    names = {"ifm_name": ["image"], "ifm_file": ["image.npy"], "ofm_name": ["logits"], "ofm_file": ["logits.npy"]}
    case = {"tosa_file": "net.tosa", **names, "expected_return_code": 0, "expected_failure": False}
    (tmp_path / "case.json").write_text(json.dumps(case))
    subprocess.run([model.program, "--test_desc", tmp_path / "case.json"], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), run(network, images, "reference"))


def test_a_graph_has_the_pixels_in_and_the_logits_out():
    network = every_op()
    graph = block(to_tosa(network, 3))
    assert (graph["inputs"], graph["outputs"]) == (["image"], ["logits"])
    shapes = {tensor["name"]: tensor["shape"] for tensor in graph["tensors"]}
    assert (shapes["image"], shapes["logits"]) == ([3, *network.input_shape], [3, network.classes])


def test_with_layers_every_stage_is_an_output():
    outputs = block(to_tosa(small(), layers=True))["outputs"]
    assert outputs[-1] == "logits"
    assert {name.rpartition(".")[0] for name in outputs[:-1]} == {layer.name for layer in small().layers}


def test_every_tensor_is_made_once_and_before_it_is_read():
    graph = block(to_tosa(every_op(), layers=True))
    known = {*graph["inputs"]}
    for operator in graph["operators"]:
        assert {*operator["inputs"]} <= known
        assert not known & {*operator["outputs"]}
        known |= {*operator["outputs"]}
    assert {*graph["outputs"]} <= known


def test_what_cannot_be_said_is_refused_by_layer():
    with pytest.raises(NetworkError, match=r"^layer '000_input' .*: the export to TOSA cannot say stochastic rounding"):
        to_tosa(every_op("stochastic"))
    with pytest.raises(NetworkError, match="TOSA needs a network of static exponents"):
        to_tosa(dynamic())
