"""The check against ONNX Runtime sees a network that computes something else."""

import dataclasses

import numpy as np
import pytest
from onnx_models import as_bytes, classifier

from refengine.errors import NetworkError
from refengine.interop import packages
from refengine.interop.onnx_agreement import agreement, graph_input
from refengine.interop.onnx_convert import Preprocessing, convert_file

if not (packages.installed("onnx") and packages.installed("onnxruntime")):
    pytest.skip("onnx or onnxruntime is missing", allow_module_level=True)

PREPROCESSING = Preprocessing((120.0, 110.0, 100.0), (60.0,), "BGR")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "net.onnx").write_bytes(as_bytes(classifier()))
    return tmp_path / "net.onnx"


def test_they_agree_on_whole_batches(path):
    found = agreement(path, convert_file(path, PREPROCESSING), count=3)
    assert found.images == 4
    assert found.difference < found.allowed / 10


def test_arrays_in_another_file_are_found(path):
    onnx = packages.package("onnx")
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="net.data", size_threshold=100)
    found = agreement(path, convert_file(path, PREPROCESSING))
    assert found.difference < found.allowed / 10


def test_another_network_is_seen(path):
    converted = convert_file(path, PREPROCESSING)
    layers = [*converted.network.layers]
    weight = layers[-1].constants["weight"].copy()
    weight[0, 0] += 0.5
    layers[-1] = dataclasses.replace(layers[-1], constants={**layers[-1].constants, "weight": weight})
    other = dataclasses.replace(converted, network=dataclasses.replace(converted.network, layers=tuple(layers)))
    with pytest.raises(NetworkError, match=r"differ by up to .* at most .* was needed; nothing is written"):
        agreement(path, other)


def test_what_the_runtime_refuses_is_one_line(path):
    converted = convert_file(path, PREPROCESSING)
    path.write_bytes(b"no model")
    with pytest.raises(NetworkError, match="ONNX Runtime refuses it"):
        agreement(path, converted)


def test_pixels_come_in_the_graph_s_order(path):
    converted = convert_file(path, PREPROCESSING)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3)).astype(np.uint8)
    x = graph_input(converted, pixels)
    assert (x.shape, x.dtype, x.flags.c_contiguous) == ((2, 3, 6, 5), np.float32, True)
    np.testing.assert_allclose(x[:, 0], (pixels[..., 2] - 120.0) / 60, rtol=1e-6)
    last = graph_input(dataclasses.replace(converted, nhwc=True), pixels)
    np.testing.assert_array_equal(last.transpose(0, 3, 1, 2), x)
