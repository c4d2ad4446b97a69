"""The files in weights/ are what weights/README.md and the two input layouts say they are."""

import hashlib
import itertools
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
NETWORK = "resnet20-fashion.h5"
TEST_IMAGES = "fashion-test-10000.h5"
CALIBRATION_IMAGES = "fashion-calibration-1000.h5"
SHIPPED = (NETWORK, TEST_IMAGES, CALIBRATION_IMAGES)

TENSORS = {
    "conv": {"weight"},
    "batchnorm": {"gamma", "beta", "mean", "var"},
    "fc": {"weight", "bias"},
    "input": set(),
    "relu": set(),
    "add": set(),
    "maxpool": set(),
    "pad_channels": set(),
    "global_avgpool": set(),
}
ATTRIBUTES = {
    "conv": {"strides", "pads", "group"},
    "batchnorm": {"epsilon"},
    "pad_channels": {"before", "after"},
    "maxpool": {"kernel_shape", "strides", "pads", "ceil_mode"},
}


def read_images(name):
    """Images (N, H, W, C) and labels (N,) of one shipped file."""
    with h5py.File(WEIGHTS / name) as file:
        return file["images"][:], file["labels"][:]


@pytest.fixture
def network():
    """The network's file, open for reading."""
    with h5py.File(WEIGHTS / NETWORK) as file:
        yield file


# ---- every file -----------------------------------------------------------------------------------------


def test_nothing_else_is_shipped():
    assert {path.name for path in WEIGHTS.glob("*.h5")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_sha256_is_the_one_in_the_readme(name):
    readme = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(rf"^\| `{re.escape(name)}` \|.*`([0-9a-f]{{64}})`", readme, re.MULTILINE)
    assert listed == [hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest()]


@pytest.mark.parametrize("name", SHIPPED)
def test_size_is_the_one_in_the_readme_and_below_10_mb(name):
    readme = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    size = (WEIGHTS / name).stat().st_size
    assert size < 10_000_000
    assert re.search(rf"^\| `{re.escape(name)}` \| {size:,} \|", readme, re.MULTILINE)


@pytest.mark.parametrize("name", SHIPPED)
def test_origin_and_licence_are_stated(name):
    with h5py.File(WEIGHTS / name) as file:
        assert file.attrs["version"] == 1
        assert file.attrs["licence"] == "MIT"
        assert "Fashion-MNIST" in file.attrs["source"]


# ---- labelled images ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), [(TEST_IMAGES, 10_000), (CALIBRATION_IMAGES, 1_000)])
def test_layout_of_labelled_images(name, count):
    with h5py.File(WEIGHTS / name) as file:
        assert file.attrs["format"] == "refengine-images"
        assert (file["images"].shape, file["images"].dtype) == ((count, 28, 28, 1), np.uint8)
        assert (file["labels"].shape, file["labels"].dtype) == ((count,), np.int32)
        assert file["images"].compression == file["labels"].compression == "gzip"
        assert file["class_names"].dtype.kind == "S"
        assert file["class_names"][[0, 9]].tolist() == [b"T-shirt/top", b"Ankle boot"]


@pytest.mark.parametrize("name", [TEST_IMAGES, CALIBRATION_IMAGES])
def test_classes_are_balanced(name):
    _, labels = read_images(name)
    assert np.bincount(labels).tolist() == [len(labels) // 10] * 10


def test_no_calibration_image_is_a_test_image():
    test, calibration = (
        {image.tobytes() for image in read_images(name)[0]} for name in (TEST_IMAGES, CALIBRATION_IMAGES)
    )
    assert len(calibration) == 1_000
    assert not calibration & test


# ---- the network ----------------------------------------------------------------------------------------


def test_root_of_the_network(network):
    assert network.attrs["format"] == "refengine-float"
    assert network.attrs["name"] == "resnet20-fashion"
    assert network.attrs["input_shape"].tolist() == [28, 28, 1]
    assert network.attrs["classes"] == 10
    assert network.attrs["channels"] == "gray"
    assert network.attrs["mean"].shape == network.attrs["std"].shape == (1,)
    assert 0 < network.attrs["mean"][0] < 255
    assert 0 < network.attrs["std"][0] < 255


def test_layers_are_numbered_and_name_earlier_layers(network):
    keys = sorted(network["layers"])
    for number, key in enumerate(keys):
        assert re.fullmatch(rf"{number:03d}_[\w.]+", key)
        inputs = json.loads(network["layers"][key].attrs["inputs"])
        assert set(inputs) <= set(keys[:number])
        assert bool(inputs) == (number > 0)


def test_layers_hold_what_their_operator_needs(network):
    for key, layer in network["layers"].items():
        op = layer.attrs["op"]
        assert set(layer) == TENSORS[op], key
        assert set(layer.attrs) == {"op", "inputs"} | ATTRIBUTES.get(op, set()), key


def test_tensors_are_finite_float32(network):
    for key, layer in network["layers"].items():
        for name, tensor in layer.items():
            assert tensor.dtype == np.float32, f"{key}/{name}"
            assert np.isfinite(tensor[:]).all(), f"{key}/{name}"
        if layer.attrs["op"] == "batchnorm":
            assert (layer["var"][:] > 0).all(), key


def test_it_is_a_resnet_20(network):
    """Nineteen 3x3 convolutions and a fully connected layer, widths 16, 32 and 64."""
    layers = [network["layers"][key] for key in sorted(network["layers"])]
    convs = [layer["weight"].shape for layer in layers if layer.attrs["op"] == "conv"]
    widths = [1] + [16] * 7 + [32] * 6 + [64] * 6
    assert convs == [(o, i, 3, 3) for i, o in itertools.pairwise(widths)]
    assert layers[-1].attrs["op"] == "fc"
    assert layers[-1]["weight"].shape == (10, 64)
