"""A folder of small files for the verbs to work on."""

import shutil

import numpy as np
import pytest
from float_networks import every_op

from refengine.network.float_file import write_float_network
from refengine.network.images import write_images
from refengine.network.int_file import write_int_network
from refengine.quantization.quantize import quantize
from refengine.runs.trace import write_trace

COUNT = 12


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Files made once: a float network with every operator, images for it, its integer network, and a trace."""
    folder = tmp_path_factory.mktemp("made")
    network, rng = every_op(), np.random.default_rng(5)
    pixels = rng.integers(0, 256, (COUNT, *network.input_shape)).astype(np.uint8)
    labels, names = rng.integers(0, network.classes, COUNT), ["zero", "one", "two", "three", "four"]
    write_float_network(network, folder / "net.h5")
    write_images(folder / "images.h5", pixels, labels, names)
    write_images(folder / "unlabelled.h5", pixels, None)
    model = quantize(network, pixels)
    write_int_network(model, folder / "model.h5")
    write_trace(model, pixels[:2], folder / "trace.h5")
    return folder


@pytest.fixture
def files(made, tmp_path, monkeypatch):
    """A copy of the files, for one test, in the current directory."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
