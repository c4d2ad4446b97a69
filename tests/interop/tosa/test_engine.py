"""The way to TOSA's reference model: found beside an interpreter, its failures one line, its layers alone.

Where it is not installed a script stands in for it, which says what the program says.
"""

import sys

import numpy as np
import pytest
from networks import dynamic, random_images, small
from tosa_tools import needs_tosa

from refengine.engine.run import run, run_layer
from refengine.errors import NetworkError, RefengineError
from refengine.interop.tosa.engine import TosaEngine, TosaNetwork, reference_model

needs_scripts = pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")

VERSION = 'if [ "$1" = --version ]; then echo "Model version 9.8.7"; exit 2; fi\n'


@pytest.fixture
def environment(tmp_path):
    """A function that writes a program into an environment, and returns its interpreter."""

    def made(body):
        folder = tmp_path / "lib" / "python3.99" / "site-packages" / "bin"
        folder.mkdir(parents=True)
        (folder / "tosa.fbs").write_text("")
        (folder / "tosa_reference_model").write_text(f"#!/bin/sh\n{VERSION}{body}\n")
        (folder / "tosa_reference_model").chmod(0o755)
        return tmp_path / "bin" / "python"

    return made


@needs_scripts
def test_it_says_its_version(environment):
    assert reference_model(environment("exit 1")).version == "9.8.7"


@needs_scripts
def test_the_variable_names_it_too(environment, monkeypatch):
    monkeypatch.setenv("TOSA_PYTHON", str(environment("exit 1")))
    assert TosaEngine(small(), reference_model()).version == "9.8.7"


def test_without_an_environment_the_error_says_how_to_name_one(monkeypatch, tmp_path):
    monkeypatch.delenv("TOSA_PYTHON", raising=False)
    with pytest.raises(RefengineError, match=r"no known environment; needed: .* as --tosa-python or TOSA_PYTHON"):
        reference_model()
    with pytest.raises(RefengineError, match="in no environment with tosa-tools"):
        reference_model(tmp_path / "bin" / "python")


@needs_scripts
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'WARNING: noise'; echo 'no such   operator' >&2; exit 2", "no such operator"),
        ("exit 3", "no reason given"),
        ("exit 0", "it wrote no accumulator"),
    ],
)
def test_a_layer_that_cannot_run_is_one_line(environment, body, reason):
    made = TosaEngine(small(), reference_model(environment(body)))
    with pytest.raises(RefengineError) as caught:
        made.run(random_images(small(), 1), {"000_input": np.zeros((1, 2, 2, 1), np.uint8)})
    assert str(caught.value) == f"tosa cannot run layer '000_input' (input): {reason}"


@needs_scripts
def test_a_program_that_is_none(environment):
    python = environment("")
    (program,) = python.parent.parent.rglob("tosa_reference_model")
    program.write_text("")
    program.chmod(0o644)
    with pytest.raises(RefengineError, match="tosa cannot be started"):
        TosaEngine(small(), reference_model(python))


@needs_scripts
def test_dynamic_exponents_are_refused(environment):
    with pytest.raises(NetworkError, match="the crosscheck with TOSA needs a network of static exponents"):
        TosaEngine(dynamic(), reference_model(environment("")))


@needs_scripts
def test_a_graph_that_cannot_be_written_is_one_line(environment):
    model = reference_model(environment(""))
    with pytest.raises(RefengineError, match="tosa cannot be started"):
        model.flatbuffer({})
    writer = model.program.with_name("flatc")
    writer.write_text("#!/bin/sh\necho 'unknown field'; exit 1\n")
    writer.chmod(0o755)
    with pytest.raises(RefengineError, match="tosa cannot write the graph: unknown field"):
        model.flatbuffer({})


@needs_scripts
def test_a_whole_network_that_cannot_run_is_one_line(environment):
    made = TosaNetwork(small(), reference_model(environment("echo 'too deep'; exit 2")))
    with pytest.raises(RefengineError, match=r"^tosa cannot run the network: too deep$"):
        made.run(random_images(small(), 1))


@needs_tosa
def test_a_whole_network_gives_the_stages_of_a_trace():
    network, pixels = small(), random_images(small(), 3)
    stages, logits = TosaNetwork(network, reference_model()).run(pixels)
    wanted = run(network, pixels, "reference")
    np.testing.assert_array_equal(logits, wanted)
    np.testing.assert_array_equal(stages["002_fc"]["accumulator"], wanted)
    assert [*stages["001_conv"]] == ["accumulator", "code"]


@needs_tosa
def test_every_layer_runs_on_the_codes_that_it_is_given():
    """Not on those that the layer before it gave."""
    network = small()
    pixels, codes = random_images(network, 3), random_images(network, 3, seed=1)
    found = TosaEngine(network, reference_model(), threads=2).run(
        pixels, {"000_input": codes, "001_conv": np.full((3, 1, 1, 2), -5, np.int8)}
    )
    wanted = run_layer(network.layers[1], [codes], backend="reference")
    np.testing.assert_array_equal(found["001_conv"]["accumulator"], wanted.accumulator)
    np.testing.assert_array_equal(found["001_conv"]["code"], wanted.result)
    assert found["002_fc"]["accumulator"].tolist() == [[-243, 620]] * 3
