"""Float networks as ONNX: ONNX Runtime gives the logits of ``network/forward.py``, operator by operator."""

import numpy as np
import pytest
from float_networks import every_op, layer, networks
from hypothesis import given
from hypothesis import strategies as st

from refengine import optional
from refengine.errors import RefengineError
from refengine.interop.onnx.export_float import _NODES, IMAGE, LOGITS, onnx_input, to_onnx
from refengine.network.float_layer import LAYER_OPS
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.network.geometry import geometry

needs_onnx = pytest.mark.skipif(
    not (optional.installed("onnx") and optional.installed("onnxruntime")), reason="onnx or onnxruntime is missing"
)


def logits_of(network, pixels):
    """What ONNX Runtime makes of the network."""
    runtime = optional.package("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    model = to_onnx(network, len(pixels)).SerializeToString()
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run([LOGITS], {IMAGE: onnx_input(network, pixels)})[0]


def pixels_of(network, count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *network.input_shape)).astype(np.uint8)


def assert_same(network, pixels):
    wanted, scales = forward(network, pixels), []
    forward(network, pixels, lambda _, tensor: scales.append(abs(tensor).max(initial=1)))
    tolerance = 1e-5 * max(scales)
    np.testing.assert_allclose(logits_of(network, pixels), wanted, rtol=1e-3, atol=tolerance)


def test_every_op_has_its_node():
    assert set(_NODES) == set(LAYER_OPS)


@needs_onnx
def test_every_operator_is_exported():
    network = every_op()
    assert_same(network, pixels_of(network, 3))


@needs_onnx
@given(networks(), st.integers(1, 3))
def test_random_networks_are_exported(network, count):
    assert_same(network, pixels_of(network, count))


@needs_onnx
def test_a_residual_network_is_exported():
    network = geometry("resnet20")
    assert_same(network, pixels_of(network, 2))


@needs_onnx
def test_the_model_is_valid_and_says_what_it_is():
    model = to_onnx(every_op(), batch=4)
    optional.package("onnx.checker").check_model(model, full_check=True)
    image, logits = model.graph.input[0], model.graph.output[0]
    sizes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in (image, logits)]
    assert sizes == [[4, 3, 7, 6], [4, 5]]
    assert (model.graph.name, model.producer_name) == ("every_op", "refengine")


def test_the_input_is_normalised_in_the_network_s_channel_order():
    network = every_op()
    pixels = pixels_of(network, 2)
    blue = (pixels[..., 2] - np.float32(network.mean[0])) / np.float32(network.std[0])
    x = onnx_input(network, pixels)
    assert (x.dtype, x.shape, x.flags.c_contiguous) == (np.float32, (2, 3, 7, 6), True)
    np.testing.assert_array_equal(x[:, 0], blue)


def test_without_onnx_one_line_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optional, "import_module", missing)
    with pytest.raises(RefengineError, match=r"onnx cannot be imported .*; needed: pip install"):
        to_onnx(every_op())


@needs_onnx
@pytest.mark.parametrize(("op", "opset"), [("tanh", 17), ("mish", 18), ("gelu", 20)])
def test_the_opset_is_the_first_that_has_every_operator(op, opset):
    layers = (layer(0, "input"), layer(1, op, ["000_input"], **({"tanh": False} if op == "gelu" else {})))
    network = FloatNetwork("one", (2, 3, 1), 6, (0.0,), (1.0,), "gray", layers)
    assert to_onnx(network).opset_import[0].version == opset
