"""The check against ONNX Runtime sees a network that computes something else."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from float_networks import every_op, networks
from hypothesis import given as drawn
from onnx_models import as_bytes, classifier, graph, node

from refengine import optional
from refengine.errors import NetworkError
from refengine.interop.onnx.agreement import agreement, graph_input, random_images
from refengine.interop.onnx.convert import Preprocessing, convert_file
from refengine.interop.onnx.export_float import to_onnx
from refengine.interop.onnx.read import parse_onnx
from refengine.network.forward import forward

if not (optional.installed("onnx") and optional.installed("onnxruntime")):
    pytest.skip("onnx or onnxruntime is missing", allow_module_level=True)

PREPROCESSING = Preprocessing((120.0, 110.0, 100.0), (60.0,), "BGR")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "net.onnx").write_bytes(as_bytes(classifier()))
    return tmp_path / "net.onnx"


def test_they_agree_on_whole_batches(path):
    found = agreement(path, convert_file(path, PREPROCESSING), count=3)
    assert found.images == 4
    assert found.difference < found.allowed < 1e-4 * found.largest


def test_arrays_in_another_file_are_found(path):
    onnx = optional.package("onnx")
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="net.data", size_threshold=100)
    found = agreement(path, convert_file(path, PREPROCESSING))
    assert found.difference < found.allowed < 1e-4 * found.largest


def test_another_network_is_seen(path):
    converted = convert_file(path, PREPROCESSING)
    layers = [*converted.network.layers]
    weight = layers[-1].constants["weight"].copy()
    weight[0, 0] += 0.5
    layers[-1] = dataclasses.replace(layers[-1], constants={**layers[-1].constants, "weight": weight})
    other = dataclasses.replace(converted, network=dataclasses.replace(converted.network, layers=tuple(layers)))
    with pytest.raises(NetworkError, match=r"differ by up to .* largest .* at most .* was needed; nothing is written"):
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


def mutants(network):
    """Networks with one mistake each: a bias dropped, or one number of it; no upper end; another epsilon."""
    for place, layer in enumerate(network.layers):
        changes = []
        if "bias" in layer.constants:
            without = {name: array for name, array in layer.constants.items() if name != "bias"}
            one = layer.constants["bias"].copy()
            one[0] = 0
            changes += [{"constants": without}, {"constants": without | {"bias": one}}]
        if "max" in layer.attributes:
            changes.append({"attributes": {}})
        if "epsilon" in layer.attributes:
            changes.append({"attributes": {"epsilon": layer.attributes["epsilon"] * 2 + 1e-5}})
        for change in changes:
            layers = [*network.layers]
            layers[place] = dataclasses.replace(layer, **change)
            yield dataclasses.replace(network, layers=tuple(layers))


def normalises_itself():
    """The classifier, its pixels raw, with (x - 120) / 60 as its first nodes."""
    made = classifier()
    first = [node("Sub", "x", "mean120"), node("Div", "sub", "std60"), node("Conv", "div", *made.nodes[0].inputs[1:],
             out="c", pads=(1, 1, 1, 1))]  # fmt: skip
    constants = {**made.constants, "mean120": np.float32(120), "std60": np.float32(60)}
    return dataclasses.replace(made, nodes=(*first, *made.nodes[1:]), constants=constants)


def every_layer():
    return parse_onnx(to_onnx(every_op()).SerializeToString(), "every.onnx")


@pytest.mark.parametrize("made", [classifier, normalises_itself, every_layer], ids=lambda made: made.__name__)
@pytest.mark.parametrize("given", [None, PREPROCESSING], ids=["raw", "normalised"])
def test_mistakes_that_can_be_seen_are_seen(tmp_path, made, given):
    """Whatever moves a logit by more than 1e-5 of their spread; rounding alone passes."""
    path = tmp_path / "net.onnx"
    path.write_bytes(as_bytes(made()))
    converted = convert_file(path, given)
    agreement(path, converted)
    pixels = random_images(np.random.default_rng(0), 8, converted.network.input_shape)
    ours, visible = forward(converted.network, pixels), 0
    for mutant in mutants(converted.network):
        if np.abs(forward(mutant, pixels) - ours).max() > 1e-5 * np.ptp(ours):
            visible += 1
            with pytest.raises(NetworkError, match="differ by up to"):
                agreement(path, dataclasses.replace(converted, network=mutant))
    assert visible >= 3


@drawn(networks())
def test_rounding_of_single_precision_passes_the_check(network):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        path.write_bytes(to_onnx(network).SerializeToString())
        agreement(path, convert_file(path, Preprocessing(network.mean, network.std, network.channels)))


def test_random_images_have_noise_and_areas():
    """Noise and areas, bright and dark ones, and a rerun is the same."""
    images = random_images(np.random.default_rng(0), 8, (70, 66, 3))
    assert images.shape == (8, 70, 66, 3)
    np.testing.assert_array_equal(images, random_images(np.random.default_rng(0), 8, (70, 66, 3)))
    steps = [np.mean(image[1:] != image[:-1]) for image in images]
    assert steps[0] > 0.9
    assert steps[:4] == sorted(steps[:4], reverse=True)
    assert all(np.ptp(image.astype(int), axis=(0, 1)).max() < 64 for image in images[4:])


def a_mean_of(side, tmp_path):
    """The means of an image of one colour, which ONNX Runtime sums in float32 one after the other."""
    nodes = [node("Conv", "x", "w", out="c"), node("GlobalAveragePool", "c", out="g"), node("Flatten", "g", out="f")]
    constants = {"w": np.random.default_rng(0).normal(1, 0.2, (8, 3, 1, 1)).astype(np.float32)}
    (tmp_path / "mean.onnx").write_bytes(as_bytes(graph(nodes, constants, (1, 3, side, side))))
    return tmp_path / "mean.onnx"


def test_what_float32_loses_in_long_sums_is_judged_in_float64(tmp_path):
    path = a_mean_of(192, tmp_path)
    converted = convert_file(path)
    found = agreement(path, converted)
    assert 0 < found.judged <= found.images
    assert found.difference <= found.allowed
    weight = converted.network.layers[1].constants["weight"] * np.float32(1.0001)
    layers = [*converted.network.layers]
    layers[1] = dataclasses.replace(layers[1], constants={"weight": weight})
    other = dataclasses.replace(converted, network=dataclasses.replace(converted.network, layers=tuple(layers)))
    with pytest.raises(NetworkError, match="differ by up to"):
        agreement(path, other)


def test_what_the_reference_cannot_run_is_not_judged(tmp_path, monkeypatch):
    path = a_mean_of(192, tmp_path)
    monkeypatch.setattr("refengine.interop.onnx.agreement.logits_in_float64", lambda *given: None)
    with pytest.raises(NetworkError, match="differ by up to"):
        agreement(path, convert_file(path))
