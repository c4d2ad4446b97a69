"""Float networks as PyTorch modules: the logits of ``network/forward.py``, operator by operator."""

import dataclasses

import numpy as np
import pytest
from float_networks import every_op, networks
from hypothesis import assume, given

from refengine.errors import NetworkError
from refengine.interop.onnx.export_float import onnx_input
from refengine.interop.torch.export_float import _STEPS, to_torch
from refengine.network.float_layer import LAYER_OPS
from refengine.network.forward import forward
from refengine.network.geometry import geometry
from refengine.optional import installed, package

needs_torch = pytest.mark.skipif(not installed("torch"), reason="torch is missing")


def padded_alike(network):
    """The network with pools that pad as PyTorch can."""
    layers = []
    for layer in network.layers:
        if layer.op in ("maxpool", "avgpool"):
            layer = dataclasses.replace(layer, attributes={**layer.attributes, "pads": (1, 1, 1, 1)})
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))


def assert_same(network):
    torch = package("torch")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *network.input_shape)).astype(np.uint8)
    scales = []
    wanted = forward(network, pixels, lambda _, tensor: scales.append(abs(tensor).max(initial=1)))
    with torch.inference_mode():
        found = to_torch(network)(torch.from_numpy(onnx_input(network, pixels))).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5 * max(scales))


def test_every_op_has_its_step():
    assert {"input", *_STEPS} == set(LAYER_OPS)


@needs_torch
def test_every_operator_is_exported():
    assert_same(padded_alike(every_op()))


@needs_torch
@given(networks())
def test_random_networks_are_exported(network):
    try:
        to_torch(network)
    except NetworkError:
        assume(False)
    assert_same(network)


@needs_torch
def test_a_residual_network_is_exported():
    assert_same(geometry("resnet20"))


@needs_torch
def test_pools_that_torch_does_not_know_are_refused():
    with pytest.raises(NetworkError, match=r"layer '008_maxpool' \(maxpool\): pads \(0, 1, 1, 0\), .* torch pads"):
        to_torch(every_op())
