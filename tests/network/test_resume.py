"""Part of a float network: from every layer on the rest gives what the whole gives."""

import numpy as np
import pytest
from calibrated import pixels
from float_networks import every_op

from refengine.errors import NetworkError
from refengine.network.forward import forward
from refengine.network.resume import resumed, tensors_at


@pytest.mark.parametrize("layer", every_op().layers, ids=lambda layer: layer.name)
def test_the_rest_from_any_layer_on_gives_the_same_logits(layer):
    network = every_op()
    images = pixels(network, 19)
    tensors = tensors_at(network, images, layer.name)
    whole = {}
    forward(network, images, lambda made, tensor: whole.update({made.name: tensor}))
    assert np.allclose(tensors[layer.name], whole[layer.name], rtol=1e-5, atol=1e-5)
    assert np.allclose(resumed(network, tensors, layer.name), forward(network, images), rtol=1e-4, atol=1e-4)


def test_another_tensor_gives_other_logits():
    network = every_op()
    tensors = tensors_at(network, pixels(network), "001_conv")
    changed = {**tensors, "001_conv": tensors["001_conv"] + np.float32(1)}
    assert not np.array_equal(resumed(network, changed, "001_conv"), resumed(network, tensors, "001_conv"))


def test_an_unknown_layer_and_infinity_are_refused():
    network = every_op()
    with pytest.raises(NetworkError, match="has no layer 'x'"):
        tensors_at(network, pixels(network), "x")
    tensors = tensors_at(network, pixels(network), "001_conv")
    tensors["001_conv"] = np.full_like(tensors["001_conv"], np.inf)
    with pytest.raises(NetworkError, match="gives NaN or infinity"):
        resumed(network, tensors, "001_conv")
